#include "ingest/replayer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "ingest/database_health.h"
#include "ingest/final_sql.h"
#include "ingest/housekeeper.h"
#include "ingest/kept_message.h"
#include "ingest/part_options.h"
#include "schema/migrator.h"

namespace sluice {
namespace {

// A step's messages, unless their payloads could be larger together than this.
constexpr uint64_t kMostMessages = 4000;
constexpr uint64_t kMostBytes = uint64_t{64} << 20;

// One statement for both, so that the counts of NEW messages are locked in one order. Without a
// reason the message was accepted.
constexpr const char* kMarkSql = R"sql(
UPDATE quarantine_events q
   SET replay_state = CASE WHEN m.reason IS NULL THEN 'REPLAYED' ELSE q.replay_state END,
       reason = coalesce(m.reason, q.reason),
       first_reason = CASE WHEN coalesce(m.reason, q.reason) = q.reason THEN q.first_reason
                           ELSE coalesce(q.first_reason, q.reason) END,
       detail = CASE WHEN m.reason IS NULL THEN q.detail ELSE NULLIF(m.detail, '') END,
       replayed_at = now(), replayed_by = $4
  FROM (SELECT id, NULLIF(reason, '') AS reason, detail
          FROM unnest($1::bigint[], $2::text[], $3::text[]) AS m (id, reason, detail)) AS m
 WHERE q.id = m.id)sql";

uint64_t MessagesAStep(const Settings& settings) {
  return std::clamp(kMostBytes / settings.quarantine_payload_max_bytes, uint64_t{1}, kMostMessages);
}

}  // namespace

struct Replayer::Taken {
  PgRows rows;                // alive as long as what points into it
  std::vector<int> replayed;  // the row of each record
  std::vector<std::string> payloads;
  std::vector<Arrival> arrivals;
  Chunk chunk;
  Batch batch;
};

Replayer::Replayer(const Settings& settings, ReplayQueue& queue, std::string by)
    : settings_(settings),
      queue_(queue),
      by_(std::move(by)),
      messages_a_step_(MessagesAStep(settings)),
      session_(settings.Conninfo(), settings.pg_connect_timeout, settings.write_timeout),
      lookups_(settings.Conninfo(), settings.pg_connect_timeout, settings.write_timeout),
      store_(lookups_),
      directory_(DirectoryOptionsFrom(settings), SystemClock()),
      flood_({.per_device = 0, .total = 0}),
      shared_{PipelineOptionsFrom(settings), runtime_, directory_, limiter_, flood_, stamp_keys_},
      pipeline_(shared_, store_),
      rows_(shared_) {
  directory_.SetHearing(false);
}

Status Replayer::Prepare() {
  const auto failed = [](const PgError& error) {
    return Status(ErrorCode::kUnavailable, error.Describe());
  };
  auto db = session_.Acquire();
  if (!db.ok()) return failed(db.error());
  if (Status fits = CheckSchemaVersion(**db); !fits.ok()) return fits;
  if (auto read = ReadAppSettings(**db, settings_, &runtime_); !read.ok()) {
    return failed(read.error());
  }
  runtime_.rate_limit_burst = std::numeric_limits<double>::infinity();
  return Status::Ok();
}

PgResult<bool> Replayer::Step() {
  auto acquired = session_.Acquire();
  if (!acquired.ok()) return acquired.error();
  PgConnection& db = **acquired;
  const auto give_up = [this, &db](const PgError& error) {
    if (!db.alive() || !db.Exec("ROLLBACK").ok()) session_.Drop();
    return error;
  };
  Taken taken;
  auto rows = TakeRows(db);
  if (!rows.ok()) return give_up(rows.error().During("reading quarantine_events"));
  taken.rows = std::move(*rows);
  if (taken.rows.size() == 0) {
    if (auto ended = db.Exec("COMMIT"); !ended.ok()) return give_up(ended.error());
    return false;
  }
  if (auto judged = Judge(&taken); !judged.ok()) return give_up(judged.error());
  if (auto stored = Store(db, &taken.batch); !stored.ok()) {
    return give_up(stored.error().During("storing rows in telemetry"));
  }
  if (auto marked = MarkAndCommit(db, taken); !marked.ok()) {
    return give_up(marked.error().During("writing quarantine_events"));
  }
  Count(taken);
  return true;
}

PgResult<PgRows> Replayer::TakeRows(PgConnection& db) {
  if (auto begun = db.Exec(session_.BeginSql()); !begun.ok()) return begun;
  return queue_.Take(db, messages_a_step_);
}

PgStatus Replayer::Judge(Taken* taken) {
  const PgRows& rows = taken->rows;
  taken->chunk.behind = true;
  taken->payloads.reserve(static_cast<size_t>(rows.size()));
  for (int row = 0; row < rows.size(); ++row) {
    if (rows.IsNull(row, KeptColumns::kPayload)) continue;
    const std::string& payload =
        taken->payloads.emplace_back(BytesFromHex(rows.Text(row, KeptColumns::kPayload)));
    SpoolRecord record;
    record.received = rows.Int(row, KeptColumns::kReceived);
    record.topic = rows.Text(row, KeptColumns::kTopic);
    record.payload = payload;
    taken->chunk.records.push_back(record);
    taken->arrivals.push_back(ArrivalOf(rows, row, payload.size()));
    taken->replayed.push_back(row);
  }
  pipeline_.DecodeAgain(taken->chunk, taken->arrivals, &taken->batch);
  if (auto resolved = pipeline_.Resolve(&taken->batch); !resolved.ok()) return resolved;
  pipeline_.Decide(&taken->batch);
  return PgOk{};
}

PgStatus Replayer::Store(PgConnection& db, Batch* batch) {
  if (!TelemetryWriter::HasRows(*batch)) return PgOk{};
  auto lookups = lookups_.Acquire();
  if (!lookups.ok()) return lookups.error();
  if (auto ready = rows_.EnsurePartitions(**lookups, *batch); !ready.ok()) return ready;
  auto copied = rows_.Copy(db, "SAVEPOINT rows; ", batch);
  if (copied.ok() || Classify(copied.error()) != Failure::kPoison) return copied;
  return rows_.CopyAroundPoison(db, "ROLLBACK TO rows; ", batch);
}

PgStatus Replayer::MarkAndCommit(PgConnection& db, const Taken& taken) {
  PgTextArray ids;
  PgTextArray reasons;
  PgTextArray details;
  for (size_t i = 0; i < taken.batch.messages.size(); ++i) {
    const Message& message = taken.batch.messages[i];
    const int row = taken.replayed[i];
    std::string_view reason;
    std::string_view detail;
    if (!message.accepted()) {
      reason = ReasonName(message.rejection->reason);
      detail = message.rejection->detail;
    }
    if (reason == taken.rows.Text(row, KeptColumns::kReason) &&
        detail == taken.rows.Text(row, KeptColumns::kDetail)) {
      continue;
    }
    ids.Add(taken.rows.Text(row, KeptColumns::kId));
    reasons.Add(reason);
    details.Add(detail);
  }
  auto marked = db.ExecParams(kMarkSql, {ids.Text(), reasons.Text(), details.Text(), by_});
  if (!marked.ok()) return marked.error();
  if (auto committed = db.Exec(NotifySql(db, taken.batch) + "COMMIT"); !committed.ok()) {
    return committed.error();
  }
  return PgOk{};
}

void Replayer::Count(const Taken& taken) {
  totals_.messages += static_cast<uint64_t>(taken.rows.size());
  totals_.not_kept += static_cast<uint64_t>(taken.rows.size()) - taken.replayed.size();
  for (const Message& message : taken.batch.messages) {
    if (message.accepted()) {
      ++totals_.replayed;
      totals_.rows += message.rows;
    } else {
      ++totals_.refused;
      ++totals_.reasons[message.rejection->reason];
    }
  }
}

}  // namespace sluice
