// DatabaseWriter: the RowSink on PostgreSQL: one transaction a chunk, binary COPY.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/pg_session.h"
#include "ingest/pipeline.h"
#include "ingest/row_sink.h"
#include "ingest/telemetry_writer.h"
#include "quarantine/quarantine_writer.h"

namespace sluice {

struct WriterOptions {
  std::string spool_id;                   // the uuid's text
  size_t max_quarantine_payload = 16384;  // QUARANTINE_PAYLOAD_MAX_BYTES
  bool counters = true;                   // COUNTERS_ENABLED
};

// The advisory lock of a spool: every chunk's transaction holds it shared. The next process takes
// it exclusively before it reads the ledger (ledger.h): its chunks have other borders, so the
// ledger's key would not keep a late transaction of the dead one out.
int64_t SpoolLockKey(const std::string& spool_id);

// One for each worker; not thread-safe.
//
// A COMMIT whose answer never came: the next attempt looks into the ledger and, if the chunk is not
// there, commits it again in full. No lock is needed for that, because it is the same chunk with
// the same borders: the ledger's primary key lets one of the two attempts through. If the lost one
// is still under way (its backend is stopped, say), our INSERT waits for it until the statement
// timeout, which is a retry; other workers go on meanwhile, unless they need a row that the lost
// one has locked (the same counter, the same moving device). A violation of that key then says
// "already committed"; from a chunk that was never in doubt it says that somebody else writes under
// this spool's id, and is an error.
class DatabaseWriter final : public RowSink {
 public:
  // `session` is shared with the worker's CredentialStore. Everything must outlive the writer.
  DatabaseWriter(const WriterOptions& options, PgSession& session, const PipelineShared& shared);

  PgResult<CommitReport> Commit(Batch* batch) override;

 private:
  // How devices are moved: all that a chunk moves, or those that the registry does not refuse.
  enum class Places { kAll, kWhatIsTaken };

  PgResult<CommitReport> CommitOnce(PgConnection& db, Batch* batch);
  CommitReport Confirmed(uint64_t first_seq);
  PgResult<CommitReport> CommitNew(PgConnection& db, Batch* batch, Places places);
  // Returns how many places were refused.
  PgResult<uint64_t> Finish(PgConnection& db, const Batch& batch, Places places);
  PgResult<uint64_t> MoveWhatIsTaken(PgConnection& db, std::span<const Message* const> moves);
  PgStatus Rollback(PgConnection& db);
  PgResult<bool> AlreadyCommitted(PgConnection& db, uint64_t first_seq);
  // Begins the transaction with the statement that follows it: one round trip.
  std::string InTransaction(const std::string& sql);
  PgStatus CopyTelemetry(PgConnection& db, Batch* batch);
  PgStatus CopyQuarantine(PgConnection& db, const Batch& batch);

  const WriterOptions options_;
  PgSession& session_;
  const PipelineShared& shared_;
  TelemetryWriter rows_;
  const std::string begin_sql_;
  QuarantineBatch quarantine_;
  bool in_transaction_ = false;
  // first_seq of the chunk whose COMMIT was sent at least once and never answered.
  std::optional<uint64_t> unknown_;
};

}  // namespace sluice
