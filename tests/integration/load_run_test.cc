// `sluice-loadtest run` against the daemon: what it says became of the messages must be true.
#include <gmock/gmock.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

struct Said {
  int code = -1;
  std::string text;
};

Said Loadtest(const std::vector<std::string>& arguments, const Env& env = {}) {
  TempDir directory;
  std::vector<std::string> argv = {BinaryPath("sluice-loadtest")};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const auto ended = sluice::testing::Run({.argv = argv,
                                           .env = env,
                                           .stdout_path = directory.Path("out"),
                                           .stderr_path = directory.Path("out")},
                                          seconds(120));
  return {ended ? ended->code : -1, ReadFile(directory.Path("out"))};
}

class LoadRun : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    server_ = new PostgresServer({.settings = {"track_commit_timestamp = on"}});
  }
  static void TearDownTestSuite() { delete server_; }

  LoadRun() : stack_({}, server_) {
    stack_.Sql(Loadtest({"register", "--tenants", "2", "--devices", "10"}).text);
    stack_.Start();
  }

  // Where everything arrives, `settle` is not waited for.
  Said Play(std::vector<std::string> arguments, const std::string& command = "run",
            const std::string& settle = "60") {
    const std::vector<std::string> always = {command,
                                             "--port",
                                             std::to_string(stack_.broker().port()),
                                             "--tenants",
                                             "2",
                                             "--devices",
                                             "10",
                                             "--quiet",
                                             "--settle",
                                             settle,
                                             "--json",
                                             stack_.Path("result.json"),
                                             "--html",
                                             stack_.Path("result.html")};
    arguments.insert(arguments.begin(), always.begin(), always.end());
    return Loadtest(arguments, {{"DATABASE_URL", server_->Url(stack_.database())}});
  }
  json Result() { return json::parse(ReadFile(stack_.Path("result.json")))["runs"][0]; }

  static inline PostgresServer* server_ = nullptr;
  SluiceStack stack_;
};

TEST_F(LoadRun, AccountsForGoodAndBadMessagesInTheDatabase) {
  const Said said =
      Play({"--mqtt", "5", "--qos", "1", "--rate", "1000", "--count", "2500", "--bad-percent", "2",
            "--metrics-url", "http://127.0.0.1:" + stack_.http_port(), "--pid",
            "daemon=" + std::to_string(stack_.daemon().pid())});
  ASSERT_EQ(said.code, 0) << said.text;
  const json result = Result();
  EXPECT_EQ(result["fleet"]["acknowledged"], 2500);
  const json& verdict = result["verdict"];
  EXPECT_EQ(verdict["balanced"], true);
  EXPECT_EQ(verdict["sent"], 2500);
  EXPECT_EQ(verdict["stored"], stack_.Count("telemetry"));
  EXPECT_EQ(verdict["stored"], result["fleet"]["good"]);
  EXPECT_EQ(verdict["quarantined"], result["fleet"]["bad"]);
  EXPECT_GT(verdict["quarantined"], 300);
  EXPECT_EQ(verdict["duplicates"], 0);
  EXPECT_EQ(result["latency"]["messages"], verdict["stored"]);
  EXPECT_GT(result["latency"]["p50_us"], 0);
  EXPECT_GE(result["latency"]["max_us"], result["latency"]["p99_us"]);
  EXPECT_FALSE(result["samples"].empty());
  EXPECT_THAT(ReadFile(stack_.Path("result.html")), HasSubstr("<html"));
}

TEST_F(LoadRun, CountsOnlyItsOwnMessages) {
  ASSERT_EQ(Play({"--count", "300", "--rate", "1000", "--bad-percent", "1"}).code, 0);
  const Said said = Play({"--count", "500", "--rate", "1000", "--bad-percent", "0"});
  ASSERT_EQ(said.code, 0) << said.text;
  EXPECT_EQ(Result()["verdict"]["stored"], 500);
  EXPECT_EQ(Result()["verdict"]["quarantined"], 0);
}

TEST_F(LoadRun, CountsAMessageOfManyReadingsOnce) {
  const Said said = Play({"--count", "300", "--rate", "1000", "--bad-percent", "1", "--readings",
                          "7", "--kinds", "no_token,bad_json"});
  ASSERT_EQ(said.code, 0) << said.text;
  const json result = Result();
  EXPECT_EQ(result["verdict"]["stored"], result["fleet"]["good"]);
  EXPECT_EQ(stack_.Count("telemetry"), 7 * result["fleet"]["good"].get<int64_t>());
  EXPECT_EQ(result["latency"]["messages"], result["fleet"]["good"]);
}

TEST_F(LoadRun, SaysThatTheBalanceIsWrongWhenRowsAreMissing) {
  stack_.Sql(
      "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
      " DELETE FROM public.telemetry WHERE device_id = 'device-3'; RETURN NULL; END $$;"
      "CREATE TRIGGER forget AFTER INSERT ON telemetry EXECUTE FUNCTION forget()");
  const Said said = Play({"--count", "200", "--rate", "1000", "--bad-percent", "0"}, "run", "8");
  EXPECT_EQ(said.code, 1);
  EXPECT_THAT(said.text, HasSubstr("the balance is wrong"));
  EXPECT_EQ(Result()["verdict"]["balanced"], false);
  EXPECT_EQ(Result()["verdict"]["stored"], 180);
}

TEST_F(LoadRun, SaysThatTheBalanceIsWrongWhenAMessageIsThereInParts) {
  stack_.Sql(
      "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
      " DELETE FROM public.telemetry WHERE seq = (SELECT max(seq) FROM public.telemetry);"
      " RETURN NULL; END $$;"
      "CREATE TRIGGER forget AFTER INSERT ON telemetry EXECUTE FUNCTION forget()");
  const Said said =
      Play({"--count", "1", "--rate", "1000", "--bad-percent", "0", "--readings", "3"}, "run", "8");
  EXPECT_EQ(said.code, 1);
  EXPECT_EQ(Result()["verdict"]["balanced"], false);
}

TEST_F(LoadRun, FindsWhatCameTwice) {
  stack_.Sql(
      "CREATE FUNCTION repeat() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
      " IF pg_trigger_depth() = 1 THEN INSERT INTO public.telemetry SELECT * FROM fresh"
      " WHERE device_id = 'device-3'; END IF; RETURN NULL; END $$;"
      "CREATE TRIGGER repeat AFTER INSERT ON telemetry REFERENCING NEW TABLE AS fresh"
      " FOR EACH STATEMENT EXECUTE FUNCTION repeat()");
  const Said said = Play({"--count", "200", "--rate", "1000", "--bad-percent", "0"});
  EXPECT_EQ(said.code, 0) << said.text;
  EXPECT_EQ(Result()["verdict"]["stored"], 220);
  EXPECT_EQ(Result()["verdict"]["duplicates"], 20);
}

TEST_F(LoadRun, LosesNothingInBurstsAndStorms) {
  const Said said = Play({"--for", "3", "--rate", "500", "--bad-percent", "0", "--burst-every", "1",
                          "--burst-size", "1000", "--storm-every", "0.7", "--mqtt", "5"});
  ASSERT_EQ(said.code, 0) << said.text;
  const json verdict = Result()["verdict"];
  EXPECT_EQ(verdict["sent"], 3500);
  EXPECT_EQ(verdict["stored"].get<int64_t>() - verdict["duplicates"].get<int64_t>(), 3500);
}

TEST_F(LoadRun, CountsWhatTheKernelTookAtQos0) {
  for (const char* version : {"3", "5"}) {
    const Said said = Play({"--qos", "0", "--mqtt", version, "--count", "500", "--rate", "1000",
                            "--bad-percent", "1"});
    EXPECT_EQ(said.code, 0) << said.text;
    EXPECT_EQ(Result()["verdict"]["sent"], 500);
  }
}

TEST_F(LoadRun, ClimbsALadder) {
  const Said said = Play({"--from", "100", "--to", "200", "--step", "100", "--for", "1",
                          "--limit-ms", "60000", "--bad-percent", "0"},
                         "ladder");
  EXPECT_THAT(said.text, HasSubstr("100/s"));
  EXPECT_THAT(said.text, HasSubstr("200/s"));
  EXPECT_GE(json::parse(ReadFile(stack_.Path("result.json")))["runs"].size(), 2U);
}

TEST(LoadRunWithoutCommitTimes, SaysHowToGetTheLatency) {
  SluiceStack stack;
  stack.Sql(Loadtest({"register", "--tenants", "1", "--devices", "2"}).text);
  stack.Start();
  const Said said =
      Loadtest({"run", "--port", std::to_string(stack.broker().port()), "--tenants", "1",
                "--devices", "2", "--count", "50", "--rate", "1000", "--bad-percent", "0",
                "--quiet", "--database", stack.server().Url(stack.database())});
  EXPECT_EQ(said.code, 0) << said.text;
  EXPECT_THAT(said.text, HasSubstr("track_commit_timestamp = on"));
}

TEST(LoadtestTargets, OutsideThisMachineAreRefusedUnlessTheyAreOnesOwn) {
  const std::vector<std::vector<std::string>> commands = {
      {"fleet", "--host", "192.0.2.1"},
      {"run", "--host", "192.0.2.1"},
      {"run", "--database", "postgresql://u:hush@192.0.2.1/x"},
      {"run", "--metrics-url", "http://192.0.2.1:8080"},
      {"ladder", "--host", "192.0.2.1"},
      {"copy", "--rows", "1", "--database-url", "postgresql://u:hush@192.0.2.1/x"},
      {"watch", "--url", "http://192.0.2.1:8080"}};
  for (const auto& command : commands) {
    const Said said = Loadtest(command, {{"DATABASE_URL", ""}});
    EXPECT_EQ(said.code, 1);
    EXPECT_THAT(said.text, HasSubstr("(192.0.2.1) is not on this machine"));
    EXPECT_THAT(said.text, HasSubstr("--i-own-this-broker"));
    EXPECT_THAT(said.text, Not(HasSubstr("hush")));
  }
}

TEST(LoadtestScenario, ThatIsShippedIsUnderstood) {
  int scenarios = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(SLUICE_SOURCE_DIR "/loadtest/scenarios")) {
    ++scenarios;
    const std::string command = file.path().stem() == "ladder" ? "ladder" : "run";
    const Said said = Loadtest({command, "--scenario", file.path(), "--host", "192.0.2.1"});
    EXPECT_EQ(said.code, 1);
    EXPECT_THAT(said.text, HasSubstr("is not on this machine")) << file.path();
  }
  EXPECT_GE(scenarios, 8);
}

TEST(LoadtestScenario, WithAnUnknownOptionIsRefusedByName) {
  const TempDir directory;
  WriteFile(directory.Path("a"), "rate = 10\nspeed = 5\n");
  const Said unknown = Loadtest({"run", "--scenario", directory.Path("a")});
  EXPECT_NE(unknown.code, 0);
  EXPECT_THAT(unknown.text, HasSubstr("speed"));
  WriteFile(directory.Path("a"), "[fleet]\nrate = 10\n");
  EXPECT_THAT(Loadtest({"run", "--scenario", directory.Path("a")}).text, HasSubstr("fleet"));
  WriteFile(directory.Path("a"), "rate = fast\n");
  EXPECT_THAT(Loadtest({"run", "--scenario", directory.Path("a")}).text, HasSubstr("rate"));
  EXPECT_NE(Loadtest({"run", "--scenario", directory.Path("none")}).code, 0);
}

TEST(LoadtestScenario, YieldsToTheCommandLine) {
  const TempDir directory;
  WriteFile(directory.Path("a"), "host = \"192.0.2.1\"\nport = 1\n");
  const Said file = Loadtest({"fleet", "--scenario", directory.Path("a")});
  EXPECT_THAT(file.text, HasSubstr("192.0.2.1"));
  const Said line = Loadtest({"fleet", "--scenario", directory.Path("a"), "--host", "127.0.0.1"});
  EXPECT_THAT(line.text, Not(HasSubstr("192.0.2.1")));
  EXPECT_THAT(line.text, HasSubstr("connect"));
}

}  // namespace
}  // namespace sluice::testing
