// AbuseRig: the broker as it is shipped, with the plugin, and the daemon in stamp mode behind it.
//
// Whatever must not be accepted carries kBadSeq; a row of telemetry with it is wrongly accepted.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/fault/campaign.h"
#include "tests/integration/shipped_broker.h"

namespace sluice::testing {

inline constexpr int kBadSeq = 666;

// A way in, and what proves a device there.
enum class Door { kCertificate, kToken, kWebSocket };
inline constexpr Door kDoors[] = {Door::kCertificate, Door::kToken, Door::kWebSocket};
inline const char* DoorName(Door door) {
  switch (door) {
    case Door::kCertificate:
      return "certificate, 8883";
    case Door::kToken:
      return "token, 1883";
    case Door::kWebSocket:
      return "token, 9001 (WebSocket)";
  }
  return "";
}

inline std::string BadPayload(const std::string& rest = "") {
  return R"({"site_id":"north","seq":)" + std::to_string(kBadSeq) + rest + "}";
}
inline std::string GoodPayload() {
  return R"({"site_id":"north","seq":1})";
}
inline std::string TelemetryOf(const std::string& identity) {
  const size_t slash = identity.find('/');
  return "tenant/" + identity.substr(0, slash) + "/device/" + identity.substr(slash + 1) +
         "/telemetry";
}

// One thread at a time.
class AbuseRig {
 public:
  struct Device {
    std::string identity;  // "t1/d1"
    std::string token;
    RawTls certificate;
  };

  explicit AbuseRig(const Env& env = {}) {
    stack.env()["MQTT_PORT"] = std::to_string(broker.port);
    stack.env()["MQTT_USERNAME"] = "sluice";
    stack.env()["MQTT_PASSWORD"] = "pw";
    stack.env()["MQTT_TOPIC"] = "tenant/+/device/+/telemetry/#,tenant/+/device/+/heartbeat";
    stack.env()["CERT_AUTH_ENABLED"] = "1";
    stack.env()["STAMP_KEY_FILE"] = broker.Path("stamp.key");
    stack.env()["QUARANTINE_PER_DEVICE_PER_MINUTE"] = "1000000";
    stack.env()["INGEST_WORKER_COUNT"] = "1";  // what comes last is committed last
    for (const auto& [name, value] : env) stack.env()[name] = value;
    honest = Add("orchard/honest");
    stack.Start();
  }

  // Registered, with a token and an ACTIVE certificate.
  Device Add(const std::string& identity) {
    const size_t slash = identity.find('/');
    const std::string tenant = identity.substr(0, slash);
    const std::string device = identity.substr(slash + 1);
    const std::string said = broker.Sluice({"device", "add", tenant, device, "--site", "north"});
    return {identity, said.substr(0, 64), broker.Issue(tenant, device)};
  }
  // Not connected yet.
  std::unique_ptr<RawMqtt> At(Door door, const RawTls& certificate = {}) const {
    if (door == Door::kCertificate) return std::make_unique<RawMqtt>(broker.tls_port, certificate);
    if (door == Door::kToken) return std::make_unique<RawMqtt>(broker.port);
    return std::make_unique<RawMqtt>(RawWebSocket{broker.websocket_port});
  }
  // As that device. A login by token is closed on until the plugin has asked the registry.
  std::unique_ptr<RawMqtt> Enter(Door door, const Device& device, RawConnect connect = {}) const {
    if (door != Door::kCertificate) {
      connect.username = device.identity;
      connect.password = device.token;
    }
    std::unique_ptr<RawMqtt> client;
    EXPECT_TRUE(Eventually([&] {
      client = At(door, device.certificate);
      return client->Connect(connect) == 0;
    })) << DoorName(door)
        << "\n"
        << broker.Log();
    return client;
  }
  // The service that may publish and subscribe everywhere.
  std::unique_ptr<RawMqtt> EnterAsService(Door door = Door::kToken, int version = 5) const {
    auto client = At(door);
    EXPECT_EQ(
        client->Connect({.version = version, .username = "service_pulse", .password = "pulse"}), 0)
        << broker.Log();
    return client;
  }
  // The stamp of an honest message, as whoever may read it sees it.
  std::string StampOfHonest() {
    auto reader = EnterAsService();
    EXPECT_EQ(reader->Subscribe("tenant/orchard/#"), 1);
    Enter(Door::kToken, honest)->Publish({TelemetryOf(honest.identity), BadPayload()});
    const auto message = reader->Receive();
    EXPECT_TRUE(message.has_value());
    EXPECT_TRUE(Eventually([this] { return stack.Count("telemetry") > 0; }));
    stack.Sql("DELETE FROM telemetry");
    for (const auto& [name, value] : message->properties) {
      if (name == kStampProperty) return value;
    }
    ADD_FAILURE() << "no stamp";
    return "";
  }

  // Everything before is judged when this returns: good messages at every door are accepted.
  void Settle() {
    for (const Door door : kDoors) {
      const int64_t before = stack.Count("telemetry WHERE seq = 1");
      EXPECT_EQ(Enter(door, honest)->Publish({TelemetryOf(honest.identity), GoodPayload()}), 0);
      EXPECT_TRUE(Eventually([&] { return stack.Count("telemetry WHERE seq = 1") > before; }))
          << DoorName(door);
    }
  }
  // The row's figures: what became of the bad messages sent since the last row.
  void Conclude(Scenario& scenario, size_t messages) {
    Settle();
    Judgement judgement;
    judgement.acknowledged = messages;
    judgement.wrongly_accepted =
        static_cast<size_t>(stack.Count("telemetry WHERE seq = " + std::to_string(kBadSeq)));
    scenario.Judged(judgement);
    const int64_t reached = stack.Count("quarantine_events");
    const std::string reasons = stack.Value(
        "SELECT coalesce(string_agg(n || ' ' || reason, ', ' ORDER BY reason), '') FROM (SELECT "
        "reason, count(*) AS n FROM quarantine_events GROUP BY reason) AS r");
    scenario.Say(std::to_string(messages - static_cast<size_t>(reached)) +
                 " never reached the daemon" + (reasons.empty() ? "" : ", " + reasons));
    stack.Sql("DELETE FROM telemetry; DELETE FROM quarantine_events");
  }

  SluiceStack stack;
  ShippedBroker broker{stack.database()};
  Device honest;
};

}  // namespace sluice::testing
