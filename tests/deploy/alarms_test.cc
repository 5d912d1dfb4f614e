// The alarm rules and the dashboard as files: what they promise one another and the run-book.
#include <gmock/gmock.h>

#include <chrono>

#include "base/letter_case.h"
#include "tests/deploy/monitoring.h"
#include "tests/support/process.h"

namespace sluice::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;

const std::string& Rules() {
  static const std::string rules = ReadFile(SourcePath("deploy/prometheus/sluice-rules.yml"));
  return rules;
}

std::set<std::string> Alarms() {
  const auto names = AllMatches(Rules(), R"(^ +- alert: (\w+)$)");
  return {names.begin(), names.end()};
}

bool HavePromtool() {
  return Process::Start({.argv = {"promtool", "--version"}}) != nullptr;
}

// promtool's words, if it does not like what it is told to look at; "" if it does.
std::string Complaint(const std::vector<std::string>& arguments) {
  const TempDir directory;
  const std::string said = directory.Path("said");
  ProcessOptions options{.argv = {"promtool"}, .stdout_path = said, .stderr_path = said};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  const auto ended = Run(options, std::chrono::minutes(4));
  return ended && ended->code == 0 ? "" : "promtool: " + ReadFile(said);
}

TEST(MetricsIn, KnowsMetricsFromEverythingElse) {
  EXPECT_THAT(MetricsIn(R"(sum by (job, le) (rate(a_b{x=~"y", z="c"}[5m])) / on (job) group_left
                           max without (q) (d:e offset 5m) > 0.5 and absent(f{}) or vector(0))"),
              ElementsAre("a_b", "d:e", "f"));
}

TEST(Alarms, AreWhatPromtoolAcceptsAndPassTheirTests) {
  if (!HavePromtool()) GTEST_SKIP() << "there is no promtool: install Debian's prometheus";
  EXPECT_EQ(Complaint({"check", "config", SourcePath("deploy/prometheus/prometheus.yml")}), "");
  EXPECT_EQ(Complaint({"test", "rules", SourcePath("deploy/prometheus/rules_test.yml")}), "");
}

TEST(Alarms, AreEachTriedToFireAndToBeSilent) {
  const std::string tests = ReadFile(SourcePath("deploy/prometheus/rules_test.yml"));
  constexpr const char* kTried = R"(- alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:)";
  ASSERT_THAT(Alarms(), Not(IsEmpty()));
  EXPECT_THAT(AllMatches(tests, kTried + std::string(R"(\n +- exp_labels:)")),
              IsSupersetOf(Alarms()));
  EXPECT_THAT(AllMatches(tests, kTried + std::string(R"( \[\])")), IsSupersetOf(Alarms()));
}

TEST(Alarms, SayHowBadItIsInASentenceAndWhereToReadOn) {
  const auto rules = AllMatches(Rules(), R"(- (alert: \w+\n(?: {8}.*\n)+))");
  ASSERT_GE(rules.size(), Alarms().size());
  const std::regex whole(
      R"(alert: \w+\n {8}expr: [\s\S]*\n {8}labels:\n {10}severity: (critical|warning|info)\n)"
      R"( {8}annotations:\n {10}summary: .*[.?]"?\n {10}runbook_url: .*\n)");
  for (const std::string& rule : rules) EXPECT_TRUE(std::regex_match(rule, whole)) << rule;
}

TEST(Alarms, HaveEachAParagraphOfTheirOwnInTheRunBook) {
  const std::string page = ReadFile(SourcePath("docs/operations.md"));
  const auto headings = AllMatches(page, "^### (Sluice.*)$");
  EXPECT_EQ(std::set<std::string>(headings.begin(), headings.end()), Alarms());
  const std::regex link(R"(alert: (\w+)\n(?: {8}.*\n)+? {10}runbook_url: (.*)\n)");
  size_t links = 0;
  for (std::sregex_iterator at(Rules().begin(), Rules().end(), link), end; at != end;
       ++at, ++links) {
    const std::string anchor = LowerCase((*at)[1]);  // as GitHub and others make it of a heading
    EXPECT_EQ((*at)[2], "https://sluice.example/docs/operations.md#" + anchor);
  }
  EXPECT_EQ(links, AllMatches(Rules(), "- (alert): ").size());
}

TEST(Alarms, LinkToTheOperatorsOwnPageAfterTheCommandThatTheySayThemselves) {
  const auto commands = AllMatches(Rules(), R"(^#   (sed .*)$)");
  ASSERT_EQ(commands.size(), 1U);
  const TempDir directory;
  for (const char* name : {"sluice-rules.yml", "rules_test.yml"}) {
    WriteFile(directory.Path(name), ReadFile(SourcePath(std::string("deploy/prometheus/") + name)));
  }
  const auto ended = sluice::testing::Run(
      {.argv = {"sh", "-c", "cd \"$0\" && " + commands[0], directory.Path("")}});
  ASSERT_TRUE(ended && ended->code == 0);
  for (const char* name : {"sluice-rules.yml", "rules_test.yml"}) {
    const std::string text = ReadFile(directory.Path(name));
    EXPECT_THAT(AllMatches(text, R"(runbook_url: (https://sluice\.example/.*)$)"), IsEmpty())
        << name;
    EXPECT_THAT(AllMatches(text, R"(runbook_url: (https://wiki\.your\.net/sluice/docs/.*)$)"),
                Not(IsEmpty()))
        << name;
  }
}

TEST(Dashboard, AsksTheDataSourceThatTheReaderChooses) {
  const nlohmann::json& dashboard = Dashboard();
  const nlohmann::json chosen = {{"type", "prometheus"}, {"uid", "${datasource}"}};
  EXPECT_EQ(dashboard["templating"]["list"][0]["name"], "datasource");
  EXPECT_EQ(dashboard["templating"]["list"][0]["type"], "datasource");
  for (const auto& panel : dashboard["panels"]) {
    if (panel["type"] != "row") {
      EXPECT_EQ(panel["datasource"], chosen) << panel["title"];
      EXPECT_THAT(panel["targets"], Not(IsEmpty())) << panel["title"];
    }
  }
}

TEST(Dashboard, HasItsPanelsSideBySide) {
  std::set<int> ids;
  std::set<std::pair<int, int>> taken;
  for (const auto& panel : Dashboard()["panels"]) {
    EXPECT_TRUE(ids.insert(panel["id"].get<int>()).second) << panel["title"];
    const auto& at = panel["gridPos"];
    const int left = at["x"];
    const int top = at["y"];
    EXPECT_LE(left + at["w"].get<int>(), 24) << panel["title"];
    for (int x = left; x < left + at["w"].get<int>(); ++x) {
      for (int y = top; y < top + at["h"].get<int>(); ++y) {
        EXPECT_TRUE(taken.insert({x, y}).second) << panel["title"] << " covers another one";
      }
    }
  }
}

}  // namespace
}  // namespace sluice::testing
