#include "ingest/ledger.h"

#include "ingest/database_writer.h"
#include "schema/migrator.h"

namespace sluice {
namespace {

constexpr auto kWatcher = DatabaseHealth::Seen::kByWatcher;

Status CheckSchema(PgConnection& db, DatabaseHealth* health) {
  const auto version = SchemaVersion(db);
  const int wanted = AllMigrations().back().version;
  if (version.ok() && *version == wanted) return Status::Ok();
  Status status = version.ok() ? Status(ErrorCode::kRejected,
                                        "the database's schema is at version " +
                                            std::to_string(*version) + ", this binary needs " +
                                            std::to_string(wanted) + ": run `sluice migrate`")
                               : version.status();
  const bool away = !version.ok() && version.code() != ErrorCode::kRejected;
  health->Failed(kWatcher, away ? DatabaseState::kRetrying : DatabaseState::kPaused,
                 status.message());
  return status;
}

}  // namespace

Result<std::vector<SeqRange>> ReadLedger(PgSession& session, const std::string& spool_id,
                                         DatabaseHealth* health) {
  const auto failed = [health](const PgError& error) {
    health->Failed(kWatcher, error);
    return Status(ErrorCode::kUnavailable, error.Describe());
  };
  auto acquired = session.Acquire();
  if (!acquired.ok()) return failed(acquired.error());
  PgConnection& db = **acquired;
  if (Status status = CheckSchema(db, health); !status.ok()) return status;

  auto rows = db.Exec(session.BeginSql() + "SELECT pg_advisory_xact_lock(" +
                      std::to_string(SpoolLockKey(spool_id)) +
                      "); SELECT first_seq, last_seq FROM ingest_ledger WHERE spool_id = '" +
                      spool_id + "' ORDER BY first_seq");
  if (!rows.ok()) {
    session.Drop();
    return failed(rows.error());
  }
  std::vector<SeqRange> committed;
  committed.reserve(static_cast<size_t>(rows->size()));
  for (int row = 0; row < rows->size(); ++row) {
    committed.push_back(
        {static_cast<uint64_t>(rows->Int(row, 0)), static_cast<uint64_t>(rows->Int(row, 1))});
  }
  if (auto done = db.Exec("COMMIT"); !done.ok()) return failed(done.error());
  health->Succeeded(kWatcher);
  return committed;
}

}  // namespace sluice
