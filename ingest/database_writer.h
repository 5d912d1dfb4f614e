// DatabaseWriter: the RowSink on PostgreSQL: one transaction a chunk, binary COPY.
#pragma once

#include <chrono>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/pg_session.h"
#include "ingest/pipeline.h"
#include "ingest/row_sink.h"
#include "quarantine/quarantine_writer.h"

namespace sluice {

struct WriterOptions {
  std::string spool_id;                   // the uuid's text
  size_t max_quarantine_payload = 16384;  // QUARANTINE_PAYLOAD_MAX_BYTES
  bool counters = true;                   // COUNTERS_ENABLED
};

// The advisory lock of a spool: every chunk's transaction holds it shared; who wants to know what a
// dead process committed takes it exclusively and then reads the ledger.
int64_t SpoolLockKey(const std::string& spool_id);

// One for each worker; not thread-safe.
class DatabaseWriter final : public RowSink {
 public:
  // `session` is shared with the worker's CredentialStore. Everything must outlive the writer.
  DatabaseWriter(const WriterOptions& options, PgSession& session, const PipelineShared& shared);

  PgResult<CommitReport> Commit(Batch* batch) override;

 private:
  using Accepted = std::vector<Message*>;

  PgResult<CommitReport> CommitOnce(PgConnection& db, Batch* batch);
  PgResult<CommitReport> CommitNew(PgConnection& db, Batch* batch);
  PgResult<bool> AlreadyCommitted(PgConnection& db, const Chunk& chunk);
  PgStatus EnsurePartitions(PgConnection& db, const std::set<int64_t>& days);
  // Begins the transaction with the statement that follows it: one round trip.
  std::string InTransaction(const std::string& sql);
  PgStatus CopyTelemetry(PgConnection& db, const Batch& batch, std::span<Message* const> messages);
  PgStatus CopyRange(PgConnection& db, const std::string& before, const Batch& batch,
                     std::span<Message* const> messages);
  // After a poison row: finds the guilty messages and rejects them, stores the rest.
  PgStatus CopyAroundPoison(PgConnection& db, Batch* batch);
  PgStatus CopyInSavepoint(PgConnection& db, const Batch& batch,
                           std::span<Message* const> messages);
  PgStatus ProbeTable(PgConnection& db, const Message& guilty);
  PgStatus CopyQuarantine(PgConnection& db, const Batch& batch);
  std::string FinalSql(PgConnection& db, const Batch& batch);

  const WriterOptions options_;
  PgSession& session_;
  const PipelineShared& shared_;
  const std::string begin_sql_;
  QuarantineBatch quarantine_;
  std::set<int64_t> known_days_;
  std::chrono::steady_clock::time_point known_since_{};
  bool in_transaction_ = false;
  // A COMMIT was sent and its answer never came: the ledger knows.
  bool outcome_unknown_ = false;
};

}  // namespace sluice
