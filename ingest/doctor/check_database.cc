#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "cache/change_listener.h"
#include "ingest/doctor/checks.h"
#include "ingest/doctor/rights.h"
#include "ingest/housekeeper.h"
#include "schema/migrator.h"

namespace sluice {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds kPatience{10000};  // with one statement
constexpr int kRoundTrips = 5;
constexpr int kOldestTried = 150000;  // server_version_num
constexpr microseconds kSlow{20'000};
constexpr microseconds kClockOff{1'000'000};
constexpr microseconds kClockWrong{60'000'000};
constexpr int64_t kConnectionsBesides = 4;  // of a daemon, besides its workers'
constexpr milliseconds kHeartbeat{2000};    // a notification takes no longer

std::string Millis(microseconds time) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.1f ms", static_cast<double>(time.count()) / 1000);
  return text.data();
}

std::string AdviceFor(const PgError& error) {
  if (error.sqlstate.starts_with("28")) {
    return "see that user and password are right (DATABASE_URL, or PG_USER and PG_PASS) and that "
           "pg_hba.conf lets the role in from here";
  }
  if (error.sqlstate == "3D000") return "name the right database, or make it: createdb";
  if (error.sqlstate == "42501") return "apply deploy/postgres/grants.sql for the daemon's role";
  if (error.sqlstate == "42P01" || error.sqlstate == "42703") return "run sluice migrate";
  if (error.sqlstate == "53300") return "raise max_connections, or use a pooler";
  return "see that PostgreSQL runs and that host, port and firewall let this machine reach it "
         "(DATABASE_URL, or PG_HOST and PG_PORT)";
}

// What a ChangeListener finds out first: that it hears ("") or why it does not.
class FirstWord final : public ChangeEvents {
 public:
  void DeviceChanged(DeviceKeyView) override {}
  void DevicesChanged() override {}
  void SettingsChanged() override {}
  void Hearing() override { Say(""); }
  void Deaf(const std::string& why) override { Say(why); }
  std::string Await() { return word_.get_future().get(); }

 private:
  void Say(const std::string& word) {
    if (!std::exchange(said_, true)) word_.set_value(word);
  }

  std::promise<std::string> word_;
  bool said_ = false;
};

// One connection, on which every statement is a read-only transaction of its own.
class DatabaseExam {
 public:
  DatabaseExam(const Patient& patient, Findings* out, Findings* clock)
      : patient_(patient), settings_(patient.settings()), out_(*out), clock_(*clock) {}

  void Run();

 private:
  bool Connect();
  // Nothing, and a finding, when it was refused.
  std::optional<PgRows> Ask(const char* check, const std::string& sql);
  void CheckServer();
  void CheckRoundTrip();
  void CheckClock();
  bool CheckSchema();
  void CheckRights();
  void CheckRowSecurity();
  void CheckPartitions();
  void CheckDurability();
  void CheckConnections();
  void CheckFleet();
  void CheckListening();
  void CheckNotifications();

  const Patient& patient_;
  const Settings& settings_;
  Findings& out_;
  Findings& clock_;
  std::unique_ptr<PgConnection> db_;
};

void DatabaseExam::Run() {
  if (!Connect()) return;
  CheckServer();
  CheckRoundTrip();
  CheckClock();
  CheckDurability();
  CheckConnections();
  CheckListening();
  if (!CheckSchema()) return;  // nothing below can be asked then
  CheckRights();
  CheckRowSecurity();
  CheckPartitions();
  CheckNotifications();
  CheckFleet();
}

bool DatabaseExam::Connect() {
  auto connection = PgConnection::Connect(settings_.Conninfo(), settings_.pg_connect_timeout);
  if (!connection.ok()) {
    out_.Fail("connect", connection.error().Describe(), AdviceFor(connection.error()));
    return false;
  }
  db_ = std::move(*connection);
  db_->set_timeout(std::min(kPatience, settings_.write_timeout));
  if (const auto who = Ask("connect", "SELECT current_user, current_database()")) {
    out_.Ok("connect",
            "as " + std::string(who->Text(0, 0)) + " to " + std::string(who->Text(0, 1)));
  }
  return true;
}

std::optional<PgRows> DatabaseExam::Ask(const char* check, const std::string& sql) {
  auto rows = db_->Exec("BEGIN READ ONLY; " + sql);
  if (!rows.ok()) out_.Fail(check, rows.error().Describe(), AdviceFor(rows.error()));
  if (db_->alive()) (void)db_->Exec("ROLLBACK");
  if (!rows.ok()) return std::nullopt;
  return std::move(*rows);
}

void DatabaseExam::CheckServer() {
  const auto rows = Ask("server",
                        "SELECT current_setting('server_version'), "
                        "current_setting('server_version_num'), pg_is_in_recovery(), "
                        "current_setting('default_transaction_read_only')");
  if (!rows) return;
  const std::string version = "PostgreSQL " + std::string(rows->Text(0, 0));
  if (rows->Bool(0, 2)) {
    return out_.Fail("server", version + ", a standby: it takes no rows",
                     "connect to the primary (target_session_attrs=read-write helps)");
  }
  if (rows->Text(0, 3) == "on") {
    return out_.Fail("server", version + ", and default_transaction_read_only is on",
                     "ALTER ROLE … RESET default_transaction_read_only, or of the database");
  }
  if (rows->Int(0, 1) < kOldestTried) {
    return out_.Warn("server", version, "Sluice is tried with PostgreSQL 15");
  }
  out_.Ok("server", version);
}

void DatabaseExam::CheckRoundTrip() {
  std::array<microseconds, kRoundTrips> times;
  for (microseconds& time : times) {
    const auto begun = std::chrono::steady_clock::now();
    const auto answered = db_->Exec("SELECT 1");
    time = std::chrono::duration_cast<microseconds>(std::chrono::steady_clock::now() - begun);
    if (!answered.ok()) {
      return out_.Fail("round trip", answered.error().Describe(), AdviceFor(answered.error()));
    }
  }
  std::sort(times.begin(), times.end());
  const microseconds median = times[kRoundTrips / 2];
  if (median < kSlow) return out_.Ok("round trip", Millis(median));
  out_.Warn("round trip", Millis(median),
            "each chunk waits for it some times: bring daemon and database nearer, or raise "
            "BATCH_SIZE and INGEST_WORKER_COUNT");
}

void DatabaseExam::CheckClock() {
  const UnixMicros before = SystemClock().Now();
  auto rows = db_->Exec("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
  const UnixMicros after = SystemClock().Now();
  if (!rows.ok()) {
    return clock_.Fail("difference", rows.error().Describe(), AdviceFor(rows.error()));
  }
  // As far as it is more than the question's way there and back can be the reason for.
  const microseconds off(rows->Int(0, 0) < before  ? before - rows->Int(0, 0)
                         : rows->Int(0, 0) > after ? after - rows->Int(0, 0)
                                                   : 0);
  const std::string seen = "this machine is " + Millis(microseconds(std::abs(off.count()))) +
                           (off.count() < 0 ? " behind" : " ahead of") + " the database";
  const char* const advice =
      "let both machines follow a time server: TS_MAX_AGE and TS_MAX_AHEAD go by this clock, "
      "certificates by both";
  if (std::chrono::abs(off) >= kClockWrong) return clock_.Fail("difference", seen, advice);
  if (std::chrono::abs(off) >= kClockOff) return clock_.Warn("difference", seen, advice);
  clock_.Ok("difference", seen);
}

bool DatabaseExam::CheckSchema() {
  const Status fits = CheckSchemaVersion(*db_);
  if (!fits.ok()) {
    out_.Fail("schema", fits.message(),
              "run sluice migrate as the tables' owner, then apply deploy/postgres/grants.sql");
    return false;
  }
  out_.Ok("schema", "version " + std::to_string(AllMigrations().back().version));
  return true;
}

void DatabaseExam::CheckRights() {
  auto missing = MissingRights(*db_, settings_.auto_provision);
  if (!missing.ok()) {
    return out_.Fail("rights", missing.error().Describe(), AdviceFor(missing.error()));
  }
  if (missing->empty()) {
    return out_.Ok("rights", "the role has all that it needs");
  }
  std::string seen = "missing:";
  for (const std::string& right : *missing)
    seen += (&right == missing->data() ? " " : ", ") + right;
  out_.Fail("rights", seen, "apply deploy/postgres/grants.sql for the daemon's role");
}

// COPY FROM is refused where row level security is active; elsewhere rows may be hidden.
void DatabaseExam::CheckRowSecurity() {
  const auto rows = Ask("row security", R"sql(
SELECT c.relname, c.relname IN ('telemetry', 'quarantine_events'),
       EXISTS (SELECT FROM pg_policy p
                WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd IN ('*', 'r')
                  AND pg_get_expr(p.polqual, p.polrelid) = 'true'
                  AND EXISTS (SELECT FROM unnest(p.polroles) AS role
                               WHERE role = 0 OR pg_has_role(role, 'USAGE')))
  FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace AND row_security_active(c.oid)
   AND c.relname IN ('telemetry', 'quarantine_events', 'quarantine_counters_minute',
                     'quarantine_open', 'device_registry', 'device_certificates',
                     'subscriptions', 'app_settings', 'ingest_ledger'))sql");
  if (!rows) return;
  std::string refused;
  std::string hidden;
  for (int row = 0; row < rows->size(); ++row) {
    if (rows->Bool(row, 1)) refused += " " + std::string(rows->Text(row, 0));
    if (!rows->Bool(row, 1) && !rows->Bool(row, 2)) hidden += " " + std::string(rows->Text(row, 0));
  }
  if (!refused.empty()) {
    out_.Fail("row security", "it is active for COPY into" + refused,
              "make the role a member of sluice_owner, which owns them, and do not FORCE row level "
              "security (docs/schema.md, Rights)");
  }
  if (!hidden.empty()) {
    out_.Fail("row security", "no policy shows the role all rows of" + hidden,
              "GRANT sluice_owner to the role, or give it a policy USING (true)");
  }
  if (refused.empty() && hidden.empty()) out_.Ok("row security", "it hides nothing from the role");
}

void DatabaseExam::CheckPartitions() {
  const auto rows = Ask("partitions", R"sql(
SELECT to_char(day, 'YYYY-MM-DD'),
       EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = 'public.telemetry'::regclass),
       EXISTS (SELECT FROM pg_inherits
                WHERE inhparent = 'public.telemetry'::regclass
                  AND inhrelid = to_regclass('public.telemetry_p' || to_char(day, 'YYYYMMDD')))
  FROM (SELECT (now() AT TIME ZONE 'UTC')::date + n AS day FROM generate_series(0, 1) AS n) AS d
 ORDER BY day)sql");
  if (!rows) return;
  std::string missing;
  for (int row = 0; row < rows->size(); ++row) {
    if (rows->Bool(row, 1) && !rows->Bool(row, 2)) missing += " " + std::string(rows->Text(row, 0));
  }
  if (!rows->Bool(0, 1)) {
    out_.Ok("partitions", "telemetry is not partitioned by Sluice");
  } else if (missing.empty()) {
    out_.Ok("partitions", "today and tomorrow have theirs");
  } else {
    out_.Warn("partitions", "none for" + missing,
              patient_.daemon.runs() ? "see docs/operations.md, A day without a partition"
                                     : "the daemon makes them when it starts; if it does not, see "
                                       "docs/operations.md, A day without a partition");
  }
}

void DatabaseExam::CheckDurability() {
  const auto rows =
      Ask("durability", "SELECT current_setting('fsync'), current_setting('synchronous_commit')");
  if (!rows) return;
  const std::string seen = "fsync is " + std::string(rows->Text(0, 0)) + ", synchronous_commit " +
                           std::string(rows->Text(0, 1));
  if (rows->Text(0, 0) == "off") {
    out_.Warn("durability", seen, "set fsync = on: a power cut may destroy the database");
  } else if (rows->Text(0, 1) == "off") {
    out_.Warn("durability", seen,
              "set synchronous_commit = on for the role: a crash of PostgreSQL takes what it has "
              "confirmed, and only what the spool still holds is written again");
  } else {
    out_.Ok("durability", seen);
  }
}

void DatabaseExam::CheckConnections() {
  const auto rows = Ask("connections",
                        "SELECT current_setting('max_connections')::int - "
                        "current_setting('superuser_reserved_connections')::int - "
                        "sum(numbackends) FROM pg_stat_database");
  if (!rows) return;
  const int64_t free = rows->Int(0, 0) + 1;  // this one ends
  const int64_t needed = settings_.ingest_worker_count + kConnectionsBesides;
  const std::string seen =
      std::to_string(free) + " are free, a daemon takes " + std::to_string(needed);
  if (free >= needed || patient_.daemon.runs()) return out_.Ok("connections", seen);
  out_.Warn("connections", seen, "raise max_connections, or lower INGEST_WORKER_COUNT");
}

void DatabaseExam::CheckFleet() {
  const std::string most = std::to_string(settings_.auth_cache_max_size);
  const auto devices =
      Ask("fleet", "SELECT count(*) FROM (SELECT FROM device_registry LIMIT " +
                       std::to_string(settings_.auth_cache_max_size + 1) + ") AS d");
  if (!devices) return;
  if (devices->Int(0, 0) > settings_.auth_cache_max_size) {
    out_.Warn("fleet", "more than " + most + " devices are registered",
              "set AUTH_CACHE_MAX_SIZE to the size of the fleet: the others are looked up again "
              "and again");
  } else {
    out_.Ok("fleet", std::to_string(devices->Int(0, 0)) + " devices, the cache holds " + most);
  }
  const auto ending = Ask("device certificates", kExpiringDevicesSql);
  if (!ending) return;
  if (ending->Int(0, 0) == 0) return out_.Ok("device certificates", "none ends within 14 days");
  out_.Warn(
      "device certificates",
      std::to_string(ending->Int(0, 0)) + " devices have none that is good for another 14 days",
      "see docs/operations.md, SluiceCertificatesEnding");
}

void DatabaseExam::CheckListening() {
  if (settings_.listen_database_url.empty()) return;
  auto listening = PgConnection::Connect(settings_.ListenConninfo(), settings_.pg_connect_timeout);
  if (!listening.ok()) {
    return out_.Fail("LISTEN_DATABASE_URL", listening.error().Describe(),
                     AdviceFor(listening.error()));
  }
  constexpr const char* kWhich =
      "SELECT (SELECT oid FROM pg_database WHERE datname = current_database()), "
      "pg_postmaster_start_time()";
  auto there = (*listening)->Exec(kWhich);
  const auto here = Ask("LISTEN_DATABASE_URL", kWhich);
  if (!here) return;
  if (there.ok() && there->Text(0, 0) == here->Text(0, 0) &&
      there->Text(0, 1) == here->Text(0, 1)) {
    return out_.Ok("LISTEN_DATABASE_URL", "it is the same database");
  }
  out_.Fail("LISTEN_DATABASE_URL", "it leads to another database than DATABASE_URL",
            "give it the same database on the primary, past the pooler");
}

// Every wait of a listener is bounded by its options.
void DatabaseExam::CheckNotifications() {
  FirstWord word;
  ChangeListener listener({.conninfo = settings_.ListenConninfo(),
                           .sender_conninfo = settings_.Conninfo(),
                           .connect_timeout = settings_.pg_connect_timeout,
                           .heartbeat = kHeartbeat},
                          word);
  listener.Start();
  const std::string why = word.Await();
  if (why.empty()) return out_.Ok("notifications", "they arrive");
  out_.Fail("notifications", why,
            "see docs/operations.md, Changes are not heard; behind PgBouncer set "
            "LISTEN_DATABASE_URL");
}

}  // namespace

std::vector<Finding> CheckDatabase(const Patient& patient) {
  Findings out("database");
  Findings clock("clock");
  DatabaseExam(patient, &out, &clock).Run();
  std::vector<Finding> found = out.Take();
  for (Finding& finding : clock.Take()) found.push_back(std::move(finding));
  return found;
}

}  // namespace sluice
