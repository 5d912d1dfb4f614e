// The few MQTT 3.1.1 packets that a publisher at QoS 1 needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::loadtest {

// CONNECT with a clean session and no keep-alive. An empty user name sends neither user name nor
// password.
std::string EncodeConnect(std::string_view client_id, std::string_view username,
                          std::string_view password);
std::string EncodeDisconnect();

// A PUBLISH at QoS 1 with packet id 0 and where to patch it.
struct PublishPacket {
  std::string bytes;
  size_t packet_id_at = 0;  // two bytes, big-endian
  size_t payload_at = 0;
};
PublishPacket EncodePublish(std::string_view topic, std::string_view payload);
// The bit of a PUBLISH's first byte that says "sent before".
inline constexpr unsigned char kDupFlag = 0x08;

// What a broker sends to a client that only publishes.
struct BrokerPacket {
  enum class Type { kConnack, kPuback };
  Type type = Type::kPuback;
  uint16_t packet_id = 0;   // of a PUBACK
  uint8_t return_code = 0;  // of a CONNACK; 0 is success
};

// Cuts the broker's byte stream into packets, wherever reads split it.
class BrokerPacketReader {
 public:
  enum class Outcome { kPacket, kNeedMore, kMalformed };

  void Feed(std::string_view bytes) { buffer_.append(bytes); }
  // The next packet. kMalformed: something that no broker sends here; drop the connection.
  Outcome Next(BrokerPacket* packet);
  // Forgets half a packet: for a new connection.
  void Reset();

 private:
  std::string buffer_;
  size_t at_ = 0;
};

}  // namespace sluice::loadtest
