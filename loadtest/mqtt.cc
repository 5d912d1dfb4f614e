#include "loadtest/mqtt.h"

#include "mqtt/packets.h"

namespace sluice::loadtest {
namespace {

using mqtt::AppendByte;
using mqtt::AppendText;

constexpr unsigned char kPublish = 0x30;
constexpr size_t kMaxAnswerBytes = size_t{64} * 1024;

uint32_t Number(std::string_view bytes) {
  uint32_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

// The properties of a CONNACK, section 3.2.2.3.
bool ReadLimits(std::string_view bytes, BrokerPacket* packet) {
  mqtt::Properties properties;
  if (!mqtt::Properties::Take(&bytes, &properties)) return false;
  mqtt::Properties::Property property;
  while (properties.Next(&property)) {
    switch (property.id) {
      case 0x21:
        packet->receive_maximum = static_cast<uint16_t>(Number(property.value));
        break;
      case 0x24:
        packet->maximum_qos = static_cast<uint8_t>(Number(property.value));
        break;
      case 0x27:
        packet->maximum_packet_size = Number(property.value);
        break;
      default:
        break;
    }
  }
  return properties.valid() && packet->receive_maximum > 0 && packet->maximum_packet_size > 0;
}

}  // namespace

std::string EncodeConnect(int version, std::string_view client_id, std::string_view username,
                          std::string_view password) {
  constexpr unsigned kCleanSession = 0x02;
  constexpr unsigned kHasPassword = 0x40;
  constexpr unsigned kHasUsername = 0x80;
  std::string body;
  AppendText("MQTT", &body);
  AppendByte(version == 5 ? 5 : 4, &body);
  AppendByte(kCleanSession | (username.empty() ? 0 : kHasUsername | kHasPassword), &body);
  body.append(2, '\0');                    // keep-alive: none
  if (version == 5) body.append(1, '\0');  // properties: none
  AppendText(client_id, &body);
  if (!username.empty()) {
    AppendText(username, &body);
    AppendText(password, &body);
  }
  return mqtt::EncodePacket(mqtt::PacketType::kConnect, 0, body);
}

PublishPacket EncodePublish(Dialect dialect, std::string_view topic, std::string_view payload) {
  const size_t packet_id_bytes = dialect.qos == 0 ? 0 : 2;
  const size_t property_bytes = dialect.version == 5 ? 1 : 0;  // their length, which is 0
  PublishPacket packet;
  AppendByte(kPublish | static_cast<unsigned>(dialect.qos) << 1, &packet.bytes);
  mqtt::AppendLength(2 + topic.size() + packet_id_bytes + property_bytes + payload.size(),
                     &packet.bytes);
  AppendText(topic, &packet.bytes);
  if (dialect.qos > 0) packet.packet_id_at = packet.bytes.size();
  packet.bytes.append(packet_id_bytes + property_bytes, '\0');
  packet.payload_at = packet.bytes.size();
  packet.bytes.append(payload);
  return packet;
}

BrokerPacketReader::Outcome BrokerPacketReader::Next(BrokerPacket* packet) {
  const std::string_view bytes = std::string_view(buffer_).substr(at_);
  mqtt::Packet cut;
  size_t size = 0;
  const mqtt::Cut outcome = mqtt::CutPacket(bytes, &cut, &size);
  if (outcome == mqtt::Cut::kNeedMore && bytes.size() <= kMaxAnswerBytes) {
    buffer_.erase(0, at_);
    at_ = 0;
    return Outcome::kNeedMore;
  }
  *packet = {};
  if (outcome != mqtt::Cut::kPacket || !Decode(cut, packet)) return Outcome::kMalformed;
  at_ += size;
  return Outcome::kPacket;
}

bool BrokerPacketReader::Decode(const mqtt::Packet& cut, BrokerPacket* packet) const {
  const std::string_view body = cut.body;
  switch (cut.type) {
    case mqtt::PacketType::kConnack:
      if (body.size() < 2) return false;
      packet->type = BrokerPacket::Type::kConnack;
      packet->reason = static_cast<uint8_t>(body[1]);
      // A broker that knows only MQTT 3.1.1 refuses in its own way.
      if (version_ == 3 || packet->reason != 0) return version_ == 5 || body.size() == 2;
      return ReadLimits(body.substr(2), packet);
    case mqtt::PacketType::kPuback:
      if (body.size() < 2 || (version_ == 3 && body.size() > 2)) return false;
      packet->type = BrokerPacket::Type::kPuback;
      packet->packet_id = static_cast<uint16_t>(Number(body.substr(0, 2)));
      if (body.size() > 2) packet->reason = static_cast<uint8_t>(body[2]);
      return true;
    case mqtt::PacketType::kDisconnect:
      packet->type = BrokerPacket::Type::kDisconnect;
      return version_ == 5 && mqtt::ParseDisconnect(cut, &packet->reason);
    default:
      return false;
  }
}

void BrokerPacketReader::Reset() {
  buffer_.clear();
  at_ = 0;
}

}  // namespace sluice::loadtest
