#include "loadtest/mqtt.h"

namespace sluice::loadtest {
namespace {

constexpr unsigned char kConnect = 0x10;
constexpr unsigned char kConnack = 0x20;
constexpr unsigned char kPublishQos1 = 0x32;
constexpr unsigned char kPuback = 0x40;
constexpr unsigned char kDisconnect = 0xE0;
constexpr size_t kAnswerBytes = 4;

void AppendByte(unsigned value, std::string* out) {
  out->push_back(static_cast<char>(value));
}

void AppendText(std::string_view text, std::string* out) {
  AppendByte(text.size() >> 8 & 0xFF, out);
  AppendByte(text.size() & 0xFF, out);
  out->append(text);
}

void AppendRemainingLength(size_t length, std::string* out) {
  do {
    const unsigned low = length & 0x7F;
    length >>= 7;
    AppendByte(length > 0 ? low | 0x80 : low, out);
  } while (length > 0);
}

}  // namespace

std::string EncodeConnect(std::string_view client_id, std::string_view username,
                          std::string_view password) {
  constexpr unsigned kCleanSession = 0x02;
  constexpr unsigned kHasPassword = 0x40;
  constexpr unsigned kHasUsername = 0x80;
  std::string body;
  AppendText("MQTT", &body);
  AppendByte(4, &body);
  AppendByte(kCleanSession | (username.empty() ? 0 : kHasUsername | kHasPassword), &body);
  body.append(2, '\0');  // keep-alive: none
  AppendText(client_id, &body);
  if (!username.empty()) {
    AppendText(username, &body);
    AppendText(password, &body);
  }
  std::string packet;
  AppendByte(kConnect, &packet);
  AppendRemainingLength(body.size(), &packet);
  return packet + body;
}

std::string EncodeDisconnect() {
  return {static_cast<char>(kDisconnect), '\0'};
}

PublishPacket EncodePublish(std::string_view topic, std::string_view payload) {
  PublishPacket packet;
  AppendByte(kPublishQos1, &packet.bytes);
  AppendRemainingLength(2 + topic.size() + 2 + payload.size(), &packet.bytes);
  AppendText(topic, &packet.bytes);
  packet.packet_id_at = packet.bytes.size();
  packet.bytes.append(2, '\0');
  packet.payload_at = packet.bytes.size();
  packet.bytes.append(payload);
  return packet;
}

BrokerPacketReader::Outcome BrokerPacketReader::Next(BrokerPacket* packet) {
  if (buffer_.size() - at_ < kAnswerBytes) {
    buffer_.erase(0, at_);
    at_ = 0;
    return Outcome::kNeedMore;
  }
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(buffer_[at_ + i]); };
  if (byte(1) != kAnswerBytes - 2) return Outcome::kMalformed;
  if (byte(0) == kConnack) {
    packet->type = BrokerPacket::Type::kConnack;
    packet->return_code = byte(3);
  } else if (byte(0) == kPuback) {
    packet->type = BrokerPacket::Type::kPuback;
    packet->packet_id = static_cast<uint16_t>(byte(2) << 8 | byte(3));
  } else {
    return Outcome::kMalformed;
  }
  at_ += kAnswerBytes;
  return Outcome::kPacket;
}

void BrokerPacketReader::Reset() {
  buffer_.clear();
  at_ = 0;
}

}  // namespace sluice::loadtest
