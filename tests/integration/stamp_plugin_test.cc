// The daemon behind a broker with the plugin: who is accepted, and that nobody else is.
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "tests/integration/broker_plugin_fixture.h"
#include "tests/integration/stamp_fixture.h"

namespace sluice::testing {
namespace {

const std::string kProperty(kStampProperty);

class StampPlugin : public ::testing::Test {
 protected:
  void SetUp() override {
    stack_.env()["MQTT_PORT"] = std::to_string(broker_.server->port());
    stack_.env()["MQTT_USERNAME"] = "sluice";
    stack_.env()["MQTT_PASSWORD"] = "pw";
    const RawTls& certificate = broker_.Certificate("orchard/certified");
    stack_.Sql("UPDATE device_certificates SET fingerprint_sha256 = '" +
               DigestToHex(FingerprintOf(certificate.certificate_file)) + "'");
    stack_.Start();
  }

  // The device that logs in with tok-apple; again until the plugin has asked the registry.
  std::unique_ptr<RawMqtt> LogIn() {
    std::unique_ptr<RawMqtt> client;
    const RawConnect connect{
        .client_id = "probe-7", .username = "orchard/probe-7", .password = "tok-apple"};
    EXPECT_TRUE(Eventually([&] {
      client = std::make_unique<RawMqtt>(broker_.server->port());
      return client->Connect(connect) == 0;
    })) << broker_.server->Log();
    return client;
  }
  std::string Judged(RawMqtt& client, const std::string& device, int seq) {
    EXPECT_EQ(client.Publish({.topic = TopicOf(device), .payload = PayloadOf(seq)}), 0);
    return stack_.VerdictOf(seq);
  }
  // SIGHUP; returns when the broker has said that it has read the key again.
  void ReloadBroker() {
    const auto said = [this] { return TimesIn(broker_.server->Log(), "were read again"); };
    const size_t before = said();
    broker_.server->Signal(SIGHUP);
    EXPECT_TRUE(Eventually([&] { return said() > before; })) << broker_.server->Log();
  }

  StampedStack stack_;
  BrokerWithPlugin broker_{stack_.server().Url(stack_.database())};
};

TEST_F(StampPlugin, AcceptsACertificateAndALoginWithoutATokenInThePayload) {
  EXPECT_EQ(Judged(*broker_.Device("orchard/certified"), "certified", 1), "accepted");
  auto device = LogIn();
  EXPECT_EQ(Judged(*device, "probe-7", 2), "accepted");
  const std::string wrong = R"({"site_id":"north","seq":3,"provision_token":"tok-pear"})";
  EXPECT_EQ(device->Publish({.topic = TopicOf("probe-7"), .payload = wrong}), 0);
  EXPECT_EQ(stack_.VerdictOf(3), "TOKEN_INVALID");
  EXPECT_EQ(stack_.Value("SELECT identity FROM quarantine_events"), "orchard/probe-7");
}

TEST_F(StampPlugin, LetsNoDeviceSpeakForAnother) {
  auto watcher = broker_.Watcher();
  EXPECT_EQ(Judged(*LogIn(), "probe-7", 1), "accepted");
  const auto arrived = broker_.Arrived(*watcher);
  ASSERT_EQ(arrived.size(), 1U);
  const std::string stamp = StampOf(arrived[0]);
  const std::vector<std::pair<std::string, std::string>> tries[] = {
      {},
      {{kProperty, stamp}},
      {{kProperty, stamp}, {kProperty, stamp}},
      {{"Sluice-Stamp", stamp}},
      {{kProperty, "1 cert orchard/probe-7 " + std::string(64, '0')}}};
  for (const auto& properties : tries) {
    for (const bool retain : {false, true}) {
      const RawPublish publish{.topic = TopicOf("probe-7"),
                               .payload = PayloadOf(1),
                               .properties = properties,
                               .retain = retain};
      EXPECT_EQ(broker_.PublishOnce("orchard/certified", publish), kNotAuthorized5);
    }
    RawConnect connect;
    connect.will = RawWill{TopicOf("probe-7"), PayloadOf(1), properties};
    broker_.Device("orchard/certified", connect)->Drop();
  }
  // What comes last has overtaken nothing.
  EXPECT_EQ(Judged(*broker_.Device("orchard/certified"), "certified", 2), "accepted");
  EXPECT_EQ(stack_.Count("telemetry WHERE device_id = 'probe-7'"), 1) << "wrongly accepted";
  EXPECT_EQ(stack_.Count("quarantine_events"), 0) << "the broker let something through";
}

TEST_F(StampPlugin, GivesNothingToAWill) {
  const auto judged = [&](int version, int seq, const std::string& stamp) {
    RawConnect connect;
    connect.version = version;
    connect.will = RawWill{TopicOf("certified"), PayloadOf(seq)};
    if (!stamp.empty()) connect.will->properties = {{kProperty, stamp}};
    broker_.Device("orchard/certified", connect)->Drop();
    return stack_.VerdictOf(seq);
  };
  EXPECT_EQ(judged(4, 1, ""), "IDENTITY_MISSING");
  EXPECT_EQ(judged(5, 2, ""), "IDENTITY_MISSING");
  EXPECT_EQ(judged(5, 3, "1 cert orchard/certified " + std::string(64, '0')), "IDENTITY_FORGED");
  EXPECT_EQ(stack_.Count("telemetry"), 0) << "wrongly accepted";
}

TEST_F(StampPlugin, StampsWhatIsRetained) {
  const RawPublish publish{.topic = TopicOf("certified"), .payload = PayloadOf(1), .retain = true};
  EXPECT_EQ(broker_.PublishOnce("orchard/certified", publish), 0);
  EXPECT_EQ(stack_.VerdictOf(1), "accepted");
}

TEST_F(StampPlugin, NamesAServiceThatPublishesOnADevicesTopic) {
  broker_.WriteSecret(
      "rules", broker_.Read("rules") + "\naccount sluice publish tenant/+/device/+/telemetry\n");
  ReloadBroker();
  RawMqtt service(broker_.server->port());
  ASSERT_EQ(service.Connect({.client_id = "service", .username = "sluice", .password = "pw"}), 0);
  EXPECT_EQ(Judged(service, "certified", 1), "IDENTITY_MISMATCH");
  EXPECT_EQ(stack_.Value("SELECT identity FROM quarantine_events"), "sluice");
}

// The steps of docs/security.md, with a device that never stops.
TEST_F(StampPlugin, TakesANewKeyWithoutLosingOrRefusingAMessage) {
  std::atomic<bool> enough{false};
  std::atomic<int> published{0};
  std::jthread device([&] {
    auto client = broker_.Device("orchard/certified");
    while (!enough) {
      const RawPublish publish{.topic = TopicOf("certified"), .payload = PayloadOf(published)};
      if (client->Publish(publish) != 0) return;
      ++published;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  const auto go_on = [&] {
    const int until = published + 50;
    EXPECT_TRUE(Eventually([&] { return published >= until; })) << broker_.server->Log();
  };
  const auto daemon_has = [&](const std::string& keys) {
    stack_.WriteKeys(keys);
    stack_.Reload();
    go_on();
  };
  const auto broker_has = [&](const std::string& keys) {
    broker_.WriteSecret("key", keys);
    ReloadBroker();
    go_on();
  };
  go_on();
  daemon_has(kKey + kNewKey);
  broker_has(kNewKey);
  const int stamped_with_old = published;
  EXPECT_TRUE(Eventually([&] { return stack_.Count("telemetry") >= stamped_with_old; }));
  daemon_has(kNewKey);
  enough = true;
  device.join();
  EXPECT_TRUE(Eventually([&] { return stack_.Count("telemetry") == published; }))
      << stack_.Count("telemetry") << " of " << published;
  EXPECT_EQ(stack_.Count("quarantine_events"), 0);
}

}  // namespace
}  // namespace sluice::testing
