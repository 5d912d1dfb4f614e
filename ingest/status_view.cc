#include "ingest/status_view.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/ascii_json.h"
#include "ingest/process_usage.h"
#include "schema/timestamp.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

std::string Line(const Json& json) {
  return DumpAscii(json) + "\n";
}

// A server that hangs gives no error before WRITE_TIMEOUT has passed; what waits longer than this
// while nothing is committed is a reason of its own.
constexpr int64_t kSilenceUs = 5'000'000;

const char* StageName(const StatusView& status) {
  if (status.phase == Phase::kStarting) return "starting";
  if (status.phase == Phase::kStopping) return "stopping";
  return status.draining ? "draining" : "working";
}

// Of a database that is not up, empty otherwise.
std::string DatabaseReason(const DatabaseHealth::View& database) {
  if (database.state == DatabaseState::kUp) return "";
  const std::string name(DatabaseStateName(database.state));
  return database.reason.empty() ? name : name + ": " + database.reason;
}

Json AccountingJson(const Totals& totals) {
  const uint64_t accounted =
      totals.stored + totals.quarantined + totals.duplicates + totals.spooled + totals.damaged;
  return {{"received", totals.received},
          {"stored", totals.stored},
          {"quarantined", totals.quarantined},
          {"duplicates", totals.duplicates},
          {"spooled", totals.spooled},
          {"damaged", totals.damaged},
          {"gap", static_cast<int64_t>(totals.received - accounted)}};
}

// The last bucket, whose bound is infinite, is the count.
Json LatencyJson(const prometheus::ClientMetric::Histogram& latency) {
  Json buckets = Json::array();
  for (const auto& bucket : latency.bucket) {
    if (std::isinf(bucket.upper_bound)) continue;
    buckets.push_back(Json::array({bucket.upper_bound, bucket.cumulative_count}));
  }
  return {{"buckets", buckets}, {"count", latency.sample_count}, {"sum", latency.sample_sum}};
}

Json ReasonsJson(const Totals& totals) {
  Json reasons = Json::object();
  for (size_t i = 0; i < kReasonCount; ++i) {
    if (totals.by_reason[i] == 0) continue;
    reasons[std::string(ReasonName(static_cast<Reason>(i)))] = totals.by_reason[i];
  }
  return reasons;
}

}  // namespace

std::vector<std::string> StatusView::ReasonsNotReady() const {
  std::vector<std::string> reasons;
  if (phase == Phase::kStarting) reasons.emplace_back("starting: reading what is committed");
  if (phase == Phase::kStopping) reasons.emplace_back("stopping");
  if (draining) {
    reasons.push_back("draining: " + (subscriber.left()
                                          ? std::to_string(spool.stats().backlog_records) +
                                                " messages wait to be written"
                                          : "broker: " + subscriber.problem()));
  } else if (!subscriber.ready()) {
    reasons.push_back("broker: " + subscriber.problem());
  }
  const DatabaseHealth::View db = database.view();
  if (db.state != DatabaseState::kUp) reasons.push_back("database " + DatabaseReason(db));
  const SpoolStats stats = spool.stats();
  const int64_t silence_us = clock.Now() - accounting.Snapshot().last_commit;
  if (db.state == DatabaseState::kUp && std::min(silence_us, stats.oldest_age_us) > kSilenceUs) {
    reasons.push_back("database silent: nothing was committed for " +
                      std::to_string(kSilenceUs / 1'000'000) + " s while " +
                      std::to_string(stats.backlog_records) + " messages wait");
  }
  if (!stats.problem.empty()) reasons.push_back("spool: " + stats.problem);
  return reasons;
}

std::string HealthJson(const StatusView& status) {
  const Totals totals = status.accounting.Snapshot();
  return Line(
      {{"status", "healthy"},
       {"service", status.service},
       {"counters",
        {{"messages_received", totals.received},
         {"messages_written", totals.stored},
         {"messages_rejected", totals.quarantined},
         {"queue_depth", totals.spooled}}},
       {"last_write_at",
        totals.last_commit == 0 ? Json(nullptr) : Json(FormatIso8601(totals.last_commit))}});
}

std::string ReadyJson(const StatusView& status, const std::vector<std::string>& reasons) {
  const SpoolStats spool = status.spool.stats();
  const bool by_topic = status.identity_mode == IdentityMode::kTopic;
  std::vector<std::string> notes;
  if (by_topic) notes.emplace_back(kTopicModeMeans);
  for (const std::string& concern : status.database.concerns()) {
    if (!concern.empty()) notes.push_back(concern);
  }
  return Line({{"ready", reasons.empty()},
               {"reasons", reasons},
               {"notes", notes},
               {"identity_mode", by_topic ? "topic" : "stamp"},
               {"database", DatabaseStateName(status.database.view().state)},
               {"broker", status.subscriber.ready() ? "subscribed" : "away"},
               {"spool",
                {{"backlog_records", spool.backlog_records},
                 {"backlog_bytes", spool.backlog_bytes},
                 {"oldest_age_seconds", static_cast<double>(spool.oldest_age_us) / 1e6},
                 {"full", spool.full}}}});
}

std::string StatusJson(const StatusView& status, const prometheus::ClientMetric::Histogram& latency,
                       bool actions) {
  const UnixMicros now = status.clock.Now();
  const Totals totals = status.accounting.Snapshot();
  const SpoolStats spool = status.spool.stats();
  const DatabaseHealth::View database = status.database.view();
  const ProcessUsage used = UsedByProcess();
  std::string why;
  for (const std::string& reason : status.ReasonsNotReady()) {
    why += (why.empty() ? "" : "; ") + reason;
  }
  return Line(
      {{"version", status.build.version},
       {"commit", status.build.commit},
       {"now", FormatIso8601(now)},
       {"uptime_seconds", static_cast<double>(std::max<int64_t>(0, now - used.started)) / 1e6},
       {"actions", actions},
       {"ready", why.empty()},
       {"reason", why},
       {"stage", StageName(status)},
       {"broker", {{"connected", status.subscriber.ready()}}},
       {"database",
        {{"healthy", database.state == DatabaseState::kUp}, {"reason", DatabaseReason(database)}}},
       {"accounting", AccountingJson(totals)},
       {"backlog",
        {{"messages", spool.backlog_records},
         {"bytes", spool.backlog_bytes},
         {"oldest_seconds", static_cast<double>(spool.oldest_age_us) / 1e6}}},
       {"latency", LatencyJson(latency)},
       {"reasons", ReasonsJson(totals)},
       {"process", {{"cpu_seconds", used.cpu_seconds}, {"rss_bytes", used.resident_bytes}}}});
}

}  // namespace sluice
