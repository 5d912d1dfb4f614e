#include "schema/migrator.h"

#include <algorithm>
#include <map>
#include <utility>

namespace sluice {
namespace {

// Held to the end of a migration's transaction. Any constant does; this one spells "sluice".
constexpr const char* kLockKey = "126909663503205";

struct Applied {
  std::string name;
  std::string checksum;
};
using AppliedMigrations = std::map<int, Applied>;

Status ToStatus(const std::string& what, const PgError& error) {
  ErrorCode code = ErrorCode::kRejected;
  if (error.timed_out) {
    code = ErrorCode::kTimeout;
  } else if (error.connection_lost || error.sqlstate == "55P03") {
    code = ErrorCode::kUnavailable;
  }
  return {code, what + ": " + error.Describe()};
}

Result<AppliedMigrations> ReadApplied(PgConnection& connection) {
  AppliedMigrations applied;
  // Not to_regclass: in a transaction that waited for the lock it may answer from before the wait.
  PgResult<PgRows> table = connection.Exec(
      "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'sluice_schema_migrations'"
      " AND relnamespace = 'public'::regnamespace)");
  if (!table.ok()) return ToStatus("cannot read the schema version", table.error());
  if (!table->Bool(0, 0)) return applied;

  PgResult<PgRows> rows =
      connection.Exec("SELECT version, name, checksum FROM public.sluice_schema_migrations");
  if (!rows.ok()) return ToStatus("cannot read the schema version", rows.error());
  for (int i = 0; i < rows->size(); ++i) {
    applied[static_cast<int>(rows->Int(i, 0))] = {std::string(rows->Text(i, 1)),
                                                  std::string(rows->Text(i, 2))};
  }
  return applied;
}

Status CheckApplied(const AppliedMigrations& applied) {
  const std::vector<Migration>& all = AllMigrations();
  if (!applied.empty() && applied.rbegin()->first > all.back().version) {
    return {ErrorCode::kRejected, "the database is at schema version " +
                                      std::to_string(applied.rbegin()->first) +
                                      ", this binary knows versions up to " +
                                      std::to_string(all.back().version) + ": use a newer binary"};
  }
  for (const Migration& migration : all) {
    const auto found = applied.find(migration.version);
    if (found != applied.end() && found->second.checksum != migration.checksum) {
      return {ErrorCode::kRejected,
              "migration " + std::to_string(migration.version) + " (" + found->second.name +
                  ") of the database is not the one of this binary: their checksums differ"};
    }
  }
  return Status::Ok();
}

Status BeginLocked(PgConnection& connection, std::chrono::milliseconds lock_wait) {
  PgResult<PgRows> begun = connection.Exec(
      "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
      "SET LOCAL search_path = public; SET LOCAL client_min_messages = warning;"
      "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;"
      "SET LOCAL lock_timeout = " +
      std::to_string(std::max<int64_t>(1, lock_wait.count())) + ";" +
      "SELECT pg_advisory_xact_lock(" + kLockKey + ")");
  if (begun.ok()) return Status::Ok();
  if (begun.error().sqlstate == "55P03") {
    return {ErrorCode::kUnavailable, "another migration of this database is running"};
  }
  return ToStatus("cannot begin a migration", begun.error());
}

// In a transaction that holds the lock. False when somebody else applied it meanwhile.
Result<bool> ApplyLocked(PgConnection& connection, const Migration& migration) {
  Result<AppliedMigrations> applied = ReadApplied(connection);
  if (!applied.ok()) return applied.status();
  if (Status fits = CheckApplied(*applied); !fits.ok()) return fits;
  if (applied->contains(migration.version)) return false;

  const std::string what =
      "migration " + std::to_string(migration.version) + " (" + migration.name + ")";
  PgResult<PgRows> made = connection.Exec(
      "CREATE TABLE IF NOT EXISTS public.sluice_schema_migrations ("
      "version integer PRIMARY KEY, name text NOT NULL,"
      "applied_at timestamptz NOT NULL DEFAULT now(), checksum text NOT NULL)");
  if (!made.ok()) return ToStatus(what, made.error());
  PgResult<PgRows> ran = connection.Exec(migration.sql);
  if (!ran.ok()) return ToStatus(what, ran.error());
  PgResult<PgRows> recorded = connection.ExecParams(
      "INSERT INTO public.sluice_schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
      {std::to_string(migration.version), migration.name, migration.checksum});
  if (!recorded.ok()) return ToStatus(what, recorded.error());
  PgResult<PgRows> committed = connection.Exec("COMMIT");
  if (!committed.ok()) return ToStatus(what, committed.error());
  return true;
}

Status ApplyMissing(PgConnection& connection, const MigrateOptions& options,
                    const std::vector<Migration>& missing, MigrationReport* report) {
  for (const Migration& migration : missing) {
    if (Status begun = BeginLocked(connection, options.lock_wait); !begun.ok()) {
      (void)connection.Exec("ROLLBACK");
      return begun;
    }
    Result<bool> applied = ApplyLocked(connection, migration);
    if (!applied.ok() || !*applied) (void)connection.Exec("ROLLBACK");
    if (!applied.ok()) return applied.status();
    if (*applied) report->applied.push_back(migration);
  }
  return Status::Ok();
}

}  // namespace

Result<MigrationReport> Migrate(PgConnection& connection, const MigrateOptions& options) {
  MigrationReport report;
  Result<AppliedMigrations> applied = ReadApplied(connection);
  if (!applied.ok()) return applied.status();
  if (Status fits = CheckApplied(*applied); !fits.ok()) return fits;
  if (!applied->empty()) report.version_before = applied->rbegin()->first;

  std::vector<Migration> missing;
  for (const Migration& migration : AllMigrations()) {
    if (!applied->contains(migration.version)) missing.push_back(migration);
  }
  if (options.dry_run) {
    report.applied = std::move(missing);
    return report;
  }

  connection.TakeNotices();
  const std::chrono::milliseconds timeout_before = connection.timeout();
  connection.set_timeout(options.timeout);
  Status status = ApplyMissing(connection, options, missing, &report);
  connection.set_timeout(timeout_before);
  report.warnings = connection.TakeNotices();
  if (!status.ok()) return status;
  return report;
}

Result<int> SchemaVersion(PgConnection& connection) {
  Result<AppliedMigrations> applied = ReadApplied(connection);
  if (!applied.ok()) return applied.status();
  return applied->empty() ? 0 : applied->rbegin()->first;
}

Status CheckSchemaVersion(PgConnection& connection) {
  const Result<int> version = SchemaVersion(connection);
  if (!version.ok()) return version.status();
  const int wanted = AllMigrations().back().version;
  if (*version == wanted) return Status::Ok();
  return {ErrorCode::kRejected,
          "the database's schema is at version " + std::to_string(*version) +
              ", this binary needs " + std::to_string(wanted) +
              (*version < wanted ? ": run `sluice migrate`" : ": use a newer binary")};
}

}  // namespace sluice
