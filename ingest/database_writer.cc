#include "ingest/database_writer.h"

#include <utility>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/pg_copy.h"
#include "ingest/database_health.h"
#include "ingest/final_sql.h"

namespace sluice {
namespace {

// Of a chunk, found one by one; a registry that refuses more of them may keep the rest, too.
constexpr uint64_t kMostRefusedPlaces = 50;

bool IsPoison(const PgError& error) {
  return Classify(error) == Failure::kPoison;
}

// That chunk, or one with the same beginning, is in the ledger already.
bool IsInLedger(const PgError& error) {
  return error.sqlstate == "23505" && error.constraint == "ingest_ledger_pkey";
}

std::string ProofOf(const Message& message) {
  if (message.claim) return StampMethodText(*message.claim);
  return std::string(message.stamped == Stamped::kForged ? kForgedProof : "");
}

}  // namespace

int64_t SpoolLockKey(const std::string& spool_id) {
  const std::string bytes = UuidBytes(spool_id);
  int64_t key = 0;
  for (size_t i = 0; i < sizeof(key); ++i) {
    key = static_cast<int64_t>((static_cast<uint64_t>(key) << 8) |
                               static_cast<unsigned char>(bytes[i]));
  }
  return key;
}

DatabaseWriter::DatabaseWriter(const WriterOptions& options, PgSession& session,
                               const PipelineShared& shared)
    : options_(options),
      session_(session),
      shared_(shared),
      rows_(shared),
      begin_sql_(session.BeginSql() + "SELECT pg_advisory_xact_lock_shared(" +
                 std::to_string(SpoolLockKey(options.spool_id)) + "); "),
      quarantine_(UuidBytes(options.spool_id), options.max_quarantine_payload) {}

PgResult<CommitReport> DatabaseWriter::Commit(Batch* batch) {
  auto acquired = session_.Acquire();
  if (!acquired.ok()) return acquired.error();
  PgConnection& db = **acquired;
  in_transaction_ = false;
  auto report = CommitOnce(db, batch);
  if (!report.ok() && db.alive() && in_transaction_) {
    if (auto undone = Rollback(db); !undone.ok()) session_.Drop();
  }
  return report;
}

PgResult<CommitReport> DatabaseWriter::CommitOnce(PgConnection& db, Batch* batch) {
  const uint64_t first_seq = batch->chunk->first_seq;
  const bool doubtful = unknown_ == first_seq;
  if (doubtful) {
    auto committed = AlreadyCommitted(db, first_seq);
    if (!committed.ok()) return committed.error();
    if (*committed) return Confirmed(first_seq);
  }
  auto report = CommitNew(db, batch, Places::kAll);
  if (!report.ok() && IsPoison(report.error()) && !IsInLedger(report.error()) &&
      !MovesOf(*batch).empty()) {
    if (auto undone = Rollback(db); !undone.ok()) return undone.error();
    const PgError refused = report.error();
    report = CommitNew(db, batch, Places::kWhatIsTaken);
    if (report.ok() && report->places_refused > 0) {
      LogWarning("places_refused",
                 {{"devices", report->places_refused}, {"reason", refused.Describe()}});
    }
  }
  if (report.ok()) {
    unknown_.reset();
  } else if (doubtful && IsInLedger(report.error())) {
    // Our earlier attempt committed while this one was under way.
    if (auto undone = Rollback(db); !undone.ok()) return undone.error();
    return Confirmed(first_seq);
  }
  return report;
}

CommitReport DatabaseWriter::Confirmed(uint64_t first_seq) {
  unknown_.reset();
  LogInfo("commit_confirmed_by_ledger", {{"first_seq", first_seq}});
  return CommitReport{.already = true};
}

PgResult<CommitReport> DatabaseWriter::CommitNew(PgConnection& db, Batch* batch, Places places) {
  if (auto ready = rows_.EnsurePartitions(db, *batch); !ready.ok()) return ready.error();
  SLUICE_FAILPOINT("writer.before_telemetry");
  if (auto copied = CopyTelemetry(db, batch); !copied.ok()) {
    return copied.error().During("storing rows in telemetry");
  }
  SLUICE_FAILPOINT("writer.after_telemetry");
  if (auto kept = CopyQuarantine(db, *batch); !kept.ok()) {
    return kept.error().During("writing quarantine_events");
  }
  auto refused = Finish(db, *batch, places);
  if (!refused.ok()) return refused.error();

  CommitReport report;
  report.places_refused = *refused;
  report.bytes = quarantine_.tuples().size();
  for (const Message& message : batch->messages) {
    if (!message.accepted()) continue;
    ++report.accepted;
    report.rows += message.rows;
    report.bytes += message.tuples_end - message.tuples_begin;
    if (message.MovesDevice()) shared_.directory.Forget(message.key());
  }
  return report;
}

PgResult<uint64_t> DatabaseWriter::Finish(PgConnection& db, const Batch& batch, Places places) {
  // A COMMIT is on its way only while its transaction is known to hold the spool's lock: else one
  // that still lies in a dead process' socket could take effect after the next one read the ledger.
  if (!in_transaction_) {
    if (auto begun = db.Exec(InTransaction("")); !begun.ok()) return begun.error();
  }
  const std::vector<const Message*> moves = MovesOf(batch);
  uint64_t refused = 0;
  std::string sql = options_.counters ? CountersSql(db, quarantine_.counters()) : "";
  if (places == Places::kAll) {
    sql += LocationsSql(db, moves);
  } else {
    // Counters first: every transaction locks in that order.
    if (auto counted = db.Exec(std::exchange(sql, "")); !counted.ok()) {
      return counted.error().During("writing quarantine_counters_minute");
    }
    auto moved = MoveWhatIsTaken(db, moves);
    if (!moved.ok()) return moved.error().During("writing device_registry");
    refused = *moved;
  }
  sql += NotifySql(db, batch) + LedgerSql(options_.spool_id, batch) + "COMMIT";
  SLUICE_FAILPOINT("writer.before_commit");
  auto committed = db.Exec(sql);
  SLUICE_FAILPOINT("writer.after_commit");
  if (!committed.ok()) {
    if (committed.error().connection_lost) unknown_ = batch.chunk->first_seq;
    return committed.error().During(
        places == Places::kAll
            ? "writing quarantine_counters_minute, device_registry and ingest_ledger"
            : "writing ingest_ledger");
  }
  in_transaction_ = false;
  return refused;
}

// Halves what is refused down to the guilty ones, in the order in which all transactions lock.
// Deferred constraints are checked at once: at COMMIT they would name nobody.
PgResult<uint64_t> DatabaseWriter::MoveWhatIsTaken(PgConnection& db,
                                                   std::span<const Message* const> moves) {
  std::vector<std::span<const Message* const>> open{moves};
  uint64_t refused = 0;
  while (!open.empty() && refused < kMostRefusedPlaces) {
    const std::span<const Message* const> part = open.back();
    open.pop_back();
    auto moved = db.Exec("SAVEPOINT place; " + LocationsSql(db, part) +
                         "SET CONSTRAINTS ALL IMMEDIATE; RELEASE place");
    if (moved.ok()) continue;
    if (!IsPoison(moved.error())) return moved.error();
    if (auto undone = db.Exec("ROLLBACK TO place; RELEASE place"); !undone.ok()) {
      return undone.error();
    }
    if (part.size() <= 1) {
      refused += part.size();
      continue;
    }
    open.push_back(part.subspan(part.size() / 2));
    open.push_back(part.first(part.size() / 2));
  }
  for (const auto& part : open) refused += part.size();
  return refused;
}

PgStatus DatabaseWriter::Rollback(PgConnection& db) {
  if (auto undone = db.Exec("ROLLBACK"); !undone.ok()) return undone.error();
  in_transaction_ = false;
  return PgOk{};
}

PgResult<bool> DatabaseWriter::AlreadyCommitted(PgConnection& db, uint64_t first_seq) {
  auto rows = db.Exec("SELECT 1 FROM ingest_ledger WHERE spool_id = '" + options_.spool_id +
                      "' AND first_seq = " + std::to_string(first_seq));
  if (!rows.ok()) return rows.error().During("reading ingest_ledger");
  return rows->size() > 0;
}

std::string DatabaseWriter::InTransaction(const std::string& sql) {
  if (in_transaction_) return sql;
  in_transaction_ = true;
  return begin_sql_ + sql;
}

PgStatus DatabaseWriter::CopyTelemetry(PgConnection& db, Batch* batch) {
  if (!TelemetryWriter::HasRows(*batch)) return PgOk{};
  auto copied = rows_.Copy(db, InTransaction(""), batch);
  if (copied.ok() || !IsPoison(copied.error())) return copied;
  if (auto undone = Rollback(db); !undone.ok()) return undone;
  return rows_.CopyAroundPoison(db, InTransaction(""), batch);
}

PgStatus DatabaseWriter::CopyQuarantine(PgConnection& db, const Batch& batch) {
  quarantine_.Clear();
  for (const Message& message : batch.messages) {
    if (message.accepted()) continue;
    const std::string proof = ProofOf(message);
    quarantine_.Add({.topic = message.record->topic,
                     .tenant = message.topic.tenant,
                     .device = message.topic.device,
                     .msg_type = message.topic.msg_type,
                     .site_id = batch.SiteOf(message),
                     .payload = message.record->payload,
                     .payload_is_json = message.payload_is_json,
                     .reason = message.rejection->reason,
                     .detail = message.rejection->detail,
                     .identity = message.claim ? message.claim->identity : "",
                     .identity_proof = proof,
                     .token = message.token,
                     .event_time = message.event_time,
                     .received = message.record->received,
                     .seq = message.record->seq},
                    message.rejection->stored);
  }
  if (quarantine_.tuples().empty()) return PgOk{};
  SLUICE_FAILPOINT("writer.before_quarantine");
  static const std::string sql = "COPY quarantine_events (" +
                                 std::string(QuarantineBatch::kColumns) +
                                 ") FROM STDIN (FORMAT binary)";
  if (auto begun = db.CopyBegin(InTransaction(sql)); !begun.ok()) return begun;
  for (const std::string_view piece :
       {kCopyHeader, std::string_view(quarantine_.tuples()), kCopyTrailer}) {
    if (auto put = db.CopyPut(piece); !put.ok()) return put;
  }
  auto ended = db.CopyEnd();
  if (!ended.ok()) return ended.error();
  SLUICE_FAILPOINT("writer.after_quarantine");
  return PgOk{};
}

}  // namespace sluice
