// What a publisher needs of MQTT 3.1.1 and MQTT 5 besides mqtt/packets.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "mqtt/packets.h"

namespace sluice::loadtest {

// How a fleet speaks to its broker.
struct Dialect {
  int version = 3;  // 3: MQTT 3.1.1; 5: MQTT 5
  int qos = 1;      // 0 or 1
};

// CONNECT with a clean session and no keep-alive. An empty user name sends neither user name nor
// password.
std::string EncodeConnect(int version, std::string_view client_id, std::string_view username,
                          std::string_view password);

// A PUBLISH with packet id 0 and where to patch it.
struct PublishPacket {
  std::string bytes;
  size_t packet_id_at = 0;  // two bytes, big-endian; 0: there is none, at QoS 0
  size_t payload_at = 0;
};
PublishPacket EncodePublish(Dialect dialect, std::string_view topic, std::string_view payload);
// The bit of a PUBLISH's first byte that says "sent before"; only at QoS 1.
inline constexpr unsigned char kDupFlag = 0x08;

// What a broker sends to a client that only publishes.
struct BrokerPacket {
  enum class Type { kConnack, kPuback, kDisconnect };
  Type type = Type::kPuback;
  uint16_t packet_id = 0;  // of a PUBACK
  // From mqtt::kFirstErrorCode on the answer is no. MQTT 3.1.1 has none in a PUBACK, and in a
  // CONNACK return codes from 1.
  uint8_t reason = 0;
  // Of a CONNACK of MQTT 5: what the broker can take.
  uint16_t receive_maximum = std::numeric_limits<uint16_t>::max();  // unacknowledged messages
  uint32_t maximum_packet_size = std::numeric_limits<uint32_t>::max();
  uint8_t maximum_qos = 2;
};

// Cuts the broker's byte stream into packets, wherever reads split it.
class BrokerPacketReader {
 public:
  enum class Outcome { kPacket, kNeedMore, kMalformed };

  explicit BrokerPacketReader(int version) : version_(version) {}

  void Feed(std::string_view bytes) { buffer_.append(bytes); }
  // The next packet. kMalformed: something that no broker sends here; drop the connection.
  Outcome Next(BrokerPacket* packet);
  // Forgets half a packet: for a new connection.
  void Reset();

 private:
  bool Decode(const mqtt::Packet& cut, BrokerPacket* packet) const;

  const int version_;
  std::string buffer_;
  size_t at_ = 0;
};

}  // namespace sluice::loadtest
