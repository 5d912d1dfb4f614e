// The packets of MQTT 5 that a subscriber sends and receives (OASIS standard, version 5.0, chapters
// 2 and 3). Pure functions and views; any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::mqtt {

enum class PacketType : uint8_t {
  kConnect = 1,
  kConnack = 2,
  kPublish = 3,
  kPuback = 4,
  kSubscribe = 8,
  kSuback = 9,
  kUnsubscribe = 10,
  kUnsuback = 11,
  kPingreq = 12,
  kPingresp = 13,
  kDisconnect = 14,
};

// Reason codes from here on are errors; 0 to 2 in a SUBACK are the QoS that is granted.
inline constexpr uint8_t kFirstErrorCode = 0x80;
// A reason code in words, e.g. "not authorized (0x87)".
std::string ReasonText(uint8_t code);

// --- What packets are made of. Texts are at most 65535 bytes.

void AppendByte(unsigned value, std::string* out);
void AppendText(std::string_view text, std::string* out);
// A variable byte integer, such as the remaining length.
void AppendLength(size_t length, std::string* out);
// A packet's first byte and remaining length, then its body.
std::string EncodePacket(PacketType type, unsigned flags, std::string_view body);

// --- What a client sends.

struct ConnectFields {
  std::string_view client_id;
  std::string_view username;  // empty: none
  std::string_view password;  // empty: none
  bool clean_start = false;
  std::chrono::seconds keep_alive{0};
  std::chrono::seconds session_expiry{0};
  uint16_t receive_maximum = 65535;  // not 0
};
std::string EncodeConnect(const ConnectFields& fields);

enum class Retained : uint8_t { kSendOnSubscribe = 0, kDoNotSend = 2 };
std::string EncodeSubscribe(uint16_t packet_id, std::string_view filter, int qos,
                            Retained retained);
std::string EncodeUnsubscribe(uint16_t packet_id, std::string_view filter);
void AppendPuback(uint16_t packet_id, std::string* out);
std::string EncodePingreq();
std::string EncodeDisconnect();
// The same, and the session ends so long afterwards. Not after a session_expiry of 0.
std::string EncodeDisconnect(std::chrono::seconds session_expiry);

// --- What a broker sends. Every Parse is false for bytes that are not such a packet.

struct Packet {
  PacketType type = PacketType::kPingresp;
  uint8_t flags = 0;      // the first byte's low half
  std::string_view body;  // behind the remaining length
};
enum class Cut { kPacket, kNeedMore, kMalformed };
// The packet that `bytes` begin with, and how many of them it is.
Cut CutPacket(std::string_view bytes, Packet* packet, size_t* size);

// Walks over a packet's properties.
class Properties {
 public:
  static constexpr uint8_t kSessionExpiry = 0x11;
  static constexpr uint8_t kServerKeepAlive = 0x13;
  static constexpr uint8_t kUserProperty = 0x26;
  static constexpr uint8_t kMaximumPacketSize = 0x27;
  static constexpr uint8_t kSharedAvailable = 0x2A;

  struct Property {
    uint8_t id = 0;
    std::string_view name;   // of a user property only
    std::string_view value;  // as it is on the wire, without a length in front
  };

  // Takes the properties with their length off the front of *bytes.
  static bool Take(std::string_view* bytes, Properties* properties);
  // False at the end, and from the first malformed one on: see valid().
  bool Next(Property* property);
  bool valid() const { return valid_; }

 private:
  std::string_view bytes_;
  bool valid_ = true;
};

struct Connack {
  bool session_present = false;
  uint8_t reason = 0;
  // The keep-alive that the broker wants instead of ours; negative: ours.
  std::chrono::seconds keep_alive{-1};
  // How long it keeps the session; negative: as long as we have asked.
  std::chrono::seconds session_expiry{-1};
  uint32_t maximum_packet_size = 0;  // of what clients send; 0: the broker names none
  bool shared_subscriptions = true;
};
bool ParseConnack(const Packet& packet, Connack* connack);

struct Publish {
  std::string_view topic;
  std::string_view payload;
  uint16_t packet_id = 0;  // 0 at QoS 0
  bool duplicate = false;
  Properties properties;  // all of them valid
};
bool ParsePublish(const Packet& packet, Publish* publish);  // QoS 0 and 1

// A SUBACK or UNSUBACK: one reason for each filter.
struct Answer {
  uint16_t packet_id = 0;
  std::string_view reasons;  // bytes
};
bool ParseAnswer(const Packet& packet, Answer* answer);

// Why the broker says goodbye.
bool ParseDisconnect(const Packet& packet, uint8_t* reason);

}  // namespace sluice::mqtt
