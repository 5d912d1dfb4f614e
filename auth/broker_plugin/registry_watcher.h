// RegistryWatcher: the thread that keeps a DeviceRoster true to PostgreSQL.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "auth/broker_plugin/device_roster.h"
#include "base/postgres.h"

namespace sluice {

// Answers the roster's questions, looks up again what it knows, oldest first, and listens on the
// channel sluice_revoked, whose payload is an identity. So a device that a trigger tells about is
// kicked at once, and without triggers within kPollInterval as long as no more than kBatch devices
// are known; after a lost connection all of them are looked up without pause.
//
// LISTEN needs a direct connection: no pooler that shares connections between transactions.
class RegistryWatcher {
 public:
  static constexpr std::chrono::milliseconds kPollInterval{500};
  static constexpr size_t kBatch = 2000;  // devices in one query

  // Starts the thread, with all signals blocked. `conninfo` is a libpq connection string or URL and
  // is never logged. `roster` must outlive the watcher.
  RegistryWatcher(std::string conninfo, DeviceRoster& roster);
  ~RegistryWatcher();  // stops it, which takes as long as the running query at most
  RegistryWatcher(const RegistryWatcher&) = delete;
  RegistryWatcher& operator=(const RegistryWatcher&) = delete;

  // What happened since the last call, for a log; escaped, one line each. Any thread.
  std::vector<std::string> TakeReports();

 private:
  void Run();
  bool Connect();
  // One query; false when the connection is of no use any more.
  bool LookUp();
  void TakeNotifications();
  void Wait(std::chrono::milliseconds limit);
  void Report(const std::string& what);

  const std::string conninfo_;
  DeviceRoster& roster_;
  std::unique_ptr<PgConnection> connection_;
  int64_t connected_at_ = 0;  // monotonic microseconds
  bool behind_ = false;       // not all devices were looked up since connected_at_
  bool reported_down_ = false;
  std::mutex reports_mutex_;
  std::deque<std::string> reports_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace sluice
