#include "ingest/status_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "schema/timestamp.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

// Reasons may hold a server's text: invalid UTF-8 in it is replaced, not thrown at us.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// A server that hangs gives no error before WRITE_TIMEOUT has passed; what waits longer than this
// while nothing is committed is a reason of its own.
constexpr int64_t kSilenceUs = 5'000'000;

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
  if (db.state != DatabaseState::kUp) {
    reasons.push_back("database " + std::string(DatabaseStateName(db.state)) +
                      (db.reason.empty() ? "" : ": " + db.reason));
  }
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
  return Dump(
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
  return Dump({{"ready", reasons.empty()},
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

}  // namespace sluice
