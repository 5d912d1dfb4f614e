// What the daemon makes of stamps. The broker has no plugin here and passes everything; the test
// stamps, or lies.
#include "tests/fault/campaign.h"
#include "tests/integration/stamp_fixture.h"

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using Properties = std::vector<std::pair<std::string, std::string>>;

const std::string kProperty(kStampProperty);

class StampTest : public ::testing::Test {
 protected:
  void Start() {
    stack_.Start();
    EXPECT_EQ(client_.Connect({}), 0);
  }
  static std::string Sign(const StampKeys& keys, int seq, const std::string& device = "certified",
                          StampMethod method = StampMethod::kCert) {
    const std::string identity = "orchard/" + device;
    return *keys.Sign({method, identity, kCertificate}, TopicOf(device), PayloadOf(seq));
  }
  void Publish(int seq, const Properties& properties, const std::string& device = "certified") {
    const RawPublish publish{
        .topic = TopicOf(device), .payload = PayloadOf(seq), .properties = properties};
    EXPECT_EQ(client_.Publish(publish), 0);
  }
  std::string Judged(int seq, const Properties& properties,
                     const std::string& device = "certified") {
    Publish(seq, properties, device);
    return stack_.VerdictOf(seq);
  }
  std::string JudgedWill(int version, int seq, const Properties& properties) {
    RawMqtt client(stack_.broker().port());
    EXPECT_EQ(client.Connect({.client_id = "dying",
                              .version = version,
                              .will = RawWill{TopicOf("certified"), PayloadOf(seq), properties}}),
              0);
    client.Drop();
    return stack_.VerdictOf(seq);
  }

  void Conclude(Scenario& scenario, size_t messages, int64_t wrongly_accepted) {
    Judgement judgement;
    judgement.acknowledged = messages;
    judgement.wrongly_accepted = static_cast<size_t>(wrongly_accepted);
    scenario.Repeated();
    scenario.Judged(judgement);
    scenario.Say(stack_.Value(
        "SELECT string_agg(n || ' ' || reason, ', ' ORDER BY reason) FROM (SELECT reason, count(*) "
        "AS n FROM quarantine_events GROUP BY reason) AS r"));
  }

  StampedStack stack_;
  RawMqtt client_{stack_.broker().port()};
};

TEST_F(StampTest, ProvesACertificateAndALoginWithTheToken) {
  Start();
  const StampKeys keys = stack_.Keys();
  EXPECT_EQ(Judged(1, {{kProperty, Sign(keys, 1)}}), "accepted");
  EXPECT_EQ(Judged(2, {{kProperty, Sign(keys, 2, "probe-7", StampMethod::kToken)}}, "probe-7"),
            "accepted");
  EXPECT_EQ(Judged(3, {{kProperty, Sign(keys, 3, "probe-7")}}, "probe-7"), "TOKEN_MISSING");
  EXPECT_EQ(stack_.Value("SELECT identity FROM quarantine_events"), "orchard/probe-7");
  const std::string ready = stack_.Http("/ready");
  EXPECT_THAT(ready, HasSubstr(R"("identity_mode":"stamp")"));
  EXPECT_THAT(ready, HasSubstr(R"("notes":[])"));
  EXPECT_THAT(stack_.log(), Not(HasSubstr("identity_from_topic")));
}

TEST_F(StampTest, IsRefusedUnlessItIsOneAndGenuine) {
  Scenario scenario("9",
                    "at a daemon whose broker checks nothing, stamps with a wrong key, for another "
                    "topic or payload, forged, doubled, empty, otherwise spelt, none");
  Start();
  const StampKeys keys = stack_.Keys();
  stack_.WriteKeys(kNewKey);
  const StampKeys other_keys = stack_.Keys();
  int seq = 0;
  const auto expect = [&](const char* reason, const Properties& properties, const char* what) {
    EXPECT_EQ(Judged(seq, properties), reason) << what;
    ++seq;
  };
  const auto genuine = [&] { return Sign(keys, seq); };
  const std::string zeros = "1 cert orchard/certified " + std::string(64, '0');
  expect("IDENTITY_MISSING", {}, "none");
  expect("IDENTITY_MISSING", {{"sluice-stamps", genuine()}, {"x", "y"}}, "another property");
  expect("IDENTITY_FORGED", {{kProperty, zeros}}, "forged");
  expect("IDENTITY_FORGED", {{kProperty, ""}}, "empty");
  expect("IDENTITY_FORGED", {{kProperty, Sign(other_keys, seq)}}, "another key");
  expect("IDENTITY_FORGED", {{kProperty, Sign(keys, seq + 1)}}, "another payload");
  expect("IDENTITY_FORGED", {{kProperty, Sign(keys, seq, "probe-7")}}, "copied from another topic");
  expect("IDENTITY_FORGED", {{kProperty, genuine()}, {kProperty, genuine()}}, "doubled");
  expect("IDENTITY_FORGED", {{kProperty, zeros}, {kProperty, genuine()}}, "forged and genuine");
  expect("IDENTITY_FORGED", {{kProperty, genuine()}, {kProperty, zeros}}, "genuine and forged");
  expect("IDENTITY_FORGED", {{kProperty, ""}, {kProperty, genuine()}}, "empty and genuine");
  expect("IDENTITY_FORGED", {{"Sluice-Stamp", genuine()}}, "another spelling");
  expect("IDENTITY_FORGED", {{"SLUICE-STAMP", zeros}, {kProperty, genuine()}}, "spelling first");
  expect("IDENTITY_FORGED", {{kProperty, genuine()}, {"sluice-stamP", zeros}}, "spelling last");
  EXPECT_EQ(stack_.Count("quarantine_events WHERE identity IS NOT NULL"), 0);
  Conclude(scenario, static_cast<size_t>(seq), stack_.Count("telemetry"));
  Properties crowd(10'000, {"x", "y"});
  crowd.emplace_back(kProperty, genuine());
  expect("accepted", crowd, "one among many properties");
}

TEST_F(StampTest, OfACertificateThatIsNotTheActiveOneProvesNothing) {
  Start();
  const StampKeys keys = stack_.Keys();
  const std::string topic = TopicOf("certified");
  const StampClaim old{StampMethod::kCert, "orchard/certified", Sha256("an older certificate")};
  EXPECT_EQ(Judged(1, {{kProperty, *keys.Sign(old, topic, PayloadOf(1))}}),
            "TOKEN_NOT_SET_IN_REGISTRY");
  stack_.Sql(
      "INSERT INTO device_certificates (tenant_id, device_id, cert_pem, fingerprint_sha256, "
      "common_name, issuer, serial_number, not_before, not_after) VALUES ('orchard', 'certified', "
      "'', upper('" +
      DigestToHex(old.certificate) + "'), '', '', '', now() - interval '1 day', 'infinity')");
  EXPECT_TRUE(Eventually([&, seq = 2]() mutable {
    const std::string payload = PayloadOf(seq);
    return Judged(seq++, {{kProperty, *keys.Sign(old, topic, payload)}}) == "accepted";
  }));
}

TEST_F(StampTest, OfACertificateThatEndedWhileTheMessageWaitedIsGood) {
  Start();
  const StampKeys keys = stack_.Keys();
  const auto blocker = stack_.server().Connect(stack_.database());
  ASSERT_TRUE(
      blocker->Exec("UPDATE device_certificates SET not_after = now() + interval '2 s'").ok());
  ASSERT_TRUE(blocker->Exec("BEGIN; LOCK TABLE device_certificates").ok());
  Publish(1, {{kProperty, Sign(keys, 1)}});
  ASSERT_TRUE(blocker->Exec("SELECT pg_sleep(2.5)").ok());
  ASSERT_TRUE(blocker->Exec("ROLLBACK").ok());
  EXPECT_EQ(stack_.VerdictOf(1), "accepted");
  EXPECT_EQ(Judged(2, {{kProperty, Sign(keys, 2)}}), "TOKEN_NOT_SET_IN_REGISTRY");
}

TEST_F(StampTest, OfAnotherSenderNamesIt) {
  Start();
  const StampKeys keys = stack_.Keys();
  const std::string topic = TopicOf("certified");
  const std::pair<StampMethod, const char*> senders[] = {{StampMethod::kCert, "orchard/probe-7"},
                                                         {StampMethod::kToken, "meadow/certified"},
                                                         {StampMethod::kAccount, "service_pulse"}};
  int seq = 0;
  for (const auto& [method, sender] : senders) {
    ++seq;
    EXPECT_EQ(Judged(seq, {{kProperty, *keys.Sign({method, sender}, topic, PayloadOf(seq))}}),
              "IDENTITY_MISMATCH");
    EXPECT_EQ(stack_.Value("SELECT identity || ': ' || detail FROM quarantine_events ORDER BY "
                           "spool_seq DESC LIMIT 1"),
              std::string(sender) + ": the broker knows the sender as " + sender + ", by its " +
                  std::string(StampMethodName(method)));
  }
  EXPECT_EQ(stack_.Count("telemetry"), 0) << "wrongly accepted";
}

// A Will is sent by the broker without a stamp. One that its owner has copied from an earlier
// message of its own proves what it proved then: that payload, on that topic, from that sender.
TEST_F(StampTest, IsMissingInAWillUnlessItsOwnerCopiesOne) {
  Start();
  const StampKeys keys = stack_.Keys();
  EXPECT_EQ(JudgedWill(4, 1, {}), "IDENTITY_MISSING");
  EXPECT_EQ(JudgedWill(5, 2, {}), "IDENTITY_MISSING");
  EXPECT_EQ(JudgedWill(5, 3, {{kProperty, Sign(keys, 99)}}), "IDENTITY_FORGED");
  EXPECT_EQ(JudgedWill(5, 4, {{kProperty, Sign(keys, 4, "probe-7")}}), "IDENTITY_FORGED");
  EXPECT_EQ(stack_.Count("telemetry"), 0) << "wrongly accepted";
  EXPECT_EQ(JudgedWill(5, 5, {{kProperty, Sign(keys, 5)}}), "accepted");
}

TEST_F(StampTest, CountsForWhatIsRetainedAsForAnythingElse) {
  Start();
  const auto retain = [&](int seq, const Properties& properties) {
    EXPECT_EQ(client_.Publish({.topic = TopicOf("certified"),
                               .payload = PayloadOf(seq),
                               .properties = properties,
                               .retain = true}),
              0);
    return stack_.VerdictOf(seq);
  };
  EXPECT_EQ(retain(1, {{kProperty, Sign(stack_.Keys(), 1)}}), "accepted");
  EXPECT_EQ(retain(2, {}), "IDENTITY_MISSING");
  EXPECT_EQ(retain(3, {{kProperty, Sign(stack_.Keys(), 1)}}), "IDENTITY_FORGED");
}

TEST_F(StampTest, IsVerifiedWithTheKeysThatWereReadLast) {
  Scenario scenario("9", "a stamp of the old key after the rotation");
  Start();
  const StampKeys old_key = stack_.Keys();
  stack_.WriteKeys(kKey + kNewKey);
  stack_.Reload();
  EXPECT_THAT(stack_.log(), HasSubstr("stamp_keys_read keys=2"));
  stack_.WriteKeys(kNewKey);
  const StampKeys new_key = stack_.Keys();
  EXPECT_EQ(Judged(1, {{kProperty, Sign(old_key, 1)}}), "accepted");
  EXPECT_EQ(Judged(2, {{kProperty, Sign(new_key, 2)}}), "accepted");
  stack_.Reload();
  EXPECT_EQ(Judged(3, {{kProperty, Sign(old_key, 3)}}), "IDENTITY_FORGED");
  Conclude(scenario, 1, stack_.Count("telemetry WHERE seq = 3"));
  EXPECT_EQ(Judged(4, {{kProperty, Sign(new_key, 4)}}), "accepted");

  stack_.WriteKeys("c0ffee");
  stack_.Reload("stamp_keys_refused");
  EXPECT_EQ(Judged(5, {{kProperty, Sign(new_key, 5)}}), "accepted");
  EXPECT_THAT(stack_.log(), Not(HasSubstr("88888888")));
  EXPECT_THAT(stack_.log(), Not(HasSubstr("c0ffee")));
}

// Many readings of the file in the middle of traffic, for ThreadSanitizer, too.
TEST_F(StampTest, IsNotMissedWhileKeysAreReadAgain) {
  Start();
  const StampKeys keys = stack_.Keys();
  stack_.WriteKeys(kNewKey + kKey);
  for (int seq = 0; seq < 1000; ++seq) {
    Publish(seq, {{kProperty, Sign(keys, seq)}});
    if (seq % 10 == 0) stack_.daemon().Signal(SIGHUP);
  }
  EXPECT_TRUE(Eventually([this] { return stack_.Count("telemetry") == 1000; }))
      << stack_.Count("telemetry");
  EXPECT_EQ(stack_.Count("quarantine_events"), 0);
  EXPECT_GT(stack_.Said("stamp_keys_read"), 1U);
}

TEST_F(StampTest, IsIgnoredWithoutAKeyWhereTheTopicIsBelieved) {
  stack_.env()["IDENTITY_MODE"] = "topic";
  stack_.env()["STAMP_KEY_FILE"] = "";
  Start();
  EXPECT_EQ(Judged(1, {}), "accepted");
  EXPECT_EQ(Judged(2, {{kProperty, "forged"}}), "accepted");
  EXPECT_THAT(stack_.log(), HasSubstr("identity_from_topic"));
  const std::string ready = stack_.Http("/ready");
  EXPECT_THAT(ready, HasSubstr(R"("identity_mode":"topic")"));
  EXPECT_THAT(ready, HasSubstr(R"("notes":["IDENTITY_MODE=topic: )"));
  stack_.Reload("reload_ignored");
}

TEST_F(StampTest, IsCheckedWhereItComesWithAKeyAndTheTopicBelieved) {
  stack_.env()["IDENTITY_MODE"] = "topic";
  Start();
  EXPECT_EQ(Judged(1, {}), "accepted");
  EXPECT_EQ(Judged(2, {{kProperty, Sign(stack_.Keys(), 2)}}), "accepted");
  EXPECT_EQ(Judged(3, {{kProperty, "forged"}}), "IDENTITY_FORGED");
  EXPECT_EQ(Judged(4, {{"Sluice-Stamp", Sign(stack_.Keys(), 4)}}), "IDENTITY_FORGED");
}

TEST_F(StampTest, WithoutAKeyKeepsTheDaemonFromStarting) {
  stack_.env()["STAMP_KEY_FILE"] = "";
  stack_.Launch();
  const auto ended = stack_.daemon().Wait(std::chrono::seconds(20));
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 78);
  EXPECT_THAT(stack_.log(), HasSubstr("set STAMP_KEY_FILE, or IDENTITY_MODE=topic"));
}

}  // namespace
}  // namespace sluice::testing
