// A broker with the plugin, for the tests of it: listeners for passwords, for certificates that the
// broker names the client after, and for certificates that leave the naming to the plugin.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "auth/stamp.h"
#include "tests/support/free_port.h"
#include "tests/support/mosquitto_server.h"
#include "tests/support/raw_mqtt.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_pki.h"

namespace sluice::testing {

inline constexpr int kNotAuthorized5 = 0x87;
inline constexpr int kNotAuthorized4 = 5;
inline constexpr int kClosed = -1;
inline constexpr const char* kOwn = "tenant/t1/device/d1/telemetry";
inline constexpr const char* kForeign = "tenant/t1/device/d2/telemetry";

// Everything the plugin needs, and a broker with it.
class BrokerWithPlugin {
 public:
  explicit BrokerWithPlugin(const std::string& database_url = "") {
    WriteSecret("key", std::string(64, '7') + "\n");
    WriteSecret("rules", ReadFile(SLUICE_SOURCE_DIR "/deploy/mosquitto/rules.conf") +
                             "\naccount sluice subscribe #\naccount sluice publish sentinel\n"
                             "account sluice publish tenant/+/device/+/commands\n");
    MosquittoOptions options{.username = "sluice", .password = "pw"};
    options.lines = {"plugin " SLUICE_BIN_DIR "/sluice_broker_plugin.so",
                     "plugin_opt_stamp_key_file " + directory_.Path("key"),
                     "plugin_opt_rules_file " + directory_.Path("rules")};
    if (!database_url.empty()) {
      WriteSecret("url", database_url + "\n");
      options.lines.push_back("plugin_opt_database_url_file " + directory_.Path("url"));
    }
    for (const uint16_t port : {named_port, unnamed_port}) {
      options.lines.push_back("listener " + std::to_string(port) + " 127.0.0.1");
      for (const std::string& line : pki.ServerLines()) options.lines.push_back(line);
      options.lines.emplace_back("require_certificate true");
      if (port == named_port) options.lines.emplace_back("use_identity_as_username true");
    }
    server = std::make_unique<MosquittoServer>(options);
  }

  void WriteSecret(const std::string& name, const std::string& text) {
    WriteFile(directory_.Path(name), text);
    chmod(directory_.Path(name).c_str(), 0600);
  }
  std::string Read(const std::string& name) const { return ReadFile(directory_.Path(name)); }
  StampKeys Keys() const { return *StampKeys::Load(directory_.Path("key")); }

  // The certificate of that name, always the same.
  const RawTls& Certificate(const std::string& name) {
    const auto found = certificates_.find(name);
    if (found != certificates_.end()) return found->second;
    return certificates_.emplace(name, pki.Client({{name}})).first->second;
  }
  // A certificate's client, connected.
  std::unique_ptr<RawMqtt> Device(const std::string& name, RawConnect connect = {}) {
    if (connect.client_id == "raw") connect.client_id = name;
    auto client = std::make_unique<RawMqtt>(named_port, Certificate(name));
    EXPECT_EQ(client->Connect(connect), 0) << server->Log();
    return client;
  }
  // PUBACK's code for that device. A client of its own each time: Debian's broker, told to queue
  // without a limit, disconnects a client after answering a message that was denied.
  int PublishOnce(const std::string& name, const RawPublish& publish) {
    return Device(name)->Publish(publish);
  }
  // The service, subscribed to everything.
  std::unique_ptr<RawMqtt> Watcher() {
    auto client = std::make_unique<RawMqtt>(server->port());
    EXPECT_EQ(client->Connect({.client_id = "watcher", .username = "sluice", .password = "pw"}), 0);
    EXPECT_EQ(client->Subscribe("#"), 1);
    return client;
  }
  // Everything the watcher got until now.
  std::vector<RawMessage> Arrived(RawMqtt& watcher) {
    RawMqtt service(server->port());
    EXPECT_EQ(service.Connect({.client_id = "service", .username = "sluice", .password = "pw"}), 0);
    EXPECT_EQ(service.Publish({.topic = "sentinel"}), 0);
    std::vector<RawMessage> messages;
    while (auto message = watcher.Receive()) {
      if (message->topic == "sentinel") return messages;
      messages.push_back(*message);
    }
    ADD_FAILURE() << "the watcher was disconnected\n" << server->Log();
    return messages;
  }

  TestPki pki;
  const uint16_t named_port = FreePort();
  const uint16_t unnamed_port = FreePort();
  std::unique_ptr<MosquittoServer> server;

 private:
  TempDir directory_;
  std::map<std::string, RawTls> certificates_;
};

inline std::string StampOf(const RawMessage& message) {
  for (const auto& [name, value] : message.properties) {
    if (name == kStampProperty) return value;
  }
  return "";
}

// "cert t1/d1", or "none" when there is no genuine stamp.
inline std::string ProvenSender(const StampKeys& keys, const RawMessage& message) {
  const std::string stamp = StampOf(message);
  const auto claim = keys.Verify(message.topic, message.payload, stamp);
  if (!claim) return "none";
  return std::string(StampMethodName(claim->method)) + " " + std::string(claim->identity);
}

}  // namespace sluice::testing
