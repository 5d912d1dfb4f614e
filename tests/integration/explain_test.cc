// `sluice explain` against a live registry: every reason, every mode, and nothing is changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "schema/checks.h"
#include "tests/integration/bad_messages.h"
#include "tests/integration/stamp_fixture.h"
#include "tests/support/publisher.h"
#include "tests/support/test_pki.h"

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

struct Said {
  int code = -1;
  std::string out;
  std::string error;
  Json json;
};

Said Explain(const Env& env, const std::vector<std::string>& arguments) {
  TempDir directory;
  std::vector<std::string> argv = {BinaryPath("sluice"), "explain"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const auto ended = sluice::testing::Run({.argv = argv,
                                           .env = env,
                                           .clear_env = true,
                                           .stdout_path = directory.Path("out"),
                                           .stderr_path = directory.Path("error")});
  Said said{ended ? ended->code : -1,
            ReadFile(directory.Path("out")),
            ReadFile(directory.Path("error")),
            {}};
  said.json = Json::parse(said.out, nullptr, false);
  return said;
}

// What became of it: "stored", or the reason.
std::string Verdict(const Said& said) {
  if (!said.json.is_object()) return "no JSON: " + said.out + said.error;
  if (said.json["outcome"] != "quarantined") return said.json["outcome"];
  EXPECT_EQ(said.code, 1);
  return said.json["reason"];
}

// The number of the check that refused; 0: none did.
int Refusing(const Said& said) {
  for (const Json& check : said.json["checks"]) {
    if (check["verdict"] == "refused") return check["check"];
  }
  return 0;
}

class ExplainCommand : public ::testing::Test {
 protected:
  // Payloads may be longer than an argument should be.
  Said With(SluiceStack& stack, const std::string& topic, const std::string& payload,
            std::vector<std::string> more = {"--json"}) {
    WriteFile(directory_.Path("payload"), payload);
    std::vector<std::string> arguments = {"--topic", topic, "--payload-file",
                                          directory_.Path("payload")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Explain(stack.env(), arguments);
  }

  TempDir directory_;
};

TEST_F(ExplainCommand, FindsEveryReasonAtItsCheckAndShowsNoToken) {
  SluiceStack stack(Env{{"MQTT_TOPIC", "tenant/#"}});
  RegisterFleet(stack);
  for (const Bad& bad : BadWithTokens()) {
    SCOPED_TRACE(bad.reason);
    const Said said = With(stack, bad.topic, bad.payload);
    EXPECT_THAT(said.out, Not(HasSubstr("tok-")));
    if (bad.reason == "RATE_LIMITED" || bad.reason == "STORAGE_REJECTED") {
      EXPECT_EQ(Verdict(said), "stored") << "neither can be tried without changing something";
      continue;
    }
    ASSERT_EQ(Verdict(said), bad.reason);
    Reason reason{};
    ASSERT_TRUE(ParseReason(bad.reason, &reason));
    EXPECT_EQ(Refusing(said), CheckOf(reason).number);
    EXPECT_FALSE(said.json["remedy"].get<std::string>().empty());
  }
}

TEST_F(ExplainCommand, NamesTheSubscription) {
  SluiceStack stack;
  RegisterFleet(stack);
  const auto saw = [&](const std::string& device) {
    const Said said =
        With(stack, "tenant/orchard/device/" + device + "/telemetry", Good(), {"--json"});
    return said.json["checks"][9]["saw"].get<std::string>();
  };
  EXPECT_EQ(saw("probe-7"), "none");
  EXPECT_EQ(saw("suspended"), "sub-suspended, of type MAIN: SUSPENDED");
  stack.Sql("UPDATE subscriptions SET status = 'TRIAL' WHERE subscription_id = 'sub-expired'");
  EXPECT_EQ(saw("expired"), "sub-expired, of type MAIN: TRIAL");
  stack.Sql("DELETE FROM subscriptions WHERE subscription_id = 'sub-expired'");
  EXPECT_EQ(saw("expired"), "sub-expired, which is not there");
}

TEST_F(ExplainCommand, ShowsTheRowThatTheDaemonWouldStore) {
  SluiceStack stack;
  stack.Register({});
  const Said said = With(stack, kTopic, Good(R"(,"ts":"2026-03-01T10:00:00Z","lat":1,"lng":2)"),
                         {"--received", "2026-03-01T10:00:05Z", "--json"});
  EXPECT_EQ(said.code, 0) << said.error;
  EXPECT_EQ(said.json["rows"], Json::array({Json{{"time", "2026-03-01T10:00:00.000000Z"},
                                                 {"tenant_id", "orchard"},
                                                 {"device_id", "probe-7"},
                                                 {"site_id", "north"},
                                                 {"msg_type", "telemetry"},
                                                 {"seq", "4"},
                                                 {"metrics", R"({"heat":21.5})"},
                                                 {"received_at", "2026-03-01T10:00:05.000000Z"}}}));
  EXPECT_EQ(Refusing(said), 0);
  EXPECT_THAT(said.json["notes"].dump(), HasSubstr("place"));
}

TEST_F(ExplainCommand, TellsPeopleWhichCheckRefusedWhyAndWhatToDo) {
  SluiceStack stack;
  stack.Register({});
  const Said said =
      With(stack, kTopic, R"({"site_id":"so\u001buth","provision_token":"tok-apple"})", {});
  EXPECT_EQ(said.code, 1);
  EXPECT_THAT(said.out, HasSubstr("6   REFUSED"));
  EXPECT_THAT(said.out, HasSubstr("7   not reached"));
  EXPECT_THAT(said.out, HasSubstr("It would be quarantined: MISSING_SITE_ID"));
  EXPECT_THAT(said.out, HasSubstr("Let the device send site_id."));
  EXPECT_EQ(said.out.find('\x1b'), std::string::npos);
}

TEST_F(ExplainCommand, ReadsThePayloadAlsoFromTheCommandLineAndStandardInput) {
  SluiceStack stack;
  stack.Register({});
  EXPECT_EQ(Verdict(Explain(stack.env(), {"--topic", kTopic, "--payload", Good(), "--json"})),
            "stored");
  WriteFile(directory_.Path("in"), Good());
  const auto ended =
      sluice::testing::Run({.argv = {"/bin/sh", "-c",
                                     "exec " + BinaryPath("sluice") + " explain --topic " + kTopic +
                                         " - < " + directory_.Path("in")},
                            .env = stack.env()});
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 0);
}

TEST_F(ExplainCommand, JudgesBySenderWhereTheStampIsWanted) {
  StampedStack stack;
  const auto verdict = [&](const std::string& device, std::vector<std::string> sender) {
    sender.emplace_back("--json");
    return Verdict(With(stack, TopicOf(device), PayloadOf(1), sender));
  };
  const std::string proof = "cert:" + DigestToHex(kCertificate);
  EXPECT_EQ(verdict("probe-7", {}), "IDENTITY_MISSING");
  EXPECT_EQ(verdict("probe-7", {"--stamp", "1 token orchard/probe-7 00"}), "IDENTITY_FORGED");
  EXPECT_EQ(verdict("probe-7",
                    {"--stamp", *stack.Keys().Sign({StampMethod::kToken, "orchard/probe-7", {}},
                                                   TopicOf("probe-7"), PayloadOf(1))}),
            "stored");
  EXPECT_EQ(verdict("probe-7", {"--identity", "orchard/probe-7"}), "stored");
  EXPECT_EQ(verdict("probe-7", {"--identity", "service"}), "IDENTITY_MISMATCH");
  EXPECT_EQ(verdict("certified", {"--identity", "orchard/certified", "--proof", proof}), "stored");
  EXPECT_EQ(verdict("certified", {"--identity", "orchard/certified"}), "TOKEN_NOT_SET_IN_REGISTRY");
  stack.env()["REQUIRE_TOKEN"] = "0";
  stack.Register({.device = "bare", .token = ""});
  EXPECT_EQ(verdict("certified",
                    {"--identity", "orchard/certified", "--proof", "cert:" + std::string(64, '0')}),
            "CERT_NOT_ACTIVE");
  EXPECT_EQ(verdict("bare", {"--identity", "orchard/bare"}), "AUTH_FAILED");
}

TEST_F(ExplainCommand, TakesTheSenderFromACertificate) {
  StampedStack stack;
  TestPki pki;
  const RawTls client = pki.Client({{"orchard/certified"}});
  const auto verdict = [&](const std::string& device) {
    return Verdict(With(stack, TopicOf(device), PayloadOf(1),
                        {"--certificate", client.certificate_file, "--json"}));
  };
  stack.env()["REQUIRE_TOKEN"] = "0";
  EXPECT_EQ(verdict("certified"), "CERT_NOT_ACTIVE");
  stack.Sql("UPDATE device_certificates SET fingerprint_sha256 = '" +
            DigestToHex(FingerprintOf(client.certificate_file)) + "'");
  EXPECT_EQ(verdict("certified"), "stored");
  EXPECT_EQ(verdict("probe-7"), "IDENTITY_MISMATCH");
}

TEST_F(ExplainCommand, ExplainsAMessageOfTheQuarantineByTodaysRegistry) {
  SluiceStack stack;
  stack.Register({});
  stack.Start();
  Publisher(stack.broker().port())
      .Publish(kTopic, R"({"site_id":"south","provision_token":"tok-apple"})");
  ASSERT_TRUE(Eventually([&] { return stack.Count("quarantine_events") == 1; }));
  const std::string id = stack.Value("SELECT id FROM quarantine_events");
  const auto explained = [&] { return Explain(stack.env(), {"--id", id, "--json"}); };
  EXPECT_EQ(Verdict(explained()), "SITE_MISMATCH_REGISTRY_VS_PAYLOAD");
  stack.Sql("UPDATE device_registry SET site_id = 'south'");
  EXPECT_EQ(Verdict(explained()), "stored") << "its token was cut out, and its hash kept";
  stack.Sql("UPDATE quarantine_events SET payload_truncated = true");
  EXPECT_EQ(explained().code, 69);
  EXPECT_EQ(Explain(stack.env(), {"--id", "4711"}).code, 69);
}

// A server on which nothing runs by itself.
TEST_F(ExplainCommand, ChangesNothingNotEvenWithAutoProvision) {
  PostgresServer server({.settings = {"autovacuum = off"}});
  SluiceStack stack(
      Env{{"AUTO_PROVISION", "1"}, {"REQUIRE_TOKEN", "0"}, {"MQTT_TOPIC", "tenant/#"}}, &server);
  RegisterFleet(stack);
  stack.Sql(
      "INSERT INTO subscriptions (subscription_id, tenant_id, status, subscription_type, "
      "device_limit, active_device_count) VALUES ('s', 'meadow', 'ACTIVE', 'MAIN', 1, 0)");
  const auto state = [&] {
    return stack.Value(
        "SELECT pg_snapshot_xmax(pg_current_snapshot()) || ' ' || (SELECT count(*) FROM "
        "device_registry) || ' ' || (SELECT count(*) FROM pg_class WHERE relname LIKE "
        "'telemetry_p%') || ' ' || (SELECT sum(active_device_count) FROM subscriptions)");
  };
  const std::string before = state();
  for (const Bad& bad : BadWithTokens()) With(stack, bad.topic, bad.payload);
  const std::string meadow = "tenant/meadow/device/new/telemetry";
  const Said added = With(stack, meadow, PayloadOf(1));
  EXPECT_EQ(Verdict(added), "stored");
  EXPECT_THAT(added.json["checks"][8]["saw"].get<std::string>(), HasSubstr("would add it"));
  EXPECT_EQ(Verdict(With(stack, "tenant/desert/device/new/telemetry", PayloadOf(1))),
            "NO_SUBSCRIPTION_CAPACITY");
  EXPECT_EQ(state(), before) << "no transaction, of whatever size, has got a number";
  stack.Sql("UPDATE subscriptions SET active_device_count = 1 WHERE subscription_id = 's'");
  EXPECT_EQ(Verdict(With(stack, meadow, PayloadOf(1))), "NO_SUBSCRIPTION_CAPACITY");
}

TEST_F(ExplainCommand, SaysThatAMessageWouldNotCome) {
  SluiceStack stack;
  stack.Register({});
  const Said other = With(stack, "tenant/orchard/device/probe-7/other", Good());
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.out, HasSubstr("No filter of MQTT_TOPIC"));
  stack.env()["MQTT_TOPIC"] = "tenant/#";
  const Said downlink = With(stack, "tenant/orchard/device/probe-7/commands", Good());
  EXPECT_EQ(downlink.code, 2);
  EXPECT_THAT(downlink.out, HasSubstr("downlink"));
}

TEST_F(ExplainCommand, HeedsAppSettings) {
  SluiceStack stack;
  stack.Register({});
  stack.Sql("INSERT INTO app_settings (key, value) VALUES ('MAX_PAYLOAD_BYTES', '10')");
  EXPECT_EQ(Verdict(With(stack, kTopic, Good())), "PAYLOAD_TOO_LARGE");
}

TEST_F(ExplainCommand, SaysWhyItCannotSay) {
  SluiceStack stack;
  const auto code = [&](std::vector<std::string> more) {
    return With(stack, kTopic, Good(), std::move(more)).code;
  };
  EXPECT_EQ(code({"--received", "soon"}), 69);
  EXPECT_EQ(code({"--identity", "orchard/probe-7", "--proof", "word of honour"}), 69);
  EXPECT_EQ(code({"--certificate", "/nowhere"}), 69);
  EXPECT_EQ(Explain(stack.env(), {"--payload", "{}"}).code, 69) << "no topic";
  stack.env()["BATCH_SIZE"] = "many";
  EXPECT_EQ(code({}), 78);
  stack.env()["BATCH_SIZE"] = "2000";
  stack.env()["DATABASE_URL"] = "postgresql://u:hush@127.0.0.1:1/d";
  const Said away = With(stack, kTopic, Good());
  EXPECT_EQ(away.code, 69);
  EXPECT_THAT(away.error, Not(HasSubstr("hush")));
  stack.env()["DATABASE_URL"] = stack.server().Url(stack.server().CreateDatabase());
  EXPECT_THAT(With(stack, kTopic, Good()).error, HasSubstr("sluice migrate"));
}

}  // namespace
}  // namespace sluice::testing
