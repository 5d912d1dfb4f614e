#include "loadtest/judge.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "loadtest/message.h"

namespace sluice::loadtest {
namespace {

using std::chrono::microseconds;

constexpr std::chrono::seconds kConnectPatience(10);
constexpr std::chrono::minutes kQueryPatience(10);
constexpr microseconds kPoll(100'000);
constexpr UnixMicros kSlack = 60'000'000;  // clocks differ

// In front of each query. The times leave out other partitions, the seq other runs.
constexpr const char* kRun = R"(
  WITH run AS (SELECT xmin AS chunk, time, tenant_id, device_id, seq FROM telemetry
                WHERE time BETWEEN $1::timestamptz AND $2::timestamptz AND seq >= $3::bigint))";

constexpr const char* kStored = R"(
SELECT sum(n), sum(n - one_of_each)
  FROM (SELECT count(*) AS n, count(DISTINCT seq) AS one_of_each
          FROM run GROUP BY tenant_id, device_id) device)";

// Payloads of any sort are in there: seq is what looks like our own.
constexpr const char* kKeptTwice = R"(
SELECT count(*) - count(DISTINCT (topic, seq))
  FROM (SELECT topic, substring(encode(payload_bytes, 'escape')
                                FROM '"seq":([0-9]{1,18}) *[,}]')::bigint AS seq
          FROM quarantine_events
         WHERE ingested_at BETWEEN $1::timestamptz AND $2::timestamptz) kept
 WHERE seq >= $3::bigint)";

// A chunk's messages share few milliseconds, so most of the work is done once for many. Three
// digits of the microseconds are enough: few rows travel.
constexpr const char* kLatency = R"(
SELECT round(us::numeric, least(-1, 3 - length(us::text))), sum(n)
  FROM (SELECT (extract(epoch FROM pg_xact_commit_timestamp(chunk) - time) * 1000000)::bigint AS us,
               n
          FROM (SELECT chunk, time, count(*) AS n FROM run GROUP BY chunk, time) moment) late
 WHERE us IS NOT NULL
 GROUP BY 1)";

Status Failed(const PgError& error) {
  return {ErrorCode::kUnavailable, "the judge's database: " + error.Describe()};
}

uint64_t Count(const PgRows& rows, int column = 0) {
  return static_cast<uint64_t>(std::max<int64_t>(0, rows.Int(0, column)));
}

}  // namespace

Result<Judge> Judge::Open(const std::string& database, const RunMark& run) {
  auto connection = PgConnection::Connect(database, kConnectPatience);
  if (!connection.ok()) return Failed(connection.error());
  (*connection)->set_timeout(kQueryPatience);
  // One backend, so that it takes little from what it measures; room to sort a run's rows.
  const auto set =
      (*connection)->Exec("SET max_parallel_workers_per_gather = 0; SET work_mem = '256MB'");
  if (!set.ok()) return Failed(set.error());
  Judge judge(std::move(*connection), run);
  const Result<uint64_t> before = judge.Quarantined();
  if (!before.ok()) return before.status();
  judge.quarantined_before_ = *before;
  // Tables that cannot be read are better noticed before the run.
  const Result<uint64_t> none = judge.Arrived();
  if (!none.ok()) return none.status();
  return judge;
}

Result<PgRows> Judge::Query(const std::string& sql) {
  auto rows = database_->ExecParams(
      kRun + sql, {FormatTime(run_.since - kSlack), FormatTime(SystemClock().Now() + kSlack),
                   std::to_string(run_.first_seq)});
  if (!rows.ok()) return Failed(rows.error());
  return std::move(*rows);
}

// Flood control keeps few of them whole, but counts all.
Result<uint64_t> Judge::Quarantined() {
  const auto rows = database_->ExecParams(
      "SELECT coalesce(sum(cnt), 0) FROM quarantine_counters_minute"
      " WHERE bucket_minute >= $1::timestamptz",
      {FormatTime(run_.since - 2 * kSlack)});
  if (!rows.ok()) return Failed(rows.error());
  return Count(*rows) - std::min(Count(*rows), quarantined_before_);
}

Result<uint64_t> Judge::Arrived() {
  const Result<PgRows> rows = Query(" SELECT count(*) FROM run");
  if (!rows.ok()) return rows.status();
  const Result<uint64_t> quarantined = Quarantined();
  if (!quarantined.ok()) return quarantined.status();
  return Count(*rows) / run_.readings + *quarantined;
}

Result<Verdict> Judge::Decide(uint64_t sent) {
  const Result<PgRows> stored = Query(kStored);
  if (!stored.ok()) return stored.status();
  const Result<PgRows> twice = Query(kKeptTwice);
  if (!twice.ok()) return twice.status();
  const Result<uint64_t> quarantined = Quarantined();
  if (!quarantined.ok()) return quarantined.status();

  const uint64_t rows = Count(*stored);
  const uint64_t second_rows = Count(*stored, 1);
  Verdict verdict;
  verdict.sent = sent;
  verdict.stored = rows / run_.readings;
  verdict.quarantined = *quarantined;
  verdict.duplicates = second_rows / run_.readings + Count(*twice);
  verdict.torn_rows = std::max(rows % run_.readings, second_rows % run_.readings);
  return verdict;
}

Result<Settled> Judge::Settle(uint64_t sent, microseconds patience) {
  const int64_t start = SystemClock().Monotonic();
  int64_t changed = start;
  uint64_t before = 0;
  std::optional<uint64_t> judged;
  for (;;) {
    const int64_t asked = SystemClock().Monotonic();
    const Result<uint64_t> arrived = Arrived();
    if (!arrived.ok()) return arrived.status();
    const int64_t now = SystemClock().Monotonic();
    if (std::exchange(before, *arrived) != *arrived) changed = now;
    const bool quiet = now - changed > patience.count();
    // More may be on its way when some came twice.
    if (quiet || (*arrived >= sent && *arrived != judged)) {
      const Result<Verdict> verdict = Decide(sent);
      if (!verdict.ok()) return verdict.status();
      const bool balanced = verdict->balanced();
      if (balanced || quiet) {
        return Settled{*verdict, balanced ? static_cast<double>(changed - start) / 1e6 : -1};
      }
      judged = *arrived;
    }
    std::this_thread::sleep_for(std::max(kPoll, 4 * microseconds(now - asked)));
  }
}

Result<std::optional<Histogram>> Judge::Latency() {
  auto kept = database_->Exec("SHOW track_commit_timestamp");
  if (!kept.ok()) return Failed(kept.error());
  if (kept->Text(0, 0) != "on") return std::optional<Histogram>();
  const Result<PgRows> rows = Query(kLatency);
  if (!rows.ok()) return rows.status();
  Histogram histogram;
  for (int i = 0; i < rows->size(); ++i) {
    // A clock that was set makes a commit that was before its message.
    const int64_t late = std::max<int64_t>(0, rows->Int(i, 0));
    histogram.Add(static_cast<uint64_t>(late),
                  static_cast<uint64_t>(rows->Int(i, 1)) / run_.readings);
  }
  return std::optional<Histogram>(std::move(histogram));
}

}  // namespace sluice::loadtest
