// BrokerVisit: one connection to the broker that looks at it and takes nothing away: no message is
// acknowledged. See CheckBroker (ingest/doctor/checks.h) for how a session is left as it was.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "ingest/mqtt_client.h"
#include "mqtt/link.h"

namespace sluice {

// One thread, which ignores SIGPIPE. Each call waits five seconds at most; after an error the
// connection is gone.
class BrokerVisit {
 public:
  // TCP only.
  Status Connect(const std::vector<mqtt::Endpoint>& endpoints, const MqttOptions& options);
  // TLS, if it is wanted, and CONNECT under `client_id` without a clean start. kRejected when the
  // broker answers and refuses.
  Result<mqtt::Connack> LogIn(const MqttOptions& options, const std::string& client_id);
  // At QoS 0. The reason code.
  Result<uint8_t> Subscribe(const std::string& filter, mqtt::Retained retained);
  Result<uint8_t> Unsubscribe(const std::string& filter);
  // The newest message on that topic, which is below $SYS; nothing when none comes soon.
  std::optional<std::string> Await(const std::string& topic);
  // `session_expiry`: instead of the one of LogIn.
  void Leave(std::optional<std::chrono::seconds> session_expiry);

 private:
  // Until a packet is the one; the others are dropped.
  Status Receive(const std::function<bool(const mqtt::Packet&)>& is_it);
  Result<uint8_t> Ask(const std::string& packet);

  std::optional<mqtt::TlsIdentity> tls_;
  mqtt::Link link_;
  uint16_t packet_id_ = 0;
  std::map<std::string, std::string, std::less<>> figures_;  // what came below $SYS
};

}  // namespace sluice
