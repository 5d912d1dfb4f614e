// Housekeeper: the slow, regular work at the database, on a thread and connection of its own: reads
// app_settings, makes partitions ahead, drops old ones, watches and prunes the ledger, forgets idle
// buckets.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "auth/rate_limiter.h"
#include "base/clock.h"
#include "base/pg_session.h"
#include "ingest/database_health.h"
#include "ingest/runtime_settings.h"
#include "ingest/settings.h"
#include "ingest/spool/spool.h"

namespace sluice {

class Housekeeper {
 public:
  // Everything must outlive it.
  Housekeeper(const Settings& settings, const Spool& spool, RuntimeSettings& runtime,
              RateLimiter& limiter, DatabaseHealth& health, const Clock& clock);
  ~Housekeeper();

  // Does the chores below, each in its time, until Stop.
  void Start();
  void Stop();
  // app_settings has changed; any thread.
  void ReadAppSettingsSoon();

  // One thread at a time: before Start, or in tests instead of it. ReadAppSettings must have
  // succeeded before the first message is judged.
  PgStatus ReadAppSettings();
  // Concern::kPartitionMissing names days that it could not make one for.
  PgStatus MakePartitionsAhead();
  // Concern::kRestored when rows that were there and not pruned are gone.
  PgStatus WatchLedger();
  PgStatus PruneLedger();

 private:
  struct Chore {
    std::chrono::milliseconds every;
    std::function<PgStatus()> work;
    int64_t due = 0;  // Clock::Monotonic
  };

  void Run(const std::stop_token& stop);
  PgStatus DropOldPartitions();
  PgStatus ForgetIdleBuckets();
  PgResult<PgRows> Exec(const std::string& sql);

  const Settings& settings_;
  const Spool& spool_;
  RuntimeSettings& runtime_;
  RateLimiter& limiter_;
  DatabaseHealth& health_;
  const Clock& clock_;
  PgSession session_;
  int64_t newest_ = 0;  // first_seq of the ledger's newest row when it was last looked at; 0: none
  std::vector<Chore> chores_;  // app_settings first
  std::mutex mutex_;
  std::condition_variable_any woken_;
  bool settings_changed_ = false;
  std::jthread thread_;
};

// Sets what app_settings has (a value that will not do is logged and left out), and the
// environment's value for what it does not have. `rows` are (key, value) pairs.
void ApplyAppSettings(const std::vector<std::pair<std::string, std::string>>& rows,
                      const Settings& defaults, RuntimeSettings* runtime);

}  // namespace sluice
