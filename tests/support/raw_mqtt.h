// RawMqtt: an MQTT client that sends what it is told, nonsense included, over TCP, TLS or
// WebSocket.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::testing {

struct RawTls {
  std::string ca_file;
  std::string certificate_file;  // "": none is shown
  std::string key_file;
};

struct RawWebSocket {
  uint16_t port = 0;
};

struct RawWill {
  std::string topic;
  std::string payload;
  std::vector<std::pair<std::string, std::string>> properties = {};  // MQTT 5 only
};

struct RawConnect {
  std::string client_id = "raw";
  int version = 5;  // or 4, which is MQTT 3.1.1
  std::optional<std::string> username = {};
  std::optional<std::string> password = {};
  std::optional<RawWill> will = {};
};

struct RawPublish {
  std::string topic;
  std::string payload = "{}";
  std::vector<std::pair<std::string, std::string>> properties = {};  // MQTT 5 only
  bool retain = false;
};

struct RawMessage {
  std::string topic;
  std::string payload;
  std::vector<std::pair<std::string, std::string>> properties;
};

// One thread at a time. Every wait ends after ten seconds.
class RawMqtt {
 public:
  // The connection alone; ok() says whether TLS, too, was agreed.
  explicit RawMqtt(uint16_t port, const std::optional<RawTls>& tls = {});
  explicit RawMqtt(const RawWebSocket& where);
  ~RawMqtt();
  RawMqtt(const RawMqtt&) = delete;
  RawMqtt& operator=(const RawMqtt&) = delete;

  bool ok() const;
  // CONNACK's code; -1 when the broker closed without one, or did nothing.
  int Connect(const RawConnect& connect);
  // QoS 1. PUBACK's reason code (0 for MQTT 3.1.1); -1 when the broker closed instead.
  int Publish(const RawPublish& publish);
  // Many at QoS 1, without a wait for each: returns how many the broker has acknowledged, whatever
  // the reason code. Less than all: it closed.
  size_t PublishAll(const std::vector<RawPublish>& all);
  // QoS 1. SUBACK's code; -1 when the broker closed instead.
  int Subscribe(const std::string& filter);
  // The next message, acknowledged; nothing when the broker closed.
  std::optional<RawMessage> Receive();
  // True when the broker has closed the connection; false when it answers a PING.
  bool IsClosed();
  // False when it has not after ten seconds.
  bool WaitUntilClosed();
  void Drop();  // closes without DISCONNECT

 private:
  struct Packet {
    uint8_t type = 0;  // the fixed header's first byte
    std::string body;
  };
  struct Wire;

  void ConnectTo(uint16_t port);
  void Send(uint8_t type, const std::string& body);
  std::string PublishBody(const RawPublish& publish, size_t packet_id) const;
  std::optional<Packet> Read();
  // The next packet of that type (upper four bits); messages before it are kept for Receive.
  std::optional<Packet> Await(uint8_t type);

  std::unique_ptr<Wire> wire_;
  int version_ = 5;
  std::vector<Packet> messages_;
};

}  // namespace sluice::testing
