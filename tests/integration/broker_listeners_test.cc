// The broker exactly as it is shipped (deploy/mosquitto/): every listener, the plugin, the rules.
#include <gmock/gmock.h>
#include <mqtt/client.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/shipped_broker.h"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;

constexpr int kNotAuthorized = 0x87;
constexpr int kClosed = -1;
constexpr const char* kTopic = "tenant/orchard/device/probe-7/telemetry";

class BrokerListeners : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { broker_ = new ShippedBroker; }
  static void TearDownTestSuite() { delete broker_; }
  void SetUp() override {
    ASSERT_EQ(daemon_.Connect({.client_id = "sluice", .username = "sluice", .password = "pw"}), 0)
        << broker_->Log();
    ASSERT_EQ(daemon_.Subscribe("$share/ingest/tenant/+/device/+/telemetry/#"), 1);
  }

  // Of the next message that the daemon gets, e.g. "cert orchard/probe-7".
  std::string NextSender() {
    const auto message = daemon_.Receive();
    if (!message) return "nobody";
    return broker_->SenderOf(*message);
  }
  // A login by token ends with a closed connection as long as the plugin knows nothing of the
  // device.
  static std::unique_ptr<RawMqtt> LoginWithToken(const std::string& client_id) {
    for (int i = 0; i < 100; ++i) {
      auto device = std::make_unique<RawMqtt>(broker_->port);
      const int code = device->Connect(
          {.client_id = client_id, .username = "orchard/probe-7", .password = broker_->token});
      if (code == 0) return device;
      EXPECT_EQ(code, kClosed);
      std::this_thread::sleep_for(milliseconds(50));
    }
    return nullptr;
  }
  // "accepted", or Paho's words.
  static std::string ConnectOverWebSocket(mqtt::client* client, const std::string& username,
                                          const std::string& password) {
    mqtt::connect_options options;
    options.set_mqtt_version(MQTTVERSION_5);
    options.set_clean_start(true);
    options.set_user_name(username);
    options.set_password(password);
    try {
      client->connect(options);
      return "accepted";
    } catch (const mqtt::exception& e) {
      return e.to_string();
    }
  }
  static mqtt::client WebSocket() {
    return {"ws://127.0.0.1:" + std::to_string(broker_->websocket_port), "sluice",
            mqtt::create_options(MQTTVERSION_5)};
  }

  static inline ShippedBroker* broker_ = nullptr;
  RawMqtt daemon_{broker_->port};
};

TEST_F(BrokerListeners, LetADeviceInByItsCertificate) {
  RawMqtt device(broker_->tls_port, broker_->certificate);
  ASSERT_EQ(device.Connect({}), 0) << broker_->Log();
  EXPECT_EQ(device.Publish({.topic = kTopic}), 0);
  EXPECT_EQ(NextSender(), "cert orchard/probe-7");
}

TEST_F(BrokerListeners, LetADeviceInByItsToken) {
  const auto device = LoginWithToken("raw");
  ASSERT_NE(device, nullptr) << broker_->Log();
  EXPECT_EQ(device->Publish({.topic = kTopic}), 0);
  EXPECT_EQ(NextSender(), "token orchard/probe-7");
}

TEST_F(BrokerListeners, LetAServiceInOverWebSocketByItsPassword) {
  mqtt::client service = WebSocket();
  ASSERT_EQ(ConnectOverWebSocket(&service, "service_pulse", "pulse"), "accepted");
  service.publish(kTopic, "{}", 2, 1, false);
  EXPECT_EQ(NextSender(), "account service_pulse");
  service.disconnect();
}

TEST_F(BrokerListeners, LetNobodyInWithoutProof) {
  RawTls stranger = broker_->certificate;
  stranger.certificate_file = stranger.key_file = "";
  RawMqtt without_certificate(broker_->tls_port, stranger);
  EXPECT_EQ(without_certificate.Connect({.username = "sluice", .password = "pw"}), kClosed);

  EXPECT_EQ(RawMqtt(broker_->port).Connect({}), kNotAuthorized);
  EXPECT_EQ(RawMqtt(broker_->port).Connect({.username = "sluice", .password = "no"}),
            kNotAuthorized);
  EXPECT_NE(LoginWithToken("probe-7"), nullptr);  // the plugin knows it now
  EXPECT_EQ(RawMqtt(broker_->port).Connect({.username = "orchard/probe-7", .password = "no"}),
            kNotAuthorized);

  mqtt::client service = WebSocket();
  EXPECT_NE(ConnectOverWebSocket(&service, "service_pulse", "no"), "accepted");
  EXPECT_NE(ConnectOverWebSocket(&service, "", ""), "accepted");
}

TEST_F(BrokerListeners, LetNobodyTakeOverTheDaemonsSessionByItsClientId) {
  RawMqtt with_certificate(broker_->tls_port, broker_->certificate);
  EXPECT_EQ(with_certificate.Connect({.client_id = "sluice"}), 0);
  EXPECT_NE(LoginWithToken("sluice"), nullptr);
  mqtt::client service = WebSocket();
  EXPECT_EQ(ConnectOverWebSocket(&service, "service_pulse", "pulse"), "accepted");
  EXPECT_FALSE(daemon_.IsClosed()) << broker_->Log();
  service.disconnect();
}

TEST_F(BrokerListeners, TurnAwayACertificateThatIsOnTheList) {
  broker_->Sluice({"device", "add", "orchard", "stolen", "--site", "north"});
  const RawTls stolen = broker_->Issue("orchard", "stolen");
  EXPECT_EQ(RawMqtt(broker_->tls_port, stolen).Connect({}), 0) << broker_->Log();
  broker_->Sluice({"device", "cert", "revoke", "orchard", "stolen"});
  broker_->Sluice({"crl", "write", "--out", broker_->Path("device-crl.pem")});
  broker_->Reload();
  EXPECT_TRUE(Eventually([&] { return RawMqtt(broker_->tls_port, stolen).Connect({}) == kClosed; }))
      << broker_->Log();
}

}  // namespace
}  // namespace sluice::testing
