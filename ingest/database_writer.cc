#include "ingest/database_writer.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/escape.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/pg_copy.h"
#include "ingest/database_health.h"
#include "ingest/final_sql.h"
#include "ingest/telemetry_copy.h"
#include "schema/timestamp.h"

namespace sluice {
namespace {

// A failed class of PostgreSQL's own choosing, so that Classify pauses: the breaker's error.
constexpr const char* kBreakerState = "F0000";
// Of a COPY that goes around guilty messages; below, round trips cost more than rows.
constexpr size_t kShortestReach = 64;
// Of a chunk, found one by one; a registry that refuses more of them may keep the rest, too.
constexpr uint64_t kMostRefusedPlaces = 50;
// How long a day's partition is taken to be there: retention may drop it, an operator may make it.
constexpr std::chrono::minutes kForgetDays{10};

std::string CopySql(std::string_view table, std::string_view columns) {
  return "COPY " + std::string(table) + " (" + std::string(columns) +
         ") FROM STDIN (FORMAT binary)";
}

const std::string& TelemetrySql() {
  static const std::string sql = CopySql("telemetry", kTelemetryColumns);
  return sql;
}

// The number in "COPY telemetry, line 7, column x", counted from 0; nothing when there is none.
std::optional<size_t> LineOf(const PgError& error) {
  constexpr std::string_view kMark = ", line ";
  const size_t at = error.context.find(kMark);
  if (at == std::string::npos) return std::nullopt;
  size_t line = 0;
  const char* begin = error.context.data() + at + kMark.size();
  const auto [end, bad] = std::from_chars(begin, error.context.data() + error.context.size(), line);
  if (bad != std::errc() || line == 0) return std::nullopt;
  return line - 1;
}

// Which of the messages the row with that number belongs to.
std::optional<size_t> MessageOfRow(std::span<Message* const> messages, size_t row) {
  for (size_t i = 0; i < messages.size(); ++i) {
    if (row < messages[i]->rows) return i;
    row -= messages[i]->rows;
  }
  return std::nullopt;
}

bool IsPoison(const PgError& error) {
  return Classify(error) == Failure::kPoison;
}

// That chunk, or one with the same beginning, is in the ledger already.
bool IsInLedger(const PgError& error) {
  return error.sqlstate == "23505" && error.constraint == "ingest_ledger_pkey";
}

// In the order of telemetry's index: neighbours in the COPY are neighbours in the btree.
std::vector<Message*> AcceptedOf(Batch* batch) {
  std::vector<Message*> accepted;
  accepted.reserve(batch->messages.size());
  for (Message& message : batch->messages) {
    if (message.accepted()) accepted.push_back(&message);
  }
  std::stable_sort(accepted.begin(), accepted.end(),
                   [](const Message* a, const Message* b) { return a->key() < b->key(); });
  return accepted;
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
  if (auto ready = EnsurePartitions(db, batch->AcceptedDays()); !ready.ok()) return ready.error();

  const Accepted accepted = AcceptedOf(batch);
  SLUICE_FAILPOINT("writer.before_telemetry");
  auto copied = CopyTelemetry(db, *batch, accepted);
  if (!copied.ok() && IsPoison(copied.error())) {
    if (auto undone = Rollback(db); !undone.ok()) return undone.error();
    copied = CopyAroundPoison(db, batch);
  }
  if (!copied.ok()) return copied.error().During("storing rows in telemetry");
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

PgStatus DatabaseWriter::EnsurePartitions(PgConnection& db, const std::set<int64_t>& days) {
  const auto now = std::chrono::steady_clock::now();
  if (now - known_since_ > kForgetDays) {
    known_days_.clear();
    known_since_ = now;
  }
  for (const int64_t day : days) {
    if (known_days_.contains(day)) continue;
    auto made = db.Exec("SELECT sluice_ensure_partition('" + FormatDay(day) + "')");
    if (!made.ok() && Classify(made.error()) == Failure::kRetry) return made.error();
    // Refused for good: the rows go to the default partition, if there is one.
    if (!made.ok()) {
      LogError("partition_refused", {{"day", FormatDay(day)}, {"reason", made.error().Describe()}});
    }
    known_days_.insert(day);
  }
  return PgOk{};
}

std::string DatabaseWriter::InTransaction(const std::string& sql) {
  if (in_transaction_) return sql;
  in_transaction_ = true;
  return begin_sql_ + sql;
}

PgStatus DatabaseWriter::CopyTelemetry(PgConnection& db, const Batch& batch,
                                       std::span<Message* const> messages) {
  if (messages.empty()) return PgOk{};
  return CopyRange(db, "", batch, messages);
}

PgStatus DatabaseWriter::CopyRange(PgConnection& db, const std::string& before, const Batch& batch,
                                   std::span<Message* const> messages) {
  if (auto begun = db.CopyBegin(InTransaction(before + TelemetrySql())); !begun.ok()) return begun;
  if (auto put = db.CopyPut(kCopyHeader); !put.ok()) return put;
  // Neighbours' tuples lie side by side: one Put for each unbroken run.
  for (size_t i = 0; i < messages.size();) {
    const size_t begin = messages[i]->tuples_begin;
    size_t end = messages[i]->tuples_end;
    for (++i; i < messages.size() && messages[i]->tuples_begin == end; ++i) {
      end = messages[i]->tuples_end;
    }
    const std::string_view run = std::string_view(batch.tuples).substr(begin, end - begin);
    if (auto put = db.CopyPut(run); !put.ok()) return put;
  }
  if (auto put = db.CopyPut(kCopyTrailer); !put.ok()) return put;
  auto ended = db.CopyEnd();
  if (!ended.ok()) return ended.error();
  return PgOk{};
}

PgStatus DatabaseWriter::CopyInSavepoint(PgConnection& db, const Batch& batch,
                                         std::span<Message* const> messages) {
  auto copied = CopyRange(db, "SAVEPOINT part; ", batch, messages);
  const char* close = copied.ok() ? "RELEASE part" : "ROLLBACK TO part; RELEASE part";
  if (copied.ok() || IsPoison(copied.error())) {
    if (auto closed = db.Exec(close); !closed.ok()) return closed.error();
  }
  return copied;
}

// Every COPY runs in a savepoint. A failure's CONTEXT names the line, so each guilty message costs
// four COPYs at most, five before any was taken; without a line (a trigger at the end of the
// statement) the range is halved.
// A COPY reaches twice as far as the last guilty one was away: all that follows would be sent in
// vain, again and again, when the guilty are many.
PgStatus DatabaseWriter::CopyAroundPoison(PgConnection& db, Batch* batch) {
  const Accepted accepted = AcceptedOf(batch);
  std::vector<std::span<Message* const>> open{accepted};
  size_t copies = 0;
  size_t guilty = 0;
  bool any_stored = false;
  size_t reach = accepted.size();
  while (!open.empty()) {
    std::span<Message* const> part = open.back();
    open.pop_back();
    if (part.empty()) continue;
    if (part.size() > reach) {
      open.push_back(part.subspan(reach));
      part = part.first(reach);
    }
    ++copies;
    auto copied = CopyInSavepoint(db, *batch, part);
    if (!copied.ok() && IsPoison(copied.error()) && part.size() == 1 && !any_stored) {
      if (auto probed = ProbeTable(db, *part.front()); !probed.ok()) return probed;
      // The table may have been mended in between.
      ++copies;
      copied = CopyInSavepoint(db, *batch, part);
    }
    if (copied.ok()) {
      any_stored = true;
      reach = std::min(2 * reach, accepted.size());
      continue;
    }
    if (!IsPoison(copied.error())) return copied;
    if (part.size() == 1) {
      ++guilty;
      Reject(shared_, part.front(), Reason::kStorageRejected,
             copied.error().sqlstate + ": " + copied.error().message);
      continue;
    }
    const auto line = LineOf(copied.error());
    const auto named = line ? MessageOfRow(part, *line) : std::nullopt;
    const size_t middle = named.value_or(part.size() / 2);
    if (named) reach = std::max(kShortestReach, 2 * middle);
    // Worked on from the back: what comes before the guilty one first, as it is likely good.
    open.push_back(part.subspan(named ? middle + 1 : middle));
    if (named) open.push_back(part.subspan(middle, 1));
    open.push_back(part.first(middle));
  }
  LogWarning("rows_refused_by_database",
             {{"messages", guilty}, {"of", accepted.size()}, {"copies", copies}});
  return PgOk{};
}

// Is it the row or the table? A harmless row at the guilty one's time tells: when it is refused
// too, so would every row be, and quarantining them would lose the operator's data one by one.
PgStatus DatabaseWriter::ProbeTable(PgConnection& db, const Message& guilty) {
  const std::string time = FormatIso8601(guilty.event_time.value_or(guilty.record->received));
  auto probed = db.Exec(
      "SAVEPOINT probe; INSERT INTO telemetry (time, tenant_id, device_id, site_id) VALUES ('" +
      time +
      "', 'sluice-probe', 'sluice-probe', 'sluice-probe'); ROLLBACK TO probe; RELEASE probe");
  if (!probed.ok() && !IsPoison(probed.error())) return probed.error();
  if (!probed.ok()) {
    PgError breaker = probed.error();
    breaker.message = "every row is refused: " + breaker.sqlstate + ": " + breaker.message;
    breaker.sqlstate = kBreakerState;
    return breaker;
  }
  return PgOk{};
}

PgStatus DatabaseWriter::CopyQuarantine(PgConnection& db, const Batch& batch) {
  quarantine_.Clear();
  for (const Message& message : batch.messages) {
    if (message.accepted()) continue;
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
                     .token = message.token,
                     .event_time = message.event_time,
                     .received = message.record->received,
                     .seq = message.record->seq},
                    message.rejection->stored);
  }
  if (quarantine_.tuples().empty()) return PgOk{};
  SLUICE_FAILPOINT("writer.before_quarantine");
  static const std::string sql = CopySql("quarantine_events", QuarantineBatch::kColumns);
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
