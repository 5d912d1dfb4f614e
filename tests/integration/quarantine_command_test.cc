// An operator's day with `sluice quarantine`: the daemon quarantines, somebody finds out why, mends
// it and replays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "tests/support/publisher.h"
#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Json = nlohmann::json;

constexpr const char* kTopic = "tenant/orchard/device/probe-7/telemetry";
constexpr const char* kWrongSite =
    R"({"site_id":"south","seq":4,"provision_token":"tok-apple","metrics":{"heat":21.5}})";

struct Said {
  int code = -1;
  std::string out;
  std::string error;
};

class QuarantineCommand : public ::testing::Test {
 protected:
  QuarantineCommand() { stack_.Register({}); }

  ProcessOptions Options(std::vector<std::string> arguments) {
    std::vector<std::string> argv = {BinaryPath("sluice"), "quarantine"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    const std::string number = std::to_string(++runs_);
    return {.argv = argv,
            .env = stack_.env(),
            .clear_env = true,
            .stdout_path = directory_.Path("out" + number),
            .stderr_path = directory_.Path("error" + number)};
  }
  Said Run(const std::vector<std::string>& arguments) {
    const ProcessOptions options = Options(arguments);
    const auto ended = sluice::testing::Run(options);
    return {ended ? ended->code : -1, ReadFile(options.stdout_path), ReadFile(options.stderr_path)};
  }
  Json RunJson(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const Said said = Run(arguments);
    EXPECT_EQ(said.code, 0) << said.error;
    return Json::parse(said.out, nullptr, false);
  }

  // Through the broker and the daemon.
  void Quarantine(const std::vector<std::string>& payloads) {
    stack_.Start();
    Publisher publisher(stack_.broker().port());
    for (const std::string& payload : payloads) publisher.Publish(kTopic, payload);
    ASSERT_TRUE(Eventually([&] {
      return stack_.Count("quarantine_events") == static_cast<int64_t>(payloads.size());
    }));
  }
  void QuarantineMany(int messages) {
    stack_.Sql(
        "INSERT INTO quarantine_events (topic, tenant_id, device_id, msg_type, reason, payload, "
        "payload_bytes, payload_size, received_at, token_hash) SELECT '" +
        std::string(kTopic) +
        "', 'orchard', 'probe-7', 'telemetry', 'SITE_MISMATCH_REGISTRY_VS_PAYLOAD', p::jsonb, "
        "p::bytea, length(p), now(), encode(sha256('tok-apple'), 'hex') FROM (SELECT "
        "'{\"site_id\":\"south\",\"provision_token\":\"(cut)\",\"seq\":' || n || '}' AS p "
        "FROM generate_series(1, " +
        std::to_string(messages) + ") n) AS m");
  }
  void MoveTo(const std::string& site) {
    stack_.Sql("UPDATE device_registry SET site_id = '" + site + "'");
  }

  SluiceStack stack_;
  TempDir directory_;
  int runs_ = 0;
};

TEST_F(QuarantineCommand, FindsOutWhyMendsAndReplays) {
  Quarantine({kWrongSite, kWrongSite});
  const Said summary = Run({"summary"});
  EXPECT_EQ(summary.code, 0) << summary.error;
  EXPECT_THAT(summary.out, HasSubstr("SITE_MISMATCH_REGISTRY_VS_PAYLOAD  1        2       2"));

  const Json listed = RunJson({"list", "--device", "probe-7", "--since", "5m"});
  ASSERT_EQ(listed.size(), 2U);
  EXPECT_EQ(listed[0]["tenant"], "orchard");
  EXPECT_EQ(listed[0]["reason"], "SITE_MISMATCH_REGISTRY_VS_PAYLOAD");

  const Said shown = Run({"show", listed[0]["id"].dump()});
  EXPECT_EQ(shown.code, 0) << shown.error;
  EXPECT_THAT(shown.out, HasSubstr(R"j({"site_id":"south","seq":4,"provision_token":"(cut)")j"));
  EXPECT_THAT(shown.out, HasSubstr("names another site than the registry"));
  EXPECT_THAT(shown.out, HasSubstr("set site_id in device_registry, and replay"));
  EXPECT_THAT(shown.out, Not(HasSubstr("tok-apple")));

  MoveTo("south");
  const Said replayed = Run({"replay", "--tenant", "orchard", "--by", "ann"});
  EXPECT_EQ(replayed.code, 0) << replayed.error;
  EXPECT_EQ(replayed.out, "replayed 2 messages, 2 rows\n");
  EXPECT_THAT(replayed.error, IsEmpty()) << "no bar where nobody looks";
  EXPECT_EQ(stack_.Count("telemetry WHERE site_id = 'south' AND seq = 4"), 2);
  EXPECT_EQ(stack_.Count("quarantine_events WHERE replay_state = 'REPLAYED' AND "
                         "replayed_by = 'ann'"),
            2);
  EXPECT_EQ(RunJson({"list"}).size(), 0U);
  EXPECT_EQ(RunJson({"list", "--state", "replayed"}).size(), 2U);
  EXPECT_EQ(RunJson({"replay", "--all"}), (Json{{"replayed", 0},
                                                {"rows", 0},
                                                {"refused", 0},
                                                {"not_kept", 0},
                                                {"reasons", Json::object()},
                                                {"withheld", 0}}));
  EXPECT_EQ(stack_.Count("telemetry"), 2);
}

TEST_F(QuarantineCommand, SaysWhatIsRefusedAgainAndWhatWasNeverKept) {
  stack_.env()["QUARANTINE_PER_DEVICE_PER_MINUTE"] = "2";
  stack_.Start();
  Publisher publisher(stack_.broker().port());
  for (int i = 0; i < 5; ++i) publisher.Publish(kTopic, kWrongSite);
  ASSERT_TRUE(Eventually(
      [&] { return stack_.Value("SELECT sum(cnt) FROM quarantine_counters_minute") == "5"; }));
  EXPECT_EQ(Run({"replay", "--reason", "SITE_MISMATCH_REGISTRY_VS_PAYLOAD"}).out,
            "replayed 0 messages, 0 rows\nrefused again 2, which stay:\n"
            "         2 SITE_MISMATCH_REGISTRY_VS_PAYLOAD\n"
            "3 more were only counted, not kept (flood control, or STORE_REJECTS=0)\n");
}

TEST_F(QuarantineCommand, ExportsALineForEachMessageOldestFirstWithoutSecrets) {
  Quarantine({kWrongSite, "not json \xff"});
  stack_.Sql(
      "INSERT INTO quarantine_events (ingested_at, topic, reason, payload) VALUES (now() - "
      "interval '1 hour', 't', 'TOKEN_INVALID', '{\"provision_token\":\"tok-apple\"}')");
  const Said said = Run({"export"});
  EXPECT_EQ(said.code, 0) << said.error;
  std::vector<Json> lines;
  for (size_t at = 0; at < said.out.size(); at = said.out.find('\n', at) + 1) {
    lines.push_back(Json::parse(said.out.substr(at, said.out.find('\n', at) - at)));
  }
  ASSERT_EQ(lines.size(), 3U) << said.out;
  EXPECT_EQ(lines[0]["payload"], "{\"provision_token\": \"(cut)\"}") << "the old service kept it";
  EXPECT_THAT(lines[1]["payload"].get<std::string>(), HasSubstr("(cut)"));
  EXPECT_EQ(lines[1]["had_token"], true);
  EXPECT_THAT(lines[2]["payload_hex"].get<std::string>(), EndsWith("20ff"));
  EXPECT_THAT(said.out, Not(HasSubstr("tok-apple")));
  EXPECT_THAT(Run({"export", "--limit", "1"}).out, Not(HasSubstr("had_token\":true")));
}

TEST_F(QuarantineCommand, DiscardsOnlyWhenSomebodyAgrees) {
  QuarantineMany(2500);
  const Said refused = Run({"discard", "--all"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.error, HasSubstr("--yes"));
  EXPECT_EQ(stack_.Count("quarantine_events WHERE replay_state = 'NEW'"), 2500);
  EXPECT_EQ(Run({"discard", "--device", "probe-7", "--limit", "1200", "--yes"}).out,
            "discarded 1200\n");
  EXPECT_EQ(Run({"discard", "--since", "1h", "--yes", "--by", "ann"}).out, "discarded 1300\n");
  EXPECT_EQ(stack_.Count("quarantine_events WHERE replay_state = 'DISCARDED'"), 2500);
  MoveTo("south");
  EXPECT_EQ(Run({"replay", "--all"}).out, "replayed 0 messages, 0 rows\n");
}

TEST_F(QuarantineCommand, ChangesNothingThatWasNotNarrowedDown) {
  QuarantineMany(1);
  for (const char* command : {"replay", "discard"}) {
    const Said said = Run({command});
    EXPECT_EQ(said.code, 1);
    EXPECT_THAT(said.error, HasSubstr("--all"));
  }
  for (const char* filter : {"--tenant", "--device", "--since"}) {
    const Said said = Run({"discard", "--all", filter, "", "--yes"});
    EXPECT_NE(said.code, 0) << filter;
    EXPECT_THAT(said.error, HasSubstr("it is empty"));
  }
  EXPECT_EQ(stack_.Count("quarantine_events WHERE replay_state = 'NEW'"), 1);
  EXPECT_NE(Run({"list", "--since", "soon"}).code, 0);
  EXPECT_NE(Run({"list", "--reason", "BAD_LUCK"}).code, 0);
  EXPECT_EQ(Run({"show", "4711"}).code, 1);
}

TEST_F(QuarantineCommand, SaysWhichNumbersItTakes) {
  for (const char* limit : {"-1", "abc", "1e3", "99999999999999999999"}) {
    const Said said = Run({"list", "--limit", limit});
    EXPECT_NE(said.code, 0) << limit;
    EXPECT_EQ(
        said.error.substr(0, said.error.find('\n')),
        "--limit: " + std::string(limit) + " is no whole number from 1 to 1000000000; 0 means all");
  }
  for (const char* command : {"show", "replay", "discard"}) {
    const Said said = Run({command, "99999999999999999999"});
    EXPECT_NE(said.code, 0);
    EXPECT_THAT(said.error, HasSubstr("ID: 99999999999999999999 is no whole number from 1 to "
                                      "9223372036854775807"));
  }
  QuarantineMany(10);
  EXPECT_EQ(RunJson({"show", "010"})["id"], 10);
}

TEST_F(QuarantineCommand, TakesWhatIsEmptyBehindAnEqualsSignForEmpty) {
  QuarantineMany(1);
  for (const char* filter : {"--tenant=", "--device=", "--reason=", "--since=", "--limit="}) {
    const Said said = Run({"discard", "--all", filter, "--yes"});
    EXPECT_GT(said.code, 100) << filter;
    EXPECT_THAT(said.error, HasSubstr(std::string(filter, strlen(filter) - 1) + ": ")) << filter;
  }
  EXPECT_THAT(Run({"discard", "--device=", "--yes"}).error, HasSubstr("it is empty"));
  EXPECT_EQ(stack_.Count("quarantine_events WHERE replay_state = 'NEW'"), 1);
  EXPECT_EQ(Run({"discard", "--device=probe-7", "--yes"}).out, "discarded 1\n");
}

TEST_F(QuarantineCommand, NamesTheMessagesThatAreNotThereAndDoesTheOthers) {
  QuarantineMany(2);
  MoveTo("south");
  const Said replayed = Run({"replay", "4711", "1", "4712", "4711"});
  EXPECT_EQ(replayed.code, 1);
  EXPECT_EQ(replayed.out, "replayed 1 messages, 1 rows\n");
  EXPECT_THAT(replayed.error, HasSubstr("there is no message 4711, 4712\n"));
  const Said discarded = Run({"discard", "4711", "2", "--yes"});
  EXPECT_EQ(discarded.code, 1);
  EXPECT_EQ(discarded.out, "discarded 1\n");
  EXPECT_THAT(discarded.error, HasSubstr("there is no message 4711\n"));
  for (const char* command : {"replay", "discard"}) {
    EXPECT_EQ(Run({command, "1", "2"}).code, 0) << "was decided upon, and is there";
  }
}

TEST_F(QuarantineCommand, SaysWhatWasDoneBeforeSomethingFailed) {
  QuarantineMany(2500);
  MoveTo("south");
  stack_.Sql("ALTER TABLE quarantine_counters_minute RENAME TO away");
  const Said replayed = Run({"replay", "--tenant", "orchard", "--limit", "100"});
  EXPECT_EQ(replayed.code, 1);
  EXPECT_EQ(replayed.out, "replayed 100 messages, 100 rows\n");
  EXPECT_THAT(replayed.error, HasSubstr("quarantine_counters_minute"));

  stack_.Sql(
      "CREATE FUNCTION no_more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF (SELECT count(*) "
      "FROM quarantine_events WHERE replay_state = 'DISCARDED') > 1000 THEN RAISE 'no more today'; "
      "END IF; RETURN NULL; END $$; CREATE TRIGGER no_more AFTER UPDATE ON quarantine_events "
      "EXECUTE FUNCTION no_more()");
  const Said discarded = Run({"discard", "--all", "--yes"});
  EXPECT_EQ(discarded.code, 1);
  EXPECT_EQ(discarded.out, "discarded 1000\n");
  EXPECT_THAT(discarded.error, HasSubstr("no more today"));
}

TEST_F(QuarantineCommand, ShowsWhatADeviceWroteAsTextOnly) {
  stack_.Sql(
      "INSERT INTO quarantine_events (tenant_id, device_id, topic, reason, payload, "
      "payload_bytes, detail) VALUES (E'or\\u202echard', E'\\x1b[2Jprobe', 't', 'TOKEN_INVALID', "
      "'null', '\\x1b5d303b6576696c07', E'\\u009b31m')");
  for (const char* command : {"list", "summary", "export"}) {
    const Said said = Run({command});
    EXPECT_EQ(said.code, 0) << said.error;
    for (const char bad : {'\x1b', '\xe2', '\xc2', '\x07'}) {
      EXPECT_EQ(said.out.find(bad), std::string::npos) << command << ": " << said.out;
    }
  }
  const Said shown = Run({"show", "1"});
  EXPECT_THAT(shown.out, HasSubstr("\\u001b]0;evil\\u0007"));
  EXPECT_EQ(shown.out.find('\x1b'), std::string::npos);
}

// Killed in the middle of a step, by SIGKILL: nothing of the step has happened.
TEST_F(QuarantineCommand, AReplayThatWasKilledIsGoneOnWith) {
  QuarantineMany(9000);
  MoveTo("south");
  auto holder = stack_.server().Connect(stack_.database());
  ASSERT_TRUE(holder->Exec("BEGIN; LOCK TABLE telemetry IN ACCESS EXCLUSIVE MODE").ok());
  {
    const auto replay = Process::Start(Options({"replay", "--all", "--jobs", "1"}));
    ASSERT_TRUE(Eventually([&] { return stack_.IsLockedOut("COPY telemetry"); }));
    replay->Signal(9);
    ASSERT_TRUE(replay->Wait(std::chrono::seconds(10)));
  }
  ASSERT_TRUE(holder->Exec("COMMIT").ok());
  ASSERT_TRUE(Eventually([&] {
    return stack_.Count(
               "pg_stat_activity WHERE datname = current_database() AND "
               "query LIKE '%COPY telemetry%' AND state <> 'idle' AND "
               "pid <> pg_backend_pid()") == 0;
  }));
  EXPECT_EQ(stack_.Count("telemetry"), 0);
  EXPECT_EQ(Run({"replay", "--all"}).out, "replayed 9000 messages, 9000 rows\n");
  EXPECT_EQ(stack_.Value("SELECT count(*) || ' ' || count(DISTINCT seq) FROM telemetry"),
            "9000 9000");
}

TEST_F(QuarantineCommand, AReplayThatIsInterruptedEndsAfterItsStepAndSaysSo) {
  QuarantineMany(9000);
  MoveTo("south");
  auto holder = stack_.server().Connect(stack_.database());
  ASSERT_TRUE(holder->Exec("BEGIN; LOCK TABLE telemetry IN ACCESS EXCLUSIVE MODE").ok());
  const ProcessOptions options = Options({"replay", "--all", "--jobs", "1"});
  const auto replay = Process::Start(options);
  ASSERT_TRUE(Eventually([&] { return stack_.IsLockedOut("COPY telemetry"); }));
  replay->Signal(2);
  ASSERT_TRUE(holder->Exec("COMMIT").ok());
  const auto ended = replay->Wait(std::chrono::seconds(20));
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 1);
  EXPECT_THAT(ReadFile(options.stderr_path), HasSubstr("run it again"));
  EXPECT_THAT(ReadFile(options.stdout_path), HasSubstr("replayed 4000 messages"));
  EXPECT_EQ(Run({"replay", "--all"}).out, "replayed 5000 messages, 5000 rows\n");
  EXPECT_EQ(stack_.Value("SELECT count(*) || ' ' || count(DISTINCT seq) FROM telemetry"),
            "9000 9000");
}

}  // namespace
}  // namespace sluice::testing
