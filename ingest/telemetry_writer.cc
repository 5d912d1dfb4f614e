#include "ingest/telemetry_writer.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/pg_copy.h"
#include "ingest/database_health.h"
#include "ingest/telemetry_copy.h"
#include "schema/timestamp.h"

namespace sluice {
namespace {

// A failed class of PostgreSQL's own choosing, so that Classify pauses: the breaker's error.
constexpr const char* kBreakerState = "F0000";
// Of a COPY that goes around guilty messages; below, round trips cost more than rows.
constexpr size_t kShortestReach = 64;
// How long a day's partition is taken to be there: retention may drop it, an operator may make it.
constexpr std::chrono::minutes kForgetDays{10};

const std::string& TelemetrySql() {
  static const std::string sql =
      "COPY telemetry (" + std::string(kTelemetryColumns) + ") FROM STDIN (FORMAT binary)";
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

bool TelemetryWriter::HasRows(const Batch& batch) {
  return std::any_of(batch.messages.begin(), batch.messages.end(),
                     [](const Message& message) { return message.accepted(); });
}

PgStatus TelemetryWriter::EnsurePartitions(PgConnection& db, const Batch& batch) {
  const auto now = std::chrono::steady_clock::now();
  if (now - known_since_ > kForgetDays) {
    known_days_.clear();
    known_since_ = now;
  }
  for (const int64_t day : batch.AcceptedDays()) {
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

PgStatus TelemetryWriter::Copy(PgConnection& db, const std::string& before, Batch* batch) {
  return CopyRange(db, before, *batch, AcceptedOf(batch));
}

PgStatus TelemetryWriter::CopyRange(PgConnection& db, const std::string& before, const Batch& batch,
                                    std::span<Message* const> messages) {
  if (auto begun = db.CopyBegin(before + TelemetrySql()); !begun.ok()) return begun;
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

PgStatus TelemetryWriter::CopyInSavepoint(PgConnection& db, const std::string& before,
                                          const Batch& batch, std::span<Message* const> messages) {
  auto copied = CopyRange(db, before + "SAVEPOINT part; ", batch, messages);
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
PgStatus TelemetryWriter::CopyAroundPoison(PgConnection& db, std::string before, Batch* batch) {
  const std::vector<Message*> accepted = AcceptedOf(batch);
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
    auto copied = CopyInSavepoint(db, std::exchange(before, ""), *batch, part);
    if (!copied.ok() && IsPoison(copied.error()) && part.size() == 1 && !any_stored) {
      if (auto probed = ProbeTable(db, *part.front()); !probed.ok()) return probed;
      // The table may have been mended in between.
      ++copies;
      copied = CopyInSavepoint(db, "", *batch, part);
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
PgStatus TelemetryWriter::ProbeTable(PgConnection& db, const Message& guilty) {
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

}  // namespace sluice
