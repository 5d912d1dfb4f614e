#include "loadtest/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "loadtest/report_page.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/loadtest/bench_samples.h"

namespace sluice::loadtest {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

RunResult SmallRun() {
  RunResult run;
  run.name = "steady";
  run.fleet.published = run.fleet.acknowledged = 4000;
  run.fleet.seconds = 2;
  run.verdict.emplace();
  run.verdict->sent = 4000;
  run.verdict->stored = 3990;
  run.verdict->quarantined = 10;
  run.latency.emplace();
  run.latency->Add(2000, 4000);
  run.samples.resize(2);
  run.samples[0].at = 1;
  run.samples[0].p99 = 0.003;
  run.samples[0].cores["sluice"] = 0.1;
  run.samples[1].at = 2;
  run.samples[1].backlog = 7;
  return run;
}

// The text of the page's data element.
std::string DataOf(const std::string& page) {
  const std::string begin = "<script type=\"application/json\" id=\"data\">";
  const size_t at = page.find(begin) + begin.size();
  return page.substr(at, page.find("</script>", at) - at);
}

TEST(Report, SaysInJsonWhatARunCameTo) {
  const json report = json::parse(Json(std::vector<RunResult>{SmallRun()}));
  EXPECT_EQ(report["kind"], "run");
  const json& run = report["runs"][0];
  EXPECT_EQ(run["fleet"]["messages_per_second"], 2000);
  EXPECT_EQ(run["verdict"]["stored"], 3990);
  EXPECT_EQ(run["verdict"]["balanced"], true);
  EXPECT_NEAR(run["latency"]["p99_us"].get<double>(), 2000, 2);
  EXPECT_EQ(run["samples"][0]["cores"]["sluice"], 0.1);
  EXPECT_TRUE(run["samples"][1]["p99_seconds"].is_null());
  EXPECT_EQ(run["samples"][1]["backlog_messages"], 7);
}

TEST(Report, HasNoVerdictWhereNobodyJudged) {
  RunResult run = SmallRun();
  run.verdict.reset();
  run.latency.reset();
  EXPECT_TRUE(json::parse(Json(std::vector<RunResult>{run}))["runs"][0]["verdict"].is_null());
  EXPECT_THAT(Table(std::vector<RunResult>{run}), HasSubstr("acknowledged"));
}

TEST(Report, NamesTheHighestSustainedRateOfALadderOnly) {
  const std::vector<RunResult> runs = {SmallRun()};
  constexpr const char* kField = "highest_sustained_messages_per_second";
  EXPECT_EQ(json::parse(Json(runs, 75000))[kField], 75000);
  EXPECT_FALSE(json::parse(Json(runs)).contains(kField));
}

TEST(Report, NamesARunThatDoesNotBalance) {
  RunResult run = SmallRun();
  run.verdict.emplace();
  run.verdict->sent = 4000;
  run.verdict->stored = 3999;
  EXPECT_THAT(Table(std::vector<RunResult>{run}), HasSubstr("DOES NOT BALANCE"));
}

TEST(Report, SaysInJsonWhatAMessageCosts) {
  const json report = json::parse(Json(SmallBench()));
  EXPECT_EQ(report["kind"], "bench");
  const json& sluice = report["contenders"][2];
  EXPECT_EQ(sluice["name"], "sluice");
  EXPECT_EQ(sluice["consumer"]["median"], 6);
  EXPECT_EQ(sluice["together"]["max"], 20);
  EXPECT_EQ(sluice["verdict"], "all there");
  EXPECT_EQ(report["ratios"][0]["met"], true);
  EXPECT_EQ(report["ratios"][1]["met"], false);
  EXPECT_TRUE(report["ratios"][2]["met"].is_null());
}

TEST(Report, NamesAContenderThatLosesMessagesOrFails) {
  BenchResult bench = SmallBench();
  bench.contenders[3].runs[0].arrived -= 3;
  bench.contenders[2].runs[0].arrived += 2;
  bench.contenders[0].trouble = "did not \x1b[2J subscribe";
  const std::string table = Table(bench);
  EXPECT_THAT(table, HasSubstr("LOST 3"));
  EXPECT_THAT(table, HasSubstr("2 twice"));
  EXPECT_THAT(table, HasSubstr("paho did not \\u001b[2J subscribe\n"));
}

TEST(Report, ShowsAGoalThatIsMissed) {
  const std::string table = Table(SmallBench());
  EXPECT_THAT(table, HasSubstr("at most 1.25: met"));
  EXPECT_THAT(table, HasSubstr("at least 0.92: NOT MET"));
}

TEST(Report, CannotBeBrokenOutOfByAName) {
  RunResult run = SmallRun();
  run.name = "</script><!--<script>alert(1)</script> \xff";
  const std::string page = Html(std::vector<RunResult>{run});
  EXPECT_EQ(testing::TimesIn(page, "</script>"), testing::TimesIn(ReportPage(), "</script>"));
  EXPECT_THAT(page, Not(HasSubstr("<!--")));
  EXPECT_EQ(json::parse(DataOf(page))["runs"][0]["name"],
            "</script><!--<script>alert(1)</script> \uFFFD");
}

TEST(Report, IsAPageThatNeedsNothingElse) {
  const std::string page = Html(SmallBench());
  EXPECT_EQ(json::parse(DataOf(page)), json::parse(Json(SmallBench())));
  for (const char* reference : {" src=", "<link", "@import", "url(", "fetch("}) {
    EXPECT_THAT(page, Not(HasSubstr(reference)));
  }
}

}  // namespace
}  // namespace sluice::loadtest
