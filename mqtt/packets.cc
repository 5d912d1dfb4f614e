#include "mqtt/packets.h"

#include <array>

namespace sluice::mqtt {
namespace {

constexpr int kLengthBytes = 4;  // of a variable byte integer, at most
constexpr uint8_t kReceiveMaximum = 0x21;

void AppendTwo(unsigned value, std::string* out) {
  AppendByte(value >> 8 & 0xFF, out);
  AppendByte(value & 0xFF, out);
}

void AppendSessionExpiry(std::chrono::seconds expiry, std::string* out) {
  const auto seconds = static_cast<uint32_t>(expiry.count());
  AppendByte(Properties::kSessionExpiry, out);
  AppendTwo(seconds >> 16, out);
  AppendTwo(seconds & 0xFFFF, out);
}

uint8_t ByteAt(std::string_view bytes, size_t at) {
  return static_cast<uint8_t>(bytes[at]);
}

bool TakeByte(std::string_view* bytes, uint8_t* value) {
  if (bytes->empty()) return false;
  *value = ByteAt(*bytes, 0);
  bytes->remove_prefix(1);
  return true;
}

uint16_t TwoAt(std::string_view bytes) {
  return static_cast<uint16_t>(ByteAt(bytes, 0) << 8 | ByteAt(bytes, 1));
}

uint32_t FourAt(std::string_view bytes) {
  return uint32_t{TwoAt(bytes)} << 16 | TwoAt(bytes.substr(2));
}

bool TakeTwo(std::string_view* bytes, uint16_t* value) {
  if (bytes->size() < 2) return false;
  *value = TwoAt(*bytes);
  bytes->remove_prefix(2);
  return true;
}

bool TakeBytes(size_t size, std::string_view* bytes, std::string_view* taken) {
  if (bytes->size() < size) return false;
  *taken = bytes->substr(0, size);
  bytes->remove_prefix(size);
  return true;
}

bool TakeText(std::string_view* bytes, std::string_view* text) {
  uint16_t size = 0;
  return TakeTwo(bytes, &size) && TakeBytes(size, bytes, text);
}

Cut TakeLength(std::string_view* bytes, size_t* length) {
  *length = 0;
  for (int i = 0; i < kLengthBytes; ++i) {
    uint8_t byte = 0;
    if (!TakeByte(bytes, &byte)) return Cut::kNeedMore;
    *length |= static_cast<size_t>(byte & 0x7F) << (7 * i);
    if ((byte & 0x80) == 0) return Cut::kPacket;
  }
  return Cut::kMalformed;
}

// The value of the property `id`, as section 2.2.2.2 has it.
bool TakeValue(uint8_t id, std::string_view* bytes, std::string_view* value) {
  switch (id) {
    case 0x01:  // payload format indicator
    case 0x17:  // request problem information
    case 0x19:  // request response information
    case 0x24:  // maximum QoS
    case 0x25:  // retain available
    case 0x28:  // wildcard subscription available
    case 0x29:  // subscription identifiers available
    case Properties::kSharedAvailable:
      return TakeBytes(1, bytes, value);
    case Properties::kServerKeepAlive:
    case kReceiveMaximum:
    case 0x22:  // topic alias maximum
    case 0x23:  // topic alias
      return TakeBytes(2, bytes, value);
    case 0x02:  // message expiry interval
    case Properties::kSessionExpiry:
    case 0x18:  // will delay interval
    case Properties::kMaximumPacketSize:
      return TakeBytes(4, bytes, value);
    case 0x0B: {  // subscription identifier
      const std::string_view before = *bytes;
      size_t number = 0;
      if (TakeLength(bytes, &number) != Cut::kPacket) return false;
      *value = before.substr(0, before.size() - bytes->size());
      return true;
    }
    case 0x03:  // content type
    case 0x08:  // response topic
    case 0x09:  // correlation data
    case 0x12:  // assigned client identifier
    case 0x15:  // authentication method
    case 0x16:  // authentication data
    case 0x1A:  // response information
    case 0x1C:  // server reference
    case 0x1F:  // reason string
      return TakeText(bytes, value);
    default:
      return false;
  }
}

}  // namespace

void AppendByte(unsigned value, std::string* out) {
  out->push_back(static_cast<char>(value));
}

void AppendText(std::string_view text, std::string* out) {
  AppendTwo(static_cast<unsigned>(text.size()), out);
  out->append(text);
}

void AppendLength(size_t length, std::string* out) {
  do {
    const unsigned low = length & 0x7F;
    length >>= 7;
    AppendByte(length > 0 ? low | 0x80 : low, out);
  } while (length > 0);
}

std::string EncodePacket(PacketType type, unsigned flags, std::string_view body) {
  std::string packet;
  AppendByte(static_cast<unsigned>(type) << 4 | flags, &packet);
  AppendLength(body.size(), &packet);
  return packet.append(body);
}

std::string ReasonText(uint8_t code) {
  struct Named {
    uint8_t code;
    const char* name;
  };
  // Of section 2.4, those that a subscriber may meet.
  static constexpr std::array<Named, 20> kNames = {{
      {0x01, "the broker does not speak MQTT 5"},  // a return code of MQTT 3.1.1
      {0x80, "unspecified error"},
      {0x81, "malformed packet"},
      {0x82, "protocol error"},
      {0x83, "implementation specific error"},
      {0x84, "unsupported protocol version"},
      {0x85, "client identifier not valid"},
      {0x86, "bad user name or password"},
      {0x87, "not authorized"},
      {0x88, "server unavailable"},
      {0x89, "server busy"},
      {0x8A, "banned"},
      {0x8B, "server shutting down"},
      {0x8D, "keep-alive timeout"},
      {0x8E, "session taken over"},
      {0x8F, "topic filter invalid"},
      {0x93, "receive maximum exceeded"},
      {0x95, "packet too large"},
      {0x97, "quota exceeded"},
      {0x9E, "shared subscriptions not supported"},
  }};
  constexpr std::string_view kHex = "0123456789ABCDEF";
  const std::string number = {'0', 'x', kHex[code >> 4], kHex[code & 0xF]};
  for (const Named& named : kNames) {
    if (named.code == code) return std::string(named.name) + " (" + number + ")";
  }
  return "reason code " + number;
}

std::string EncodeConnect(const ConnectFields& fields) {
  constexpr unsigned kCleanStart = 0x02;
  constexpr unsigned kHasPassword = 0x40;
  constexpr unsigned kHasUsername = 0x80;
  constexpr unsigned kVersion = 5;
  std::string body;
  AppendText("MQTT", &body);
  AppendByte(kVersion, &body);
  AppendByte((fields.clean_start ? kCleanStart : 0) | (fields.username.empty() ? 0 : kHasUsername) |
                 (fields.password.empty() ? 0 : kHasPassword),
             &body);
  AppendTwo(static_cast<unsigned>(fields.keep_alive.count()), &body);
  std::string properties;
  AppendSessionExpiry(fields.session_expiry, &properties);
  AppendByte(kReceiveMaximum, &properties);
  AppendTwo(fields.receive_maximum, &properties);
  AppendLength(properties.size(), &body);
  body += properties;
  AppendText(fields.client_id, &body);
  if (!fields.username.empty()) AppendText(fields.username, &body);
  if (!fields.password.empty()) AppendText(fields.password, &body);
  return EncodePacket(PacketType::kConnect, 0, body);
}

std::string EncodeSubscribe(uint16_t packet_id, std::string_view filter, int qos,
                            Retained retained) {
  std::string body;
  AppendTwo(packet_id, &body);
  AppendLength(0, &body);  // no properties
  AppendText(filter, &body);
  AppendByte(static_cast<unsigned>(retained) << 4 | static_cast<unsigned>(qos), &body);
  return EncodePacket(PacketType::kSubscribe, 2, body);
}

std::string EncodeUnsubscribe(uint16_t packet_id, std::string_view filter) {
  std::string body;
  AppendTwo(packet_id, &body);
  AppendLength(0, &body);  // no properties
  AppendText(filter, &body);
  return EncodePacket(PacketType::kUnsubscribe, 2, body);
}

void AppendPuback(uint16_t packet_id, std::string* out) {
  AppendByte(static_cast<unsigned>(PacketType::kPuback) << 4, out);
  AppendByte(2, out);  // success, without properties
  AppendTwo(packet_id, out);
}

std::string EncodePingreq() {
  return EncodePacket(PacketType::kPingreq, 0, {});
}

std::string EncodeDisconnect() {
  return EncodePacket(PacketType::kDisconnect, 0, {});
}

std::string EncodeDisconnect(std::chrono::seconds session_expiry) {
  std::string properties;
  AppendSessionExpiry(session_expiry, &properties);
  std::string body;
  AppendByte(0, &body);  // normal disconnection
  AppendLength(properties.size(), &body);
  return EncodePacket(PacketType::kDisconnect, 0, body + properties);
}

Cut CutPacket(std::string_view bytes, Packet* packet, size_t* size) {
  std::string_view rest = bytes;
  uint8_t first = 0;
  if (!TakeByte(&rest, &first)) return Cut::kNeedMore;
  size_t length = 0;
  const Cut cut = TakeLength(&rest, &length);
  if (cut != Cut::kPacket) return cut;
  if (!TakeBytes(length, &rest, &packet->body)) return Cut::kNeedMore;
  packet->type = static_cast<PacketType>(first >> 4);
  packet->flags = first & 0xF;
  *size = bytes.size() - rest.size();
  return Cut::kPacket;
}

bool Properties::Take(std::string_view* bytes, Properties* properties) {
  size_t length = 0;
  properties->valid_ = true;
  return TakeLength(bytes, &length) == Cut::kPacket &&
         TakeBytes(length, bytes, &properties->bytes_);
}

bool Properties::Next(Property* property) {
  if (bytes_.empty()) return false;
  property->name = {};
  valid_ = TakeByte(&bytes_, &property->id);
  if (valid_ && property->id == kUserProperty) {
    valid_ = TakeText(&bytes_, &property->name) && TakeText(&bytes_, &property->value);
  } else if (valid_) {
    valid_ = TakeValue(property->id, &bytes_, &property->value);
  }
  if (!valid_) bytes_ = {};
  return valid_;
}

bool ParseConnack(const Packet& packet, Connack* connack) {
  std::string_view rest = packet.body;
  uint8_t flags = 0;
  if (packet.type != PacketType::kConnack || !TakeByte(&rest, &flags) ||
      !TakeByte(&rest, &connack->reason)) {
    return false;
  }
  connack->session_present = (flags & 1) != 0;
  connack->keep_alive = connack->session_expiry = std::chrono::seconds(-1);
  connack->maximum_packet_size = 0;
  connack->shared_subscriptions = true;
  if (rest.empty()) return connack->reason != 0;  // of a broker of MQTT 3.1.1, which refuses
  Properties properties;
  if (!Properties::Take(&rest, &properties)) return false;
  Properties::Property property;
  while (properties.Next(&property)) {
    switch (property.id) {
      case Properties::kServerKeepAlive:
        connack->keep_alive = std::chrono::seconds(TwoAt(property.value));
        break;
      case Properties::kSessionExpiry:
        connack->session_expiry = std::chrono::seconds(FourAt(property.value));
        break;
      case Properties::kMaximumPacketSize:
        connack->maximum_packet_size = FourAt(property.value);
        break;
      case Properties::kSharedAvailable:
        connack->shared_subscriptions = property.value.front() != 0;
        break;
      default:
        break;
    }
  }
  return properties.valid();
}

bool ParsePublish(const Packet& packet, Publish* publish) {
  const int qos = packet.flags >> 1 & 3;
  std::string_view rest = packet.body;
  if (packet.type != PacketType::kPublish || qos > 1 || !TakeText(&rest, &publish->topic)) {
    return false;
  }
  publish->duplicate = (packet.flags & 8) != 0;
  publish->packet_id = 0;
  if (qos == 1 && (!TakeTwo(&rest, &publish->packet_id) || publish->packet_id == 0)) return false;
  if (!Properties::Take(&rest, &publish->properties)) return false;
  publish->payload = rest;
  Properties all = publish->properties;
  Properties::Property property;
  while (all.Next(&property)) {
  }
  return all.valid();
}

bool ParseAnswer(const Packet& packet, Answer* answer) {
  std::string_view rest = packet.body;
  Properties properties;
  if ((packet.type != PacketType::kSuback && packet.type != PacketType::kUnsuback) ||
      !TakeTwo(&rest, &answer->packet_id) || !Properties::Take(&rest, &properties)) {
    return false;
  }
  answer->reasons = rest;
  return !rest.empty();
}

bool ParseDisconnect(const Packet& packet, uint8_t* reason) {
  *reason = 0;
  std::string_view rest = packet.body;
  if (packet.type != PacketType::kDisconnect) return false;
  return rest.empty() || TakeByte(&rest, reason);
}

}  // namespace sluice::mqtt
