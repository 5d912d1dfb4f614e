// Housekeeper: the slow, regular work at the database, on a thread and connection of its own: reads
// app_settings, makes partitions ahead, drops old ones, watches and prunes the ledger, expires the
// quarantine, counts certificates that end; and what is slow elsewhere: forgets idle buckets, reads
// PKI_WATCH_FILES.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
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

// A file of PKI_WATCH_FILES.
struct PkiFile {
  std::string name;
  UnixMicros end = 0;  // of the first thing in it that ends; 0: it cannot be read
};

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
  // A page of what QUARANTINE_RETENTION ends.
  PgStatus ExpireQuarantine();
  PgStatus CountExpiringDevices();

  // Any thread. Devices with an ACTIVE certificate of which none is good for another 14 days;
  // nullopt until they have been counted.
  std::optional<int64_t> expiring_devices() const;
  // The same, as last read; empty until then.
  std::vector<PkiFile> pki_files() const;

 private:
  struct Chore {
    std::chrono::milliseconds every;
    std::function<PgStatus()> work;
    bool asks_database = true;
    int64_t due = 0;           // Clock::Monotonic
    std::string refusal = {};  // PostgreSQL's words, the last time
    int64_t said = 0;          // when that was logged
  };

  void Run(const std::stop_token& stop);
  void SayRefused(Chore* chore, std::string refusal, int64_t now);
  PgStatus DropOldPartitions();
  PgStatus ForgetIdleBuckets();
  PgStatus ReadPkiFiles();
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
  mutable std::mutex mutex_;   // of what follows
  std::condition_variable_any woken_;
  bool settings_changed_ = false;
  std::optional<int64_t> expiring_devices_;
  std::vector<PkiFile> pki_files_;
  std::jthread thread_;
};

// Reads app_settings and applies it.
PgStatus ReadAppSettings(PgConnection& db, const Settings& defaults, RuntimeSettings* runtime);

// How many devices expiring_devices() counts.
extern const char* const kExpiringDevicesSql;

// Sets what app_settings has (a value that will not do is logged and left out), and the
// environment's value for what it does not have. `rows` are (key, value) pairs.
void ApplyAppSettings(const std::vector<std::pair<std::string, std::string>>& rows,
                      const Settings& defaults, RuntimeSettings* runtime);

}  // namespace sluice
