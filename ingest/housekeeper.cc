#include "ingest/housekeeper.h"

#include <algorithm>
#include <utility>

#include "auth/pki/certificate.h"
#include "auth/pki/pki_files.h"
#include "base/log.h"
#include "schema/timestamp.h"

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// A page is twice what may come between two, so that it always catches up, within reason: a page is
// one transaction.
constexpr seconds kExpireEvery{5};
constexpr int64_t kPagesAMinute = 12;
constexpr int64_t kSmallestPage = 1000;
constexpr int64_t kLargestPage = 50000;

constexpr const char* kReadingAppSettings = "reading app_settings";

}  // namespace

void ApplyAppSettings(const std::vector<std::pair<std::string, std::string>>& rows,
                      const Settings& defaults, RuntimeSettings* runtime) {
  Settings now = defaults;
  for (const auto& [key, value] : rows) {
    const Setting* setting = SettingsTable().Find(key);
    if (setting == nullptr || !setting->reloadable) continue;
    if (const Status status = SettingsTable().Assign(key, value, &now); !status.ok()) {
      LogWarning("app_setting_ignored", {{"reason", status.message()}});
    }
  }
  runtime->max_payload_bytes = now.max_payload_bytes;
  runtime->rate_limit_rps = now.rate_limit_rps;
  runtime->rate_limit_burst = now.rate_limit_burst;
  runtime->store_rejects = now.store_rejects;
}

PgStatus ReadAppSettings(PgConnection& db, const Settings& defaults, RuntimeSettings* runtime) {
  auto rows = db.Exec("SELECT key, value FROM app_settings");
  if (!rows.ok()) return rows.error().During(kReadingAppSettings);
  std::vector<std::pair<std::string, std::string>> values;
  values.reserve(static_cast<size_t>(rows->size()));
  for (int row = 0; row < rows->size(); ++row) {
    values.emplace_back(rows->Text(row, 0), rows->Text(row, 1));
  }
  ApplyAppSettings(values, defaults, runtime);
  return PgOk{};
}

const char* const kExpiringDevicesSql =
    "SELECT count(*) FROM (SELECT FROM device_certificates WHERE status = 'ACTIVE' "
    "GROUP BY tenant_id, device_id "
    "HAVING max(not_after) BETWEEN now() AND now() + interval '14 days') AS device";

Housekeeper::Housekeeper(const Settings& settings, const Spool& spool, RuntimeSettings& runtime,
                         RateLimiter& limiter, DatabaseHealth& health, const Clock& clock)
    : settings_(settings),
      spool_(spool),
      runtime_(runtime),
      limiter_(limiter),
      health_(health),
      clock_(clock),
      session_(settings.Conninfo(), settings.pg_connect_timeout, settings.write_timeout) {
  chores_ = {
      {settings.settings_poll, [this] { return ReadAppSettings(); }},
      {minutes(10), [this] { return MakePartitionsAhead(); }},
      {seconds(5), [this] { return WatchLedger(); }},
      {seconds(30), [this] { return PruneLedger(); }},
      {hours(1), [this] { return CountExpiringDevices(); }},
      {settings.bucket_cleanup_interval, [this] { return ForgetIdleBuckets(); }, false},
      {minutes(1), [this] { return ReadPkiFiles(); }, false},
  };
  if (settings.telemetry_retention > milliseconds::zero()) {
    chores_.push_back({hours(1), [this] { return DropOldPartitions(); }});
  }
  if (settings.quarantine_retention > milliseconds::zero()) {
    chores_.push_back({kExpireEvery, [this] { return ExpireQuarantine(); }});
  }
}

Housekeeper::~Housekeeper() {
  Stop();
}

void Housekeeper::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void Housekeeper::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Housekeeper::ReadAppSettingsSoon() {
  std::lock_guard lock(mutex_);
  settings_changed_ = true;
  woken_.notify_one();
}

void Housekeeper::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    for (Chore& chore : chores_) {
      const int64_t now = clock_.Monotonic();
      if (chore.due > now || stop.stop_requested()) continue;
      chore.due = now + std::chrono::microseconds(chore.every).count();
      const PgStatus done = chore.work();
      if (!chore.asks_database) continue;
      if (done.ok()) {
        chore.refusal.clear();
        health_.Succeeded(DatabaseHealth::Seen::kByWatcher);
      } else if (Classify(done.error()) == Failure::kRetry) {
        health_.Failed(DatabaseHealth::Seen::kByWatcher, done.error());
      } else {
        SayRefused(&chore, done.error().Describe(), now);
      }
    }
    std::unique_lock lock(mutex_);
    woken_.wait_for(lock, stop, milliseconds(500), [this] { return settings_changed_; });
    if (std::exchange(settings_changed_, false)) chores_.front().due = 0;
  }
}

// Its own trouble (a missing grant, say) does not stop messages from being stored.
void Housekeeper::SayRefused(Chore* chore, std::string refusal, int64_t now) {
  constexpr seconds kSayAgain{60};
  const bool due = now - chore->said >= std::chrono::microseconds(kSayAgain).count();
  if (refusal == chore->refusal && !due) return;
  LogError("housekeeping_refused", {{"reason", refusal}});
  chore->refusal = std::move(refusal);
  chore->said = now;
}

PgResult<PgRows> Housekeeper::Exec(const std::string& sql) {
  auto db = session_.Acquire();
  if (!db.ok()) return db.error();
  return (*db)->Exec(sql);
}

PgStatus Housekeeper::ReadAppSettings() {
  auto db = session_.Acquire();
  if (!db.ok()) return db.error().During(kReadingAppSettings);
  return sluice::ReadAppSettings(**db, settings_, &runtime_);
}

PgStatus Housekeeper::MakePartitionsAhead() {
  const int64_t today = DayOf(clock_.Now());
  std::string missing;
  for (int64_t day = today; day <= today + settings_.partitions_ahead_days; ++day) {
    // A table that is not partitioned, or a hypertable, misses none.
    auto made = Exec("SELECT sluice_ensure_partition('" + FormatDay(day) +
                     "') OR NOT EXISTS (SELECT FROM pg_partitioned_table "
                     "WHERE partrelid = 'public.telemetry'::regclass)");
    if (!made.ok()) return made.error().During("making partitions of telemetry");
    if (!made->Bool(0, 0)) missing += ' ' + FormatDay(day);
  }
  health_.SetConcern(Concern::kPartitionMissing,
                     missing.empty() ? ""
                                     : "telemetry has no partition for" + missing +
                                           ": these days' rows go to the default partition");
  return PgOk{};
}

PgStatus Housekeeper::DropOldPartitions() {
  const int64_t kept = std::chrono::microseconds(settings_.telemetry_retention).count();
  const int64_t oldest = DayOf(clock_.Now() - kept);
  auto dropped = Exec("SELECT sluice_drop_partitions_before('" + FormatDay(oldest) + "')");
  if (!dropped.ok()) return dropped.error().During("dropping partitions of telemetry");
  if (dropped->Int(0, 0) > 0) {
    LogInfo("partitions_dropped",
            {{"before", FormatDay(oldest)}, {"partitions", dropped->Int(0, 0)}});
  }
  return PgOk{};
}

// A row that was there and was not pruned stays, unless the database was set back.
PgStatus Housekeeper::WatchLedger() {
  const std::string from = " FROM ingest_ledger WHERE spool_id = '" + spool_.id() + "'";
  auto seen = Exec("SELECT (SELECT max(first_seq)" + from + "), EXISTS (SELECT" + from +
                   " AND first_seq = " + std::to_string(newest_) + ")");
  if (!seen.ok()) return seen.error().During("reading ingest_ledger");
  if (newest_ > 0 && !seen->Bool(0, 1)) {
    health_.SetConcern(Concern::kRestored,
                       "the database has forgotten what was committed: it was restored from an "
                       "older backup; restart to deliver again what the spool still holds");
  }
  newest_ = seen->Int(0, 0);
  return PgOk{};
}

// Rows stay for every record that is still on disk: were the watermark lost, they alone would say
// what is committed. And the newest row stays, however old: it tells a restored backup from an idle
// fleet.
PgStatus Housekeeper::PruneLedger() {
  const std::string spool = "spool_id = '" + spool_.id() + "'";
  const uint64_t gone = std::min(spool_.watermark(), spool_.stats().first_on_disk - 1);
  auto pruned =
      Exec("DELETE FROM ingest_ledger WHERE " + spool + " AND last_seq <= " + std::to_string(gone) +
           " AND first_seq < " + std::to_string(newest_));
  if (!pruned.ok()) return pruned.error().During("pruning ingest_ledger");
  return PgOk{};
}

// A device that has a newer certificate already wants nobody.
PgStatus Housekeeper::CountExpiringDevices() {
  auto counted = Exec(kExpiringDevicesSql);
  if (!counted.ok()) return counted.error().During("counting certificates that end");
  const std::lock_guard lock(mutex_);
  expiring_devices_ = counted->Int(0, 0);
  return PgOk{};
}

std::optional<int64_t> Housekeeper::expiring_devices() const {
  const std::lock_guard lock(mutex_);
  return expiring_devices_;
}

PgStatus Housekeeper::ReadPkiFiles() {
  std::vector<PkiFile> files;
  for (const std::string& name : settings_.pki_watch_files) {
    const Result<std::string> pem = ReadWholeFile(name);
    const Result<UnixMicros> end = pem.ok() ? EarliestEnd(*pem) : pem.status();
    if (!end.ok()) LogWarning("pki_file_unreadable", {{"file", name}, {"reason", end.message()}});
    files.push_back({name, end.ok() ? *end : 0});
  }
  const std::lock_guard lock(mutex_);
  pki_files_ = std::move(files);
  return PgOk{};
}

std::vector<PkiFile> Housekeeper::pki_files() const {
  const std::lock_guard lock(mutex_);
  return pki_files_;
}

PgStatus Housekeeper::ExpireQuarantine() {
  const int64_t kept = std::chrono::microseconds(settings_.quarantine_retention).count();
  const int64_t page =
      std::clamp(2 * settings_.quarantine_per_minute / kPagesAMinute, kSmallestPage, kLargestPage);
  auto expired = Exec("SELECT sluice_expire_quarantine('" + FormatIso8601(clock_.Now() - kept) +
                      "', " + std::to_string(page) + ")");
  if (!expired.ok()) return expired.error().During("expiring quarantine_events");
  if (expired->Int(0, 0) > 0) LogInfo("quarantine_expired", {{"messages", expired->Int(0, 0)}});
  return PgOk{};
}

PgStatus Housekeeper::ForgetIdleBuckets() {
  limiter_.ForgetIdle(clock_.Now() - std::chrono::microseconds(settings_.bucket_ttl).count());
  return PgOk{};
}

}  // namespace sluice
