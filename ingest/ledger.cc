#include "ingest/ledger.h"

#include "ingest/database_writer.h"
#include "schema/migrator.h"

namespace sluice {
namespace {

constexpr auto kWatcher = DatabaseHealth::Seen::kByWatcher;

Status CheckSchema(PgConnection& db, DatabaseHealth* health) {
  Status status = CheckSchemaVersion(db);
  if (status.ok()) return status;
  const bool away = status.code() != ErrorCode::kRejected;
  health->Failed(kWatcher, away ? DatabaseState::kRetrying : DatabaseState::kPaused,
                 status.message());
  return status;
}

// " (backend 123, …)", or "" when they cannot be told.
std::string Holders(PgConnection& db, const std::string& key) {
  auto rows = db.Exec(
      "SELECT string_agg(pid::text, ', ' ORDER BY pid) FROM pg_locks "
      "WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
      "AND database = (SELECT oid FROM pg_database WHERE datname = "
      "current_database()) AND (classid::bigint << 32 | objid::bigint) = " +
      key);
  if (!rows.ok() || rows->IsNull(0, 0)) return "";
  return " (PostgreSQL backend " + std::string(rows->Text(0, 0)) + ")";
}

}  // namespace

Result<std::vector<SeqRange>> ReadLedger(PgSession& session, const std::string& spool_id,
                                         DatabaseHealth* health) {
  const auto failed = [health, &session](const PgError& error) {
    health->Failed(kWatcher, error.During("reading ingest_ledger"));
    session.Drop();
    return Status(ErrorCode::kUnavailable, error.Describe());
  };
  auto acquired = session.Acquire();
  if (!acquired.ok()) return failed(acquired.error());
  PgConnection& db = **acquired;
  if (Status status = CheckSchema(db, health); !status.ok()) return status;

  const std::string key = std::to_string(SpoolLockKey(spool_id));
  auto locked = db.Exec(session.BeginSql() + "SELECT pg_try_advisory_xact_lock(" + key + ")");
  if (!locked.ok()) return failed(locked.error());
  if (!locked->Bool(0, 0)) {
    Status waiting(ErrorCode::kUnavailable,
                   "waiting for a transaction that an earlier process of "
                   "this spool left open" +
                       Holders(db, key));
    health->Failed(kWatcher, DatabaseState::kRetrying, waiting.message());
    session.Drop();
    return waiting;
  }
  auto rows = db.Exec("SELECT first_seq, last_seq FROM ingest_ledger WHERE spool_id = '" +
                      spool_id + "' ORDER BY first_seq");
  if (!rows.ok()) return failed(rows.error());
  std::vector<SeqRange> committed;
  committed.reserve(static_cast<size_t>(rows->size()));
  for (int row = 0; row < rows->size(); ++row) {
    committed.push_back(
        {static_cast<uint64_t>(rows->Int(row, 0)), static_cast<uint64_t>(rows->Int(row, 1))});
  }
  if (auto done = db.Exec("COMMIT"); !done.ok()) return failed(done.error());
  return committed;
}

}  // namespace sluice
