#include "ingest/status_view.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "ingest/metrics_page.h"
#include "ingest/registry_changes.h"
#include "ingest/stage_metrics.h"
#include "tests/support/fake_mqtt_client.h"
#include "tests/support/ingest_fixture.h"

namespace sluice {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class StatusViewTest : public testing::Test {
 protected:
  void MakeReady() {
    phase_ = Phase::kWorking;
    health_.Succeeded(DatabaseHealth::Seen::kByWatcher);
    subscriber_.Start();
    ASSERT_TRUE(Soon([this] { return subscriber_.ready(); }));
  }
  // Three messages: a good one, a bad one, and one that waits.
  void CommitSome() {
    spool_.Append(kGood);
    spool_.Append("junk");
    const auto chunk = spool_.Next();
    Batch batch;
    Pipeline pipeline(parts_.shared, parts_.store);
    pipeline.Decode(*chunk, &batch);
    ASSERT_TRUE(pipeline.Resolve(&batch).ok());
    pipeline.Decide(&batch);
    accounting_.Committed(batch, kReceived);
    spool_.Append(kGood);
  }
  json Ready() { return json::parse(ReadyJson(view_, view_.ReasonsNotReady())); }

  TestSpool spool_;
  PipelineParts parts_;
  Accounting accounting_{*spool_.spool};
  DatabaseHealth health_;
  FakeBroker broker_;
  Subscriber subscriber_{
      {.filters = {"a"}},
      [this](MqttEvents& events) { return std::make_unique<FakeMqttClient>(broker_, events); },
      *spool_.spool,
      accounting_,
      parts_.clock,
      [](const Status&) {}};
  std::atomic<Phase> phase_{Phase::kStarting};
  std::atomic<bool> draining_{false};
  const BuildInfo build_{.version = "1.2.3", .commit = "0123456789ab", .compiler = "", .type = ""};
  const std::string service_ = "ingest";
  prometheus::Registry registry_;
  StageMetrics stages_{registry_};
  StatusView ViewIn(IdentityMode mode) {
    return {build_,      service_,         mode,        *spool_.spool,  accounting_,  health_,
            subscriber_, parts_.directory, listener_,   parts_.limiter, parts_.flood, housekeeper_,
            phase_,      draining_,        spool_.clock};
  }
  const Settings settings_;
  RuntimeSettings runtime_;
  Housekeeper housekeeper_{settings_,      *spool_.spool, runtime_,
                           parts_.limiter, health_,       parts_.clock};
  RegistryChanges changes_{parts_.directory, housekeeper_, health_};
  ChangeListener listener_{{}, changes_};  // not started
  const StatusView view_ = ViewIn(IdentityMode::kStamp);
};

TEST_F(StatusViewTest, NamesEverythingThatIsMissing) {
  EXPECT_THAT(view_.ReasonsNotReady(),
              ElementsAre("starting: reading what is committed", "broker: not connected yet",
                          "database unknown"));
  health_.Failed(DatabaseHealth::Seen::kByCommit, {"42501", "no", "", false, false});
  EXPECT_THAT(view_.ReasonsNotReady().back(), "database paused: 42501: no");
}

TEST_F(StatusViewTest, IsReadyWhenNothingIsMissing) {
  MakeReady();
  EXPECT_THAT(view_.ReasonsNotReady(), IsEmpty());
  const json ready = Ready();
  EXPECT_EQ(ready["ready"], true);
  EXPECT_EQ(ready["reasons"], json::array());
  EXPECT_EQ(ready["database"], "up");
  EXPECT_EQ(ready["broker"], "subscribed");
  EXPECT_EQ(ready["identity_mode"], "stamp");
  EXPECT_EQ(ready["spool"]["full"], false);
}

TEST_F(StatusViewTest, IsNotReadyWhileItDrains) {
  MakeReady();
  draining_ = true;
  EXPECT_THAT(view_.ReasonsNotReady(), ElementsAre("draining: broker: "));
}

TEST_F(StatusViewTest, SaysThatItStops) {
  MakeReady();
  phase_ = Phase::kStopping;
  EXPECT_THAT(view_.ReasonsNotReady(), ElementsAre("stopping"));
}

TEST_F(StatusViewTest, IsReadyWithANoteWhileTheDatabaseWantsAnOperator) {
  MakeReady();
  EXPECT_EQ(Ready()["notes"], json::array());
  health_.SetConcern(Concern::kPartitionMissing, "no partition");
  EXPECT_EQ(Ready()["ready"], true);
  EXPECT_EQ(Ready()["notes"], json::array({"no partition"}));
  const std::string page = RenderMetrics(view_, {}, registry_);
  EXPECT_THAT(page, HasSubstr("sluice_database_concern{concern=\"partition_missing\"} 1"));
  EXPECT_THAT(page, HasSubstr("sluice_database_concern{concern=\"database_restored\"} 0"));
}

TEST_F(StatusViewTest, IsReadyWithANoteWhileOnlyTheTopicSaysWhoSpeaks) {
  MakeReady();
  const StatusView view = ViewIn(IdentityMode::kTopic);
  const json ready = json::parse(ReadyJson(view, view.ReasonsNotReady()));
  EXPECT_EQ(ready["ready"], true);
  EXPECT_EQ(ready["identity_mode"], "topic");
  EXPECT_EQ(ready["notes"], json::array({kTopicModeMeans}));
}

TEST_F(StatusViewTest, IsNotReadyWhileMessagesWaitAndNothingIsCommitted) {
  MakeReady();
  CommitSome();
  spool_.clock.Set(kReceived + 4'000'000);
  EXPECT_THAT(view_.ReasonsNotReady(), IsEmpty());
  spool_.clock.Set(kReceived + 6'000'000);
  EXPECT_THAT(view_.ReasonsNotReady(), ElementsAre(HasSubstr("database silent: ")));
}

TEST_F(StatusViewTest, IsReadyHoweverLongNobodyPublishes) {
  MakeReady();
  spool_.clock.Set(kReceived + PipelineParts::kDay);
  EXPECT_THAT(view_.ReasonsNotReady(), IsEmpty());
}

TEST_F(StatusViewTest, IsNotReadyWhileTheSpoolIsFull) {
  MakeReady();
  const std::string payload(1 << 20, 'x');
  for (int i = 0; i < 100 && !spool_.spool->stats().full; ++i) {
    spool_.Append(payload);
    spool_.spool->Maintain();
  }
  ASSERT_TRUE(spool_.spool->stats().full);
  ASSERT_THAT(view_.ReasonsNotReady(), ElementsAre(HasSubstr("spool: ")));
  EXPECT_EQ(Ready()["spool"]["full"], true);
}

TEST_F(StatusViewTest, WritesJsonWhateverBytesTheServerSends) {
  health_.Failed(DatabaseHealth::Seen::kByCommit, {"42501", "a\"b\\\n\xff\xc3(", "", false, false});
  const json ready = Ready();
  EXPECT_EQ(ready["ready"], false);
  const std::string reason = ready["reasons"].back();
  EXPECT_THAT(reason, HasSubstr("a\"b\\\n\xef\xbf\xbd"));
}

TEST_F(StatusViewTest, TellsHealthAsTheOldServiceDid) {
  EXPECT_EQ(json::parse(HealthJson(view_))["last_write_at"], nullptr);
  CommitSome();
  EXPECT_EQ(json::parse(HealthJson(view_)), json::parse(R"({
    "status": "healthy", "service": "ingest",
    "counters": {"messages_received": 3, "messages_written": 1, "messages_rejected": 1,
                 "queue_depth": 1},
    "last_write_at": "2026-03-01T10:00:25.000000Z"})"));
}

TEST_F(StatusViewTest, TellsTheConsoleWhatTheEquationIsMadeOf) {
  MakeReady();
  CommitSome();
  accounting_.Duplicates(2);
  const json status = json::parse(StatusJson(view_, stages_.receive_to_commit(), true));
  EXPECT_EQ(status["accounting"], json::parse(R"({"received": 5, "stored": 1, "quarantined": 1,
            "duplicates": 2, "spooled": 1, "damaged": 0, "gap": 0})"));
  EXPECT_EQ(status["reasons"], json::parse(R"({"INVALID_JSON": 1})"));
  EXPECT_EQ(status["backlog"]["messages"], 1);
  EXPECT_EQ(status["ready"], true);
  EXPECT_EQ(status["reason"], "");
  EXPECT_EQ(status["stage"], "working");
  EXPECT_EQ(status["actions"], true);
  EXPECT_EQ(status["broker"], json::parse(R"({"connected": true})"));
  EXPECT_EQ(status["database"], json::parse(R"({"healthy": true, "reason": ""})"));
  EXPECT_GT(status["process"]["rss_bytes"], 1 << 20);
}

TEST_F(StatusViewTest, TellsTheConsoleWhyItIsNotReady) {
  health_.Failed(DatabaseHealth::Seen::kByCommit, {"42501", "no", "", false, false});
  const json status = json::parse(StatusJson(view_, stages_.receive_to_commit(), false));
  EXPECT_EQ(status["ready"], false);
  EXPECT_EQ(status["reason"],
            "starting: reading what is committed; broker: not connected yet; database paused: "
            "42501: no");
  EXPECT_EQ(status["stage"], "starting");
  EXPECT_EQ(status["actions"], false);
  EXPECT_EQ(status["database"],
            json::parse(R"({"healthy": false, "reason": "paused: 42501: no"})"));
  phase_ = Phase::kWorking;
  draining_ = true;
  EXPECT_EQ(json::parse(StatusJson(view_, stages_.receive_to_commit(), false))["stage"],
            "draining");
}

TEST_F(StatusViewTest, TellsTheConsoleTheLatenciesAsAHistogram) {
  CommitSome();
  const auto chunk = spool_.Next();
  Batch batch;
  Pipeline pipeline(parts_.shared, parts_.store);
  pipeline.Decode(*chunk, &batch);
  stages_.Committed(batch, kReceived + 250'000, 0.1);
  const json latency =
      json::parse(StatusJson(view_, stages_.receive_to_commit(), false))["latency"];
  EXPECT_EQ(latency["count"], 1);
  EXPECT_EQ(latency["sum"], 0.25);
  const json& buckets = latency["buckets"];
  EXPECT_EQ(buckets.size(), 22U) << "without the one that ends nowhere";
  for (const json& bucket : buckets) EXPECT_EQ(bucket[1], bucket[0] < 0.25 ? 0 : 1) << bucket;
}

// Family names to their types, and series to their values. Fails on a line that Prometheus would
// not read.
struct Parsed {
  std::map<std::string, std::string> types;
  std::map<std::string, double> values;
};

Parsed Parse(const std::string& page) {
  static const std::regex help(R"(# HELP ([a-z_]+) \S.*)");
  static const std::regex type(R"(# TYPE ([a-z_]+) (counter|gauge|histogram))");
  static const std::regex sample(
      R"re((([a-z_]+)(\{[a-z_]+="[^"\\\n]*"(,[a-z_]+="[^"\\\n]*")*\})?) ([-+0-9.e]+|\+Inf))re");
  Parsed parsed;
  std::set<std::string> helped;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, help)) {
      EXPECT_TRUE(helped.insert(match[1]).second) << "twice: " << line;
    } else if (std::regex_match(line, match, type)) {
      EXPECT_TRUE(parsed.types.emplace(match[1], match[2]).second) << "twice: " << line;
    } else if (std::regex_match(line, match, sample)) {
      std::string family = match[2];
      family = std::regex_replace(family, std::regex("_(bucket|sum|count)$"), "");
      EXPECT_TRUE(parsed.types.contains(family) || parsed.types.contains(match[2])) << line;
      EXPECT_TRUE(parsed.values.emplace(match[1], std::stod(match[5])).second) << "twice: " << line;
    } else {
      ADD_FAILURE() << "cannot be read: " << line;
    }
  }
  for (const auto& [family, kind] : parsed.types) EXPECT_TRUE(helped.contains(family)) << family;
  return parsed;
}

TEST_F(StatusViewTest, RendersAPageThatReadsLineByLine) {
  CommitSome();
  MakeReady();
  accounting_.Duplicates(1);
  const Parsed page = Parse(RenderMetrics(view_, {}, registry_));
  const std::pair<const char*, double> expected[] = {
      {"sluice_received_messages_total", 4},
      {"sluice_recovered_messages_total", 0},
      {"sluice_stored_messages_total", 1},
      {"sluice_stored_rows_total", 1},
      {"sluice_quarantined_messages_total{reason=\"INVALID_JSON\"}", 1},
      {"sluice_quarantined_messages_total{reason=\"RATE_LIMITED\"}", 0},
      {"sluice_duplicate_messages_total", 1},
      {"sluice_accounting_gap_messages", 0},
      {"sluice_spool_backlog_records", 1},
      {"sluice_spool_max_bytes", 64 << 20},
      {"sluice_last_commit_timestamp_seconds", 1772359225},
      {"sluice_database_up", 1},
      {"sluice_mqtt_up", 1},
      {"sluice_mqtt_connects_total", 1},
      {"sluice_ready", 1},
      {"sluice_cached_devices{registered=\"yes\"}", 1},
      {"sluice_registry_queries_total", 1},
      {"sluice_rate_limit_buckets", 1},
      {"pulse_ingest_messages_total{tenant_id=\"orchard\",result=\"accepted\"}", 1},
      {"pulse_ingest_messages_total{tenant_id=\"unknown\",result=\"rejected\"}", 1},
      {"pulse_ingest_queue_depth", 1},
  };
  for (const auto& [series, value] : expected) {
    ASSERT_TRUE(page.values.contains(series)) << series;
    EXPECT_EQ(page.values.at(series), value) << series;
  }
}

TEST_F(StatusViewTest, TellsWhatTheProcessUses) {
  const auto before = static_cast<double>(SystemClock().Now()) / 1e6;
  const Parsed page = Parse(RenderMetrics(view_, {}, registry_));
  EXPECT_GT(page.values.at("process_cpu_seconds_total"), 0);
  EXPECT_GT(page.values.at("process_resident_memory_bytes"), 1 << 20);
  EXPECT_GT(page.values.at("process_open_fds"), 2);
  EXPECT_GT(page.values.at("process_max_fds"), page.values.at("process_open_fds"));
  EXPECT_LE(page.values.at("process_start_time_seconds"), before);
  EXPECT_GT(page.values.at("process_start_time_seconds"), before - 3600);
}

TEST_F(StatusViewTest, SaysNothingOfCertificatesBeforeItHasLookedAtAny) {
  EXPECT_THAT(RenderMetrics(view_, {}, registry_),
              AllOf(Not(HasSubstr("sluice_expiring_devices")), Not(HasSubstr("sluice_pki_file"))));
}

TEST_F(StatusViewTest, RendersASeriesForEveryReason) {
  const Parsed page = Parse(RenderMetrics(view_, {}, registry_));
  for (size_t i = 0; i < kReasonCount; ++i) {
    const std::string reason(ReasonName(static_cast<Reason>(i)));
    EXPECT_TRUE(
        page.values.contains("sluice_quarantined_messages_total{reason=\"" + reason + "\"}"))
        << reason;
  }
}

}  // namespace
}  // namespace sluice
