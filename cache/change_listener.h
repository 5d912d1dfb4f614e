// ChangeListener: hears from PostgreSQL what has changed, so that caches can forget it at once. The
// triggers of schema/migrations/008_notify.sql are the ones who tell.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/backoff.h"
#include "base/postgres.h"
#include "base/unique_fd.h"
#include "schema/device_key.h"

namespace sluice {

// Who is told. Called from the listener's thread.
class ChangeEvents {
 public:
  virtual ~ChangeEvents() = default;
  // May name a device that nobody knows.
  virtual void DeviceChanged(DeviceKeyView key) = 0;
  // Any device may have.
  virtual void DevicesChanged() = 0;
  virtual void SettingsChanged() = 0;
  // From now on every change is told. What changed before was not: everything is to be read again.
  virtual void Hearing() = 0;
  // Changes may be missed from now on. `why` is a sentence for people, without secrets. Called
  // again with another reason while it lasts.
  virtual void Deaf(const std::string& why) = 0;
};

struct ChangeListenerOptions {
  std::string conninfo;         // LISTEN_DATABASE_URL, a direct connection; never logged
  std::string sender_conninfo;  // the daemon's database, maybe through a pooler; never logged
  std::chrono::milliseconds connect_timeout{5000};
  std::chrono::milliseconds heartbeat{5000};  // LISTEN_HEARTBEAT
  std::chrono::milliseconds retry_min{100};
  std::chrono::milliseconds retry_max{10000};
};

struct ChangeListenerStats {
  bool hearing = false;
  uint64_t connects = 0;  // connections on which a heartbeat was heard
  uint64_t devices = 0;   // devices told, one by one
  uint64_t all = 0;       // times that all were, reconnects included
};

// Deaf at first. After connecting it LISTENs and sends itself a notification, a heartbeat; it hears
// once the first has come. A pooler that shares connections between transactions, a line that is
// dead without a sign, and a URL that leads to another database all let LISTEN succeed and bring no
// heartbeat. They are sent on a connection of their own: what is sent on the listening one would
// come back with the answer, through such a pooler too.
//
// A heartbeat must have come when the next is due: a dead line is noticed within twice that time,
// and a database that is slow for less than it is no alarm.
class ChangeListener {
 public:
  // `events` must outlive the listener.
  ChangeListener(ChangeListenerOptions options, ChangeEvents& events);
  ~ChangeListener();  // stops
  ChangeListener(const ChangeListener&) = delete;
  ChangeListener& operator=(const ChangeListener&) = delete;

  void Start();
  void Stop();  // takes three times connect_timeout at most

  ChangeListenerStats stats() const;  // any thread

 private:
  using Time = std::chrono::steady_clock::time_point;

  void Run();
  // Connects and tells what comes, until that ends: the reason.
  PgError Listen();
  PgStatus Connect();
  // Never waits: what is to be told must not wait for it.
  PgStatus SendHeartbeat();
  // Tells everything that has come. False when there was nothing.
  PgResult<bool> TakeNotifications();
  void Tell(std::string_view channel, std::string_view payload);
  void SetHearing();
  // Until a notification may have come, Stop or the time.
  void Wait(Time until);

  const ChangeListenerOptions options_;
  ChangeEvents& events_;
  const UniqueFd wake_;
  std::unique_ptr<PgConnection> connection_;
  std::unique_ptr<PgConnection> sender_;
  Backoff backoff_;
  std::string heartbeats_;  // the channel of this connection's
  bool awaited_ = false;    // a heartbeat was sent and has not come
  std::atomic<bool> hearing_{false};
  std::atomic<uint64_t> connects_{0};
  std::atomic<uint64_t> devices_{0};
  std::atomic<uint64_t> all_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace sluice
