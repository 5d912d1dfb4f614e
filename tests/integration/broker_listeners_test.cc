// The broker exactly as it is shipped (deploy/mosquitto/): every listener, the plugin, the rules.
#include <gmock/gmock.h>
#include <mqtt/client.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "auth/stamp.h"
#include "tests/support/free_port.h"
#include "tests/support/raw_mqtt.h"
#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AnyOf;

constexpr int kNotAuthorized = 0x87;
constexpr int kClosed = -1;
constexpr const char* kTopic = "tenant/orchard/device/probe-7/telemetry";

// A registry with one device, the files that listeners.conf asks for, and the broker.
class ShippedBroker {
 public:
  ShippedBroker() {
    env_ = {{"DATABASE_URL", SharedPostgres().Url(SharedPostgres().CreateDatabase())},
            {"PKI_DIR", Path("pki")}};
    Sluice({"migrate"});
    token = Sluice({"device", "add", "orchard", "probe-7", "--site", "north"}).substr(0, 64);
    Sluice({"pki", "init", "--server-name", "localhost", "127.0.0.1"});
    certificate = Issue("probe-7");
    for (const char* file : {"server.crt", "server.key", "combined-ca.crt"}) {
      WriteFile(Path(file), ReadFile(Path("pki/") + file));
    }
    Sluice({"crl", "write", "--out", Path("device-crl.pem")});
    WriteFile(Path("rules.conf"), ReadFile(SLUICE_SOURCE_DIR "/deploy/mosquitto/rules.conf"));
    WriteFile(Path("sluice_broker_plugin.so"), ReadFile(BinaryPath("sluice_broker_plugin.so")));
    WriteSecret("stamp.key", std::string(64, '7') + "\n");
    WriteSecret("database.url", env_["DATABASE_URL"] + "\n");
    WriteSecret("passwords", "sluice:pw\nservice_pulse:pulse\n");
    Run({"mosquitto_passwd", "-U", Path("passwords")});
    Start();
  }

  // Standard output; a failure is the test's.
  std::string Run(const std::vector<std::string>& argv) {
    const std::string out = Path("out" + std::to_string(runs_++));
    const auto ended = sluice::testing::Run(
        {.argv = argv, .env = env_, .stdout_path = out, .stderr_path = Path("err")});
    EXPECT_TRUE(ended && ended->code == 0)
        << ::testing::PrintToString(argv) << ReadFile(Path("err"));
    return ReadFile(out);
  }
  std::string Sluice(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), BinaryPath("sluice"));
    return Run(arguments);
  }
  RawTls Issue(const std::string& device) {
    const std::string out = Path("cert-" + device);
    Sluice({"device", "cert", "issue", "orchard", device, "--out", out});
    return {Path("pki/ca.crt"), out + "/device.crt", out + "/device.key"};
  }
  // The broker reads its files again.
  void Reload() { broker_->Signal(SIGHUP); }

  std::string Path(std::string_view name) const { return directory_.Path(name); }
  std::string Log() const { return ReadFile(Path("log")); }
  StampKeys Keys() const { return *StampKeys::Load(Path("stamp.key")); }

  const uint16_t tls_port = FreePort();
  const uint16_t port = FreePort();
  const uint16_t websocket_port = FreePort();
  std::string token;
  RawTls certificate;

 private:
  void WriteSecret(const std::string& name, const std::string& text) {
    WriteFile(Path(name), text);
    chmod(Path(name).c_str(), 0600);
  }
  void Start() {
    // The function that ./run uses; as root the broker would become a user who owns nothing here.
    const std::string configuration =
        Run({"bash", "-c", R"(set -eu; source "$1/scripts/lib.sh"; broker_configuration "${@:2}")",
             "_", SLUICE_SOURCE_DIR, directory_.path(), std::to_string(tls_port),
             std::to_string(port), std::to_string(websocket_port)});
    WriteFile(Path("mosquitto.conf"), configuration + "user root\n");
    broker_ = Process::Start({.argv = {"/usr/sbin/mosquitto", "-c", Path("mosquitto.conf")},
                              .stdout_path = Path("log"),
                              .stderr_path = Path("log")});
    for (const uint16_t each : {tls_port, port, websocket_port}) {
      EXPECT_TRUE(WaitForPort(each, seconds(30))) << Log();
    }
  }

  TempDir directory_;
  Env env_;
  std::unique_ptr<Process> broker_;
  int runs_ = 0;
};

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
    for (const auto& [name, value] : message->properties) {
      if (name != kStampProperty) continue;
      const auto keys = broker_->Keys();
      const auto claim = keys.Verify(message->topic, message->payload, value);
      if (!claim) return "forged";
      return std::string(StampMethodName(claim->method)) + " " + std::string(claim->identity);
    }
    return "unstamped";
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
  const RawTls stolen = broker_->Issue("stolen");
  EXPECT_EQ(RawMqtt(broker_->tls_port, stolen).Connect({}), 0) << broker_->Log();
  broker_->Sluice({"device", "cert", "revoke", "orchard", "stolen"});
  broker_->Sluice({"crl", "write", "--out", broker_->Path("device-crl.pem")});
  broker_->Reload();
  EXPECT_TRUE(Eventually([&] { return RawMqtt(broker_->tls_port, stolen).Connect({}) == kClosed; }))
      << broker_->Log();
}

}  // namespace
}  // namespace sluice::testing
