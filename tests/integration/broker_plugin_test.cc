// The plugin in a real Mosquitto, with real clients and without a registry.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mqtt/client.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/broker_plugin_fixture.h"
#include "tests/support/free_port.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace sluice::testing {
namespace {

using namespace std::string_literals;
using std::chrono::seconds;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

class BrokerPlugin : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { broker_ = new BrokerWithPlugin; }
  static void TearDownTestSuite() { delete broker_; }
  void SetUp() override { watcher_ = broker_->Watcher(); }

  std::vector<std::string> ArrivedFrom() {
    std::vector<std::string> senders;
    for (const RawMessage& message : broker_->Arrived(*watcher_)) {
      senders.push_back(message.topic + " by " + ProvenSender(broker_->Keys(), message));
    }
    return senders;
  }

  static inline BrokerWithPlugin* broker_ = nullptr;
  std::unique_ptr<RawMqtt> watcher_;
};

TEST_F(BrokerPlugin, StampsWhatADevicePublishesWithItsCertificate) {
  for (const int version : {4, 5}) {
    auto device = broker_->Device("t1/d1", {.version = version});
    EXPECT_EQ(device->Publish({.topic = kOwn, .payload = "x"}), 0);
    EXPECT_EQ(device->Publish({.topic = kOwn, .payload = ""}), 0);
  }
  const std::string proven = kOwn + " by cert t1/d1"s;
  EXPECT_THAT(ArrivedFrom(), ElementsAre(proven, proven, proven, proven));
}

TEST_F(BrokerPlugin, KeepsTheSendersOwnPropertiesInFrontOfTheStamp) {
  auto device = broker_->Device("t1/d1");
  EXPECT_EQ(device->Publish({.topic = kOwn, .properties = {{"a", "1"}, {"b", "2"}}}), 0);
  const auto arrived = broker_->Arrived(*watcher_);
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_THAT(arrived[0].properties, ElementsAre(Pair("a", "1"), Pair("b", "2"),
                                                 Pair("sluice-stamp", StampOf(arrived[0]))));
  EXPECT_EQ(ProvenSender(broker_->Keys(), arrived[0]), "cert t1/d1");
}

TEST_F(BrokerPlugin, StampsForAPahoClientOverMutualTls) {
  const RawTls tls = broker_->pki.Client({{"t1/paho"}});
  mqtt::client device("ssl://localhost:" + std::to_string(broker_->named_port), "paho");
  mqtt::ssl_options ssl;
  ssl.set_trust_store(tls.ca_file);
  ssl.set_key_store(tls.certificate_file);
  ssl.set_private_key(tls.key_file);
  mqtt::connect_options options;
  options.set_ssl(ssl);
  device.connect(options);
  device.publish("tenant/t1/device/paho/heartbeat", "{}", 2, 1, false);
  device.disconnect();
  EXPECT_THAT(ArrivedFrom(), ElementsAre("tenant/t1/device/paho/heartbeat by cert t1/paho"));
}

TEST_F(BrokerPlugin, StampsAServiceWithItsAccount) {
  RawMqtt service(broker_->server->port());
  ASSERT_EQ(service.Connect({.client_id = "s", .username = "sluice", .password = "pw"}), 0);
  EXPECT_EQ(service.Publish({.topic = "tenant/t1/device/d1/commands"}), 0);
  EXPECT_EQ(service.Publish({.topic = kOwn}), kNotAuthorized5);
  EXPECT_THAT(ArrivedFrom(), ElementsAre("tenant/t1/device/d1/commands by account sluice"));
}

TEST_F(BrokerPlugin, KeepsADeviceToItsOwnUplinks) {
  for (const char* topic :
       {kForeign, "tenant/t11/device/d1/telemetry", "tenant/t1/device/d11/telemetry",
        "tenant/t1/device/d1", "tenant/t1/device/d1/commands", "tenant/t1/device/d1/telemetry/",
        "tenant/t1/device/d1//telemetry", "x/tenant/t1/device/d1/telemetry", "sentinel",
        "$SYS/broker/x", "$share/g/x", "$CONTROL/x"}) {
    EXPECT_EQ(broker_->PublishOnce("t1/d1", {.topic = topic}), kNotAuthorized5) << topic;
  }
  auto old = broker_->Device("t1/d1", {.version = 4});
  EXPECT_EQ(old->Publish({.topic = kForeign}), 0);  // MQTT 3.1.1 has no word for no
  EXPECT_THAT(ArrivedFrom(), ElementsAre());
}

TEST_F(BrokerPlugin, LetsNoTopicOfNonsensePass) {
  for (const std::string& topic :
       {"tenant/+/device/d1/telemetry"s, "tenant/t1/device/d1/#"s, "#"s, ""s,
        "tenant/t1/device/d1/telemetry\0"s, "tenant/t1/device/d1/telemetry/\xff"s,
        "tenant/t1/device/d1/telemetry/\x01"s, "tenant/t1/device/d1/telemetry\n"s}) {
    auto device = broker_->Device("t1/d1");
    EXPECT_THAT(device->Publish({.topic = topic}), AnyOf(kClosed, kNotAuthorized5)) << topic;
  }
  EXPECT_THAT(ArrivedFrom(), ElementsAre());
}

TEST_F(BrokerPlugin, LetsADeviceSubscribeToItsDownlinksOnly) {
  auto device = broker_->Device("t1/d1");
  for (const char* filter : {"tenant/t1/device/d1/commands", "tenant/t1/device/d1/jobs/#",
                             "$share/g/tenant/t1/device/d1/shadow/desired"}) {
    EXPECT_EQ(device->Subscribe(filter), 1) << filter;
  }
  for (const char* filter :
       {"#", "+/#", "tenant/#", "tenant/+/device/+/commands", "tenant/t1/device/+/commands",
        "tenant/t1/device/d2/commands", "tenant/t1/device/d1/#", kOwn, "$SYS/#",
        "$SYS/broker/uptime", "$share/g/#", "$share/g/tenant/+/device/+/commands"}) {
    EXPECT_EQ(device->Subscribe(filter), kNotAuthorized5) << filter;
  }
  auto old = broker_->Device("t1/d1", {.version = 4});
  EXPECT_EQ(old->Subscribe("#"), 0x80);
}

TEST_F(BrokerPlugin, RefusesAStampThatAClientBrings) {
  EXPECT_EQ(broker_->PublishOnce("t1/d1", {.topic = kOwn, .payload = "x"}), 0);
  const auto genuine = broker_->Arrived(*watcher_);
  ASSERT_EQ(genuine.size(), 1U);
  const std::string stamp = StampOf(genuine[0]);
  for (const std::string name : {"sluice-stamp", "Sluice-Stamp", "SLUICE-STAMP", "sluice-stamP"}) {
    const std::vector<std::pair<std::string, std::string>> tries[] = {
        {{name, stamp}},
        {{"a", "b"}, {name, "1 cert t1/d1 " + std::string(64, '0')}},
        {{name, ""}},
        {{name, stamp}, {name, stamp}}};
    for (const auto& properties : tries) {
      const RawPublish publish{.topic = kOwn, .payload = "x", .properties = properties};
      EXPECT_EQ(broker_->PublishOnce("t1/d1", publish), kNotAuthorized5) << name;
    }
  }
  EXPECT_THAT(ArrivedFrom(), ElementsAre());
}

TEST_F(BrokerPlugin, ProvesNothingForAWill) {
  const std::string forged = "1 cert t1/d1 " + std::string(64, '0');
  for (const int version : {4, 5}) {
    broker_->Device("t1/d1", {.version = version, .will = RawWill{kForeign, "x"}})->Drop();
  }
  broker_->Device("t1/d1", {.version = 4, .will = RawWill{kOwn, "x"}})->Drop();
  broker_->Device("t1/d1", {.will = RawWill{kOwn, "x", {{"sluice-stamp", forged}}}})->Drop();
  std::vector<std::string> arrived;
  for (auto until = std::chrono::steady_clock::now() + seconds(10);
       arrived.size() < 2 && std::chrono::steady_clock::now() < until;) {
    for (const std::string& line : ArrivedFrom()) arrived.push_back(line);
  }
  const std::string unproven = kOwn + " by none"s;
  EXPECT_THAT(arrived, ElementsAre(unproven, unproven));
}

TEST_F(BrokerPlugin, StampsWhatIsRetained) {
  auto device = broker_->Device("t1/kept");
  const std::string topic = "tenant/t1/device/kept/shadow/reported";
  EXPECT_EQ(device->Publish({.topic = topic, .payload = "x", .retain = true}), 0);
  const RawPublish foreign{.topic = kForeign, .payload = "x", .retain = true};
  EXPECT_EQ(broker_->PublishOnce("t1/d1", foreign), kNotAuthorized5);
  broker_->Arrived(*watcher_);
  watcher_ = broker_->Watcher();
  EXPECT_THAT(ArrivedFrom(), ElementsAre(topic + " by cert t1/kept"));
  device->Publish({.topic = topic, .payload = "", .retain = true});
  broker_->Arrived(*watcher_);
}

using BadCommonNames = BrokerPlugin;

TEST_F(BadCommonNames, DoNothingAndAreDisconnectedWhereTheBrokerNamesTheClient) {
  for (const auto& names : NamesOfNoDevice()) {
    const std::string shown = names.empty() ? "(none)" : names[0].text;
    RawMqtt client(broker_->named_port, broker_->pki.Client(names));
    if (client.Connect({.client_id = "bad"}) != 0) continue;  // the broker itself says no
    EXPECT_THAT(client.Publish({.topic = kOwn}), AnyOf(kNotAuthorized5, kClosed)) << shown;
    EXPECT_TRUE(client.WaitUntilClosed()) << shown;
    RawMqtt again(broker_->named_port, broker_->pki.Client(names));
    ASSERT_EQ(again.Connect({.client_id = "bad"}), 0);
    EXPECT_THAT(again.Subscribe("#"), AnyOf(kNotAuthorized5, kClosed)) << shown;
    EXPECT_TRUE(again.WaitUntilClosed()) << shown;
  }
  EXPECT_THAT(ArrivedFrom(), ElementsAre());
}

TEST_F(BadCommonNames, DoNotLogInWhereThePluginNamesTheClient) {
  for (const auto& names : NamesOfNoDevice()) {
    RawMqtt client(broker_->unnamed_port, broker_->pki.Client(names));
    EXPECT_EQ(client.Connect({.client_id = "bad"}), kNotAuthorized5)
        << (names.empty() ? "(none)" : names[0].text);
  }
}

TEST_F(BrokerPlugin, NamesAClientAfterItsCertificateAndNotAfterItsWish) {
  const RawTls tls = broker_->pki.Client({{"t1/d1"}});
  RawMqtt wishful(broker_->unnamed_port, tls);
  EXPECT_EQ(wishful.Connect({.username = "t1/d2", .password = "x"}), kNotAuthorized5);
  RawMqtt service(broker_->unnamed_port, tls);
  EXPECT_EQ(service.Connect({.username = "sluice", .password = "pw"}), kNotAuthorized5);
  RawMqtt device(broker_->unnamed_port, tls);
  ASSERT_EQ(device.Connect({}), 0);
  EXPECT_EQ(device.Publish({.topic = kOwn}), 0);
  EXPECT_EQ(device.Publish({.topic = kForeign}), kNotAuthorized5);
  RawMqtt ignored(broker_->named_port, tls);
  ASSERT_EQ(ignored.Connect({.client_id = "i", .username = "t1/d2", .password = "x"}), 0);
  EXPECT_EQ(ignored.Publish({.topic = kForeign}), kNotAuthorized5);
  EXPECT_THAT(ArrivedFrom(), ElementsAre(kOwn + " by cert t1/d1"s));
}

TEST_F(BrokerPlugin, LetsOnlyKnownServicesLogInWithAPassword) {
  const std::vector<RawConnect> strangers = {
      {},
      {.username = "sluice"},
      {.username = "sluice", .password = "wrong"},
      {.username = "", .password = ""},
      {.username = "stranger", .password = "pw"},
      {.username = "service_pulse", .password = "pw"},  // has rules, but no password
      {.username = "t1/d1", .password = "pw"},
      {.username = "t1/d1"},
      {.username = "+/+", .password = "pw"},
      {.username = "#", .password = "pw"},
      {.version = 4, .username = "t1/d1", .password = "pw"}};
  for (const RawConnect& connect : strangers) {
    RawMqtt client(broker_->server->port());
    EXPECT_EQ(client.Connect(connect), connect.version == 5 ? kNotAuthorized5 : kNotAuthorized4)
        << connect.username.value_or("(none)");
  }
}

TEST(BrokerPluginReload, ReadsKeysAndRulesAgainAndKeepsTheOldOnesWhenTheyAreWrong) {
  BrokerWithPlugin broker;
  auto watcher = broker.Watcher();
  const std::string topic = "tenant/t1/device/d1/extra";
  EXPECT_EQ(broker.PublishOnce("t1/d1", {.topic = topic}), kNotAuthorized5);
  auto device = broker.Device("t1/d1");
  broker.WriteSecret("key", std::string(64, '8') + "\n" + std::string(64, '7') + "\n");
  broker.WriteSecret(
      "rules", broker.Read("rules") + "device publish tenant/{tenant}/device/{device}/extra\n");
  const auto reload = [&broker](const char* sign) {
    broker.server->Signal(SIGHUP);
    const auto until = std::chrono::steady_clock::now() + seconds(10);
    while (broker.server->Log().find(sign) == std::string::npos) {
      ASSERT_LT(std::chrono::steady_clock::now(), until) << broker.server->Log();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  };
  reload("keys and rules were read again");
  EXPECT_EQ(device->Publish({.topic = topic}), 0);  // and nobody was disconnected
  broker.WriteSecret("key", std::string(64, '8') + "\n");
  auto arrived = broker.Arrived(*watcher);
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_EQ(ProvenSender(broker.Keys(), arrived[0]), "cert t1/d1");

  broker.WriteSecret("rules", "device publish #\n");
  reload("rules:1: a device's topic begins with");
  EXPECT_EQ(device->Publish({.topic = topic}), 0);
}

// --- starting ------------------------------------------------------------------------------------

class BrokerPluginStart : public ::testing::Test {
 protected:
  BrokerPluginStart() {
    Write("key", std::string(64, 'a'), 0600);
    Write("rules", "account a publish b\n", 0644);
    Write("url", "postgresql://127.0.0.1:1/x", 0600);
  }
  void Write(const std::string& name, const std::string& text, mode_t mode) {
    WriteFile(directory_.Path(name), text);
    chmod(directory_.Path(name).c_str(), mode);
  }
  std::string Option(const std::string& option, const std::string& file) {
    return "plugin_opt_" + option + " " + directory_.Path(file) + "\n";
  }
  // What a broker with these lines says before it ends.
  std::string LogOfRefusal(const std::string& lines) {
    const std::string log = directory_.Path("log");
    unlink(log.c_str());
    WriteFile(directory_.Path("conf"),
              "user root\nlistener " + std::to_string(FreePort()) +
                  " 127.0.0.1\nplugin " SLUICE_BIN_DIR "/sluice_broker_plugin.so\n" + lines);
    const auto ended =
        sluice::testing::Run({.argv = {"/usr/sbin/mosquitto", "-c", directory_.Path("conf")},
                              .stdout_path = log,
                              .stderr_path = log},
                             seconds(10));
    EXPECT_TRUE(ended.has_value() && ended->code > 0) << ReadFile(log);
    return ReadFile(log);
  }

  TempDir directory_;
};

TEST_F(BrokerPluginStart, IsRefusedWithASentence) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "a broker that ends at its start hangs in the sanitizer's runtime";
#endif
  const std::string key = Option("stamp_key_file", "key");
  const std::string rules = Option("rules_file", "rules");
  EXPECT_THAT(LogOfRefusal(rules), HasSubstr("plugin_opt_stamp_key_file is not set"));
  EXPECT_THAT(LogOfRefusal(key), HasSubstr("plugin_opt_rules_file is not set"));
  EXPECT_THAT(LogOfRefusal(key + Option("rules_file", "absent")),
              HasSubstr("absent: cannot be read"));
  EXPECT_THAT(LogOfRefusal(key + rules + "plugin_opt_rule_file x\n"),
              HasSubstr("plugin_opt_rule_file is not a setting"));
  Write("bad", "# rules\ndevice publish #\n", 0644);
  EXPECT_THAT(LogOfRefusal(key + Option("rules_file", "bad")),
              HasSubstr("bad:2: a device's topic begins with"));
  Write("short", "0123456789abcdef", 0600);
  EXPECT_THAT(LogOfRefusal(rules + Option("stamp_key_file", "short")),
              AllOf(HasSubstr("short line 1"), Not(HasSubstr("0123456789"))));
  Write("open", std::string(64, 'a'), 0644);
  EXPECT_THAT(LogOfRefusal(rules + Option("stamp_key_file", "open")), HasSubstr("chmod 600"));
  Write("url", "postgresql://x:hunter2@y/z", 0644);
  EXPECT_THAT(LogOfRefusal(key + rules + Option("database_url_file", "url")),
              AllOf(HasSubstr("chmod 600"), Not(HasSubstr("hunter2"))));
}

}  // namespace
}  // namespace sluice::testing
