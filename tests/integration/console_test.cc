// An operator's day with the console's API, and what it must not do to the daemon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <nlohmann/json.hpp>

#include "tests/support/publisher.h"
#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

constexpr const char* kToken = "correct-horse-battery";
constexpr const char* kTopic = "tenant/orchard/device/probe-7/telemetry";
constexpr const char* kWrongSite =
    R"({"site_id":"south","seq":4,"provision_token":"tok-apple","metrics":{"heat":21.5}})";

std::string Text(const Json& json) {
  return json.is_string() ? json.get<std::string>() : json.dump();
}

class ConsoleApi : public ::testing::Test {
 protected:
  ConsoleApi() { stack_.Register({}); }

  Json Get(const std::string& target, int status = 200) {
    const HttpAnswer answer = stack_.Ask({.target = "/api/v1/" + target});
    EXPECT_EQ(answer.status, status) << target << ": " << answer.body;
    return Json::parse(answer.body, nullptr, false);
  }
  HttpAnswer Post(const std::string& target, const Json& body, const std::string& token = kToken) {
    return stack_.Ask(
        {.method = "POST",
         .target = "/api/v1/quarantine/" + target,
         .headers = {{"Authorization", "Bearer " + token}, {"Content-Type", "application/json"}},
         .body = body.dump()});
  }
  Json Done(const std::string& target, const Json& body) {
    const HttpAnswer answer = Post(target, body);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Json::parse(answer.body, nullptr, false);
  }
  // Past the daemon; messages that came together have one time.
  void Quarantine(int messages, const std::string& device = "probe-7",
                  const std::string& reason = "SITE_MISMATCH_REGISTRY_VS_PAYLOAD") {
    stack_.Sql(
        "INSERT INTO quarantine_events (topic, tenant_id, device_id, msg_type, reason, payload, "
        "payload_bytes, payload_size, received_at, token_hash) SELECT 'tenant/orchard/device/" +
        device + "/telemetry', 'orchard', '" + device + "', 'telemetry', '" + reason +
        "', p::jsonb, p::bytea, length(p), now(), encode(sha256('tok-apple'), 'hex') FROM (SELECT "
        "'{\"site_id\":\"south\",\"provision_token\":\"(cut)\",\"seq\":' || n || '}' AS p "
        "FROM generate_series(1, " +
        std::to_string(messages) + ") n) AS m");
  }
  int64_t Count(const std::string& state) {
    return stack_.Count("quarantine_events WHERE replay_state = '" + state + "'");
  }

  PostgresServer& server_ = SharedPostgres();
  SluiceStack stack_{{{"ADMIN_TOKEN", kToken}}, &server_};
};

TEST_F(ConsoleApi, FindsOutWhyMendsReplaysAndItIsGone) {
  stack_.Start();
  Publisher(stack_.broker().port()).Publish(kTopic, kWrongSite);
  ASSERT_TRUE(Eventually([&] { return Count("NEW") == 1; }));

  const Json summary = Get("quarantine/summary");
  ASSERT_EQ(summary["items"].size(), 1U);
  EXPECT_EQ(summary["items"][0]["reason"], "SITE_MISMATCH_REGISTRY_VS_PAYLOAD");
  EXPECT_EQ(summary["items"][0]["stored"], 1);
  const Json list = Get("quarantine?tenant=orchard&device=probe-7&since=5m");
  ASSERT_EQ(list["items"].size(), 1U);
  EXPECT_EQ(list["items"][0]["topic"], kTopic);
  EXPECT_EQ(list["items"][0]["status"], "NEW");
  EXPECT_EQ(list["next"], nullptr);
  const std::string id = list["items"][0]["id"];
  const Json shown = Get("quarantine/" + id);
  EXPECT_EQ(shown["payload"]["text"],
            R"j({"site_id":"south","seq":4,"provision_token":"(cut)","metrics":{"heat":21.5}})j");
  EXPECT_EQ(shown["payload"]["encoding"], "utf8");
  EXPECT_EQ(shown["payload"]["cut"], false);
  EXPECT_THAT(Text(shown["explanation"]["means"]), HasSubstr("another site than the registry"));
  EXPECT_THAT(Text(shown["explanation"]["mend"]), HasSubstr("set site_id in device_registry"));

  EXPECT_EQ(Done("replay", {{"ids", {id}}}),
            (Json{{"replayed", 0},
                  {"rows", 0},
                  {"kept", 1},
                  {"kept_reasons", {{"SITE_MISMATCH_REGISTRY_VS_PAYLOAD", 1}}},
                  {"not_whole", 0},
                  {"complete", true},
                  {"next", nullptr}}));
  stack_.Sql("UPDATE device_registry SET site_id = 'south'");
  EXPECT_EQ(Done("replay", {{"ids", {id}}})["replayed"], 1);
  EXPECT_EQ(stack_.Count("telemetry WHERE site_id = 'south' AND seq = 4"), 1);
  EXPECT_EQ(stack_.Count("quarantine_events WHERE replayed_by = 'console'"), 1);
  EXPECT_EQ(Get("quarantine")["items"].size(), 0U);
  EXPECT_EQ(Get("quarantine?status=REPLAYED")["items"][0]["id"], id);
  EXPECT_EQ(Done("replay", {{"ids", {id}}})["replayed"], 0) << "a second time";
  EXPECT_EQ(stack_.Count("telemetry"), 1);
}

TEST_F(ConsoleApi, PagesThroughAllOnceNewestFirstWhateverComesMeanwhile) {
  for (int i = 0; i < 5; ++i) Quarantine(50);
  stack_.Start();
  std::vector<int64_t> ids;
  std::string after;
  for (int page = 0; page < 4; ++page) {
    const Json list = Get("quarantine?limit=70&after=" + after);
    for (const Json& item : list["items"]) ids.push_back(std::stoll(item["id"].get<std::string>()));
    EXPECT_EQ(list["next"].is_null(), page == 3);
    after = list["next"].is_null() ? "" : list["next"].get<std::string>();
    Quarantine(10);
  }
  std::vector<int64_t> expected;
  for (int64_t id = 250; id > 0; --id) expected.push_back(id);
  EXPECT_EQ(ids, expected);
}

TEST_F(ConsoleApi, GivesWhatEveryFilterTakesAndNothingElse) {
  Quarantine(3);
  Quarantine(2, "probe-8", "TOKEN_INVALID");
  stack_.Sql("UPDATE quarantine_events SET ingested_at = now() - interval '2 days' WHERE id = 1");
  stack_.Sql("UPDATE quarantine_events SET replay_state = 'DISCARDED' WHERE id = 4");
  stack_.Start();
  const auto found = [&](const std::string& query) {
    return Get("quarantine?" + query)["items"].size();
  };
  EXPECT_EQ(found(""), 4U);
  EXPECT_EQ(found("status=ALL"), 5U);
  EXPECT_EQ(found("status=DISCARDED"), 1U);
  EXPECT_EQ(found("device=probe-8"), 1U);
  EXPECT_EQ(found("device=probe-8&status=ALL"), 2U);
  EXPECT_EQ(found("reason=TOKEN_INVALID"), 1U);
  EXPECT_EQ(found("since=1d"), 3U);
  EXPECT_EQ(found("tenant=orchard&device=&since="), 4U);
  EXPECT_EQ(found("tenant=o%27chard"), 0U);
  EXPECT_EQ(Get("quarantine?limit=900", 400)["error"]["message"],
            "limit: 900 is no whole number from 1 to 500");
}

TEST_F(ConsoleApi, CountsWhatWaitsOfAFilter) {
  Quarantine(3);
  Quarantine(2, "probe-8");
  Quarantine(4, "probe-8", "TOKEN_INVALID");
  stack_.Sql("UPDATE quarantine_events SET replay_state = 'DISCARDED' WHERE id = 1");
  stack_.Start();
  const auto waiting = [&](const std::string& query) {
    return Get("quarantine/count?" + query)["waiting"].get<int>();
  };
  EXPECT_EQ(waiting(""), 8);
  EXPECT_EQ(waiting("device=probe-8"), 6);
  EXPECT_EQ(waiting("tenant=orchard&device=probe-8&reason=TOKEN_INVALID"), 4);
  EXPECT_EQ(waiting("tenant=meadow"), 0);
  EXPECT_THAT(Get("quarantine/count?since=2h", 400)["error"]["message"].dump(),
              HasSubstr("since: "));
}

TEST_F(ConsoleApi, NamesTheWorstDevicesFirstEachWithItsReasons) {
  Quarantine(3);
  Quarantine(2, "probe-8");
  Quarantine(4, "probe-8", "TOKEN_INVALID");
  Quarantine(9, "");
  Quarantine(1, "probe-9");
  stack_.Sql("UPDATE quarantine_events SET tenant_id = 'meadow' WHERE device_id = 'probe-9'");
  stack_.Start();
  const auto devices = [&](const std::string& query) {
    const Json answer = Get("quarantine/devices?" + query);
    std::string found;
    for (const Json& item : answer["items"]) {
      found +=
          Text(item["tenant"]) + "/" + Text(item["device"]) + " " + item["stored"].dump() + " ";
    }
    return found;
  };
  EXPECT_EQ(devices(""), "orchard/probe-8 6 orchard/probe-7 3 meadow/probe-9 1 ");
  EXPECT_EQ(devices("limit=1"), "orchard/probe-8 6 ");
  EXPECT_EQ(devices("tenant=meadow"), "meadow/probe-9 1 ");
  EXPECT_EQ(devices("reason=SITE_MISMATCH_REGISTRY_VS_PAYLOAD"),
            "orchard/probe-7 3 orchard/probe-8 2 meadow/probe-9 1 ");
  const std::string answer = stack_.Http("/api/v1/quarantine/devices?limit=1");
  EXPECT_THAT(answer, HasSubstr(R"("reasons":{"TOKEN_INVALID":4,"SITE_MISMATCH_REGISTRY_VS_)"))
      << "the most frequent first";
}

TEST_F(ConsoleApi, ShowsBytesThatAreNoTextAndNoSecretOfTheOldService) {
  stack_.Sql(
      "INSERT INTO quarantine_events (tenant_id, topic, reason, payload, payload_bytes, "
      "payload_size, payload_truncated) VALUES (E'<script>\\u202e', 't', 'INVALID_JSON', 'null', "
      "'\\xff00fe', 9000, true), (NULL, 't', 'NOT_A_REASON_OF_TODAY', "
      "'{\"provision_token\":\"tok-apple\"}', NULL, NULL, false)");
  stack_.Start();
  const Json shown = Get("quarantine/1");
  EXPECT_EQ(shown["payload"],
            (Json{{"text", "/wD+"}, {"encoding", "base64"}, {"bytes", 9000}, {"cut", true}}));
  EXPECT_EQ(shown["tenant"], "<script>\u202e");
  for (const char c : stack_.Http("/api/v1/quarantine/1")) {
    EXPECT_TRUE(c == '\n' || (c >= ' ' && c < 0x7f)) << "only ASCII goes over the line";
  }
  const Json old = Get("quarantine/2");
  EXPECT_EQ(old["payload"]["text"], R"j({"provision_token": "(cut)"})j");
  EXPECT_EQ(old["explanation"], nullptr);
  EXPECT_EQ(old["tenant"], nullptr);
  EXPECT_EQ(old["received_at"], old["ingested_at"]);
  EXPECT_EQ(Get("quarantine/3", 404)["error"]["code"], "not_found");
}

TEST_F(ConsoleApi, DiscardsByIdsAndByFilter) {
  Quarantine(2500);
  Quarantine(3, "probe-8");
  stack_.Start();
  EXPECT_EQ(Done("discard", {{"ids", {"1", "2", "999999"}}}),
            (Json{{"discarded", 2}, {"complete", true}}));
  EXPECT_EQ(Done("discard", {{"filter", {{"device", "probe-7"}}}, {"limit", 1200}}),
            (Json{{"discarded", 1200}, {"complete", false}}));
  EXPECT_EQ(Done("discard", {{"filter", {{"device", "probe-7"}}}, {"limit", 10'000}}),
            (Json{{"discarded", 1298}, {"complete", true}}));
  EXPECT_EQ(Count("DISCARDED"), 2500);
  EXPECT_EQ(stack_.Count("quarantine_events WHERE replayed_by = 'console'"), 2500);
  stack_.Sql("UPDATE device_registry SET site_id = 'south'");
  EXPECT_EQ(Done("replay", {{"ids", {"1"}}})["replayed"], 0) << "what is discarded stays so";
}

TEST_F(ConsoleApi, ReplaysAsManyAsItMayAndThoseThatPass) {
  Quarantine(9000);
  Quarantine(5, "probe-8");
  stack_.Sql("UPDATE device_registry SET site_id = 'south'");
  stack_.Start();
  EXPECT_EQ(Done("replay", {{"filter", {{"device", "probe-7"}}}, {"limit", 100}})["replayed"], 100);
  const Json rest = Done("replay", {{"filter", {{"tenant", "orchard"}}}, {"limit", 10'000}});
  EXPECT_EQ(rest["replayed"], 8900);
  EXPECT_EQ(rest["kept"], 5);
  EXPECT_EQ(rest["kept_reasons"], (Json{{"UNREGISTERED_DEVICE", 5}}));
  EXPECT_EQ(stack_.Value("SELECT count(*) || ' ' || count(DISTINCT seq) FROM telemetry"),
            "9000 9000");
}

TEST_F(ConsoleApi, AReplayGoesOnBehindWhatIsRefusedAgain) {
  Quarantine(5, "probe-8");
  Quarantine(3);
  stack_.Sql("UPDATE device_registry SET site_id = 'south'");
  stack_.Start();
  Json request = {{"filter", {{"tenant", "orchard"}}}, {"limit", 4}};
  const Json first = Done("replay", request);
  EXPECT_EQ(first["kept"], 4);
  EXPECT_EQ(first["complete"], false);
  request["after"] = first["next"];
  const Json second = Done("replay", request);
  EXPECT_EQ(second["kept"], 1);
  EXPECT_EQ(second["replayed"], 3);
  request["after"] = second["next"];
  const Json third = Done("replay", request);
  EXPECT_EQ(third["complete"], true);
  EXPECT_EQ(third["next"], nullptr);
}

TEST_F(ConsoleApi, DiscardsNothingBeforeThePositionThatARequestNames) {
  Quarantine(3);
  stack_.Start();
  Json request = {{"filter", {{"device", "probe-7"}}}, {"limit", 1}};
  request["after"] = Done("replay", request)["next"];
  EXPECT_EQ(Done("discard", request), (Json{{"discarded", 1}, {"complete", false}}));
  EXPECT_EQ(stack_.Value("SELECT replay_state FROM quarantine_events WHERE id = 2"), "DISCARDED");
}

TEST_F(ConsoleApi, NeverTellsTheToken) {
  Quarantine(1);
  stack_.Start();
  std::string told;
  for (const std::string& token : {std::string(kToken), "wrong-" + std::string(kToken)}) {
    for (const char* target : {"replay", "discard", "nothing"}) {
      for (const Json& body : {Json{{"ids", {"1"}}}, Json(1)}) {
        const HttpAnswer answer = Post(target, body, token);
        told += answer.body;
        for (const auto& [name, value] : answer.headers) told += value;
      }
    }
  }
  for (const char* page : {"/metrics", "/ready", "/health", "/api/v1/status", "/"}) {
    told += stack_.Http(page);
  }
  told += stack_.log();
  EXPECT_THAT(told, HasSubstr("unauthorized"));
  EXPECT_THAT(told, HasSubstr("console_replayed"));
  EXPECT_THAT(told, Not(HasSubstr("horse")));
  EXPECT_EQ(Get("status")["actions"], true);
}

TEST_F(ConsoleApi, IsReadOnlyWithoutAToken) {
  stack_.env().erase("ADMIN_TOKEN");
  Quarantine(1);
  stack_.Start();
  EXPECT_EQ(Get("status")["actions"], false);
  EXPECT_EQ(Post("discard", {{"ids", {"1"}}}).status, 403);
  EXPECT_EQ(Post("discard", {{"ids", {"1"}}}, "").status, 403);
  EXPECT_EQ(Count("NEW"), 1);
}

TEST_F(ConsoleApi, ASlowQueryHoldsUpNothingElse) {
  Quarantine(1);
  stack_.Start();
  EXPECT_EQ(Get("quarantine")["items"].size(), 1U);
  auto holder = server_.Connect(stack_.database());
  ASSERT_TRUE(holder
                  ->Exec("BEGIN; LOCK TABLE quarantine_open, quarantine_counters_minute IN "
                         "ACCESS EXCLUSIVE MODE")
                  .ok());
  auto asked = std::async(std::launch::async,
                          [this] { return stack_.Ask({.target = "/api/v1/quarantine/summary"}); });
  ASSERT_TRUE(Eventually([&] { return stack_.IsLockedOut("quarantine_open"); }));
  for (const char* page : {"/health", "/ready", "/metrics", "/api/v1/status", "/"}) {
    int status = 0;
    stack_.Http(page, &status);
    EXPECT_EQ(status, 200) << page;
  }
  Publisher(stack_.broker().port())
      .Publish(kTopic, R"({"site_id":"north","provision_token":"tok-apple","metrics":{"heat":1}})");
  EXPECT_TRUE(Eventually([&] { return stack_.Count("telemetry") == 1; }));
  // It gives up by itself, and leaves nothing behind.
  const HttpAnswer answer = asked.get();
  EXPECT_EQ(answer.status, 503);
  EXPECT_THAT(answer.body, HasSubstr("statement timeout"));
  ASSERT_TRUE(holder->Exec("COMMIT").ok());
  EXPECT_EQ(Get("quarantine/summary")["items"].size(), 1U);
}

TEST_F(ConsoleApi, TakesANewConnectionForOneThatHasDied) {
  Quarantine(1);
  stack_.Start();
  Get("quarantine");
  EXPECT_GT(stack_.Count("(SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE "
                         "datname = current_database() AND pid <> pg_backend_pid()) AS killed"),
            1);
  EXPECT_EQ(Get("quarantine")["items"].size(), 1U);
}

TEST_F(ConsoleApi, StopsWhileSomebodyWaits) {
  stack_.env()["QUARANTINE_RETENTION"] = "0";  // nor does the expiry wait for what is locked here
  Quarantine(1);
  stack_.Start();
  auto holder = server_.Connect(stack_.database());
  ASSERT_TRUE(holder->Exec("BEGIN; LOCK TABLE quarantine_open IN ACCESS EXCLUSIVE MODE").ok());
  auto asked = std::async(std::launch::async,
                          [this] { return stack_.Ask({.target = "/api/v1/quarantine/summary"}); });
  ASSERT_TRUE(Eventually([&] { return stack_.IsLockedOut("quarantine_open"); }));
  const auto ended = stack_.Stop();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 0);
  EXPECT_EQ(asked.get().status, 503);
}

TEST(ConsoleOutage, SaysThatPostgresIsAwayAndComesBackWithIt) {
  PostgresServer server;
  SluiceStack stack({}, &server);
  stack.Start();
  const auto status_of = [&](const std::string& path) {
    int status = 0;
    stack.Http(path, &status);
    return status;
  };
  EXPECT_EQ(status_of("/api/v1/quarantine"), 200);
  server.Stop(PostgresServer::StopMode::kImmediate);
  for (const char* path :
       {"/api/v1/quarantine", "/api/v1/quarantine/summary", "/api/v1/quarantine/1"}) {
    EXPECT_EQ(status_of(path), 503) << path;
  }
  EXPECT_EQ(status_of("/health"), 200);
  EXPECT_EQ(status_of("/metrics"), 200);
  EXPECT_EQ(status_of("/api/v1/status"), 200);
  server.Start();
  EXPECT_EQ(status_of("/api/v1/quarantine"), 200);
}

// `sluice status`, against the daemon and against nobody.
class StatusCommand : public ConsoleApi {
 protected:
  std::pair<int, std::string> Run(std::vector<std::string> arguments) {
    std::vector<std::string> argv = {BinaryPath("sluice"), "status"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    const std::string out = directory_.Path("out" + std::to_string(++runs_));
    const auto ended = sluice::testing::Run(
        {.argv = argv, .clear_env = true, .stdout_path = out, .stderr_path = out});
    return {ended ? ended->code : -1, ReadFile(out)};
  }
  std::string Url() { return "http://127.0.0.1:" + stack_.http_port(); }

  TempDir directory_;
  int runs_ = 0;
};

TEST_F(StatusCommand, PrintsOnceWhereThereIsNoTerminal) {
  stack_.Start();
  Publisher(stack_.broker().port()).Publish(kTopic, kWrongSite);
  ASSERT_TRUE(Eventually([&] { return Get("status")["accounting"]["quarantined"] == 1; }));
  const auto [code, text] = Run({"--url", Url()});
  EXPECT_EQ(code, 0) << text;
  EXPECT_THAT(text, HasSubstr("1 received = 0 stored + 1 quarantined"));
  EXPECT_THAT(text, HasSubstr("SITE_MISMATCH_REGISTRY_VS_PAYLOAD"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  const auto [json_code, json] = Run({"--url", Url() + "/", "--json"});
  EXPECT_EQ(json_code, 0);
  EXPECT_EQ(Json::parse(json)["accounting"]["quarantined"], 1);
}

TEST_F(StatusCommand, SaysWhenNobodyAnswersOrSomebodyElseDoes) {
  const auto [code, text] = Run({"--url", "http://127.0.0.1:1"});
  EXPECT_EQ(code, 1);
  EXPECT_THAT(text, HasSubstr("sluice status: http://127.0.0.1:1 gives no status: "));
  stack_.Start();
  EXPECT_EQ(Run({"--url", Url() + "/health"}).first, 1);
  EXPECT_EQ(Run({"--url", "https://127.0.0.1"}).first, 1);
}

}  // namespace
}  // namespace sluice::testing
