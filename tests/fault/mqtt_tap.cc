#include "tests/fault/mqtt_tap.h"

#include <algorithm>
#include <optional>

namespace sluice::testing {
namespace {

constexpr uint8_t kPublish = 3;
constexpr uint8_t kPuback = 4;

// MQTT's variable byte integer; advances `at`. Nothing when there is not all of it.
std::optional<size_t> ReadLength(std::string_view bytes, size_t* at) {
  size_t length = 0;
  for (int shift = 0; shift < 28; shift += 7) {
    if (*at >= bytes.size()) return std::nullopt;
    const auto byte = static_cast<uint8_t>(bytes[(*at)++]);
    length |= static_cast<size_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) return length;
  }
  return std::nullopt;
}

uint16_t ReadTwo(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[at]) << 8 |
                               static_cast<uint8_t>(bytes[at + 1]));
}

std::string_view Segment(std::string_view* topic) {
  const size_t slash = topic->find('/');
  const std::string_view segment = topic->substr(0, slash);
  topic->remove_prefix(slash == std::string_view::npos ? topic->size() : slash + 1);
  return segment;
}

// Calls `packet(first byte, body)` for each whole packet in `stream` and leaves the rest.
template <typename Packet>
void ForEachPacket(std::string* stream, Packet packet) {
  size_t done = 0;
  const std::string_view bytes = *stream;
  while (done < bytes.size()) {
    size_t at = done + 1;
    const std::optional<size_t> length = ReadLength(bytes, &at);
    if (!length || bytes.size() - at < *length) break;
    packet(static_cast<uint8_t>(bytes[done]), bytes.substr(at, *length));
    done = at + *length;
  }
  stream->erase(0, done);
}

}  // namespace

std::string MessageId(std::string_view topic, std::string_view payload) {
  if (Segment(&topic) != "tenant") return "";
  const std::string tenant(Segment(&topic));
  if (Segment(&topic) != "device") return "";
  const std::string device(Segment(&topic));
  constexpr std::string_view kSeq = "\"seq\":";
  const size_t seq = payload.find(kSeq);
  if (seq == std::string_view::npos) return "";
  const std::string_view digits = payload.substr(seq + kSeq.size());
  return tenant + ' ' + device + ' ' +
         std::string(digits.substr(0, digits.find_first_not_of("0123456789")));
}

void MqttTap::See(int connection, bool to_server, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  Connection& state = connections_[connection];
  std::string& stream = to_server ? state.from_client : state.from_server;
  stream += bytes;
  ForEachPacket(&stream, [&](uint8_t first, std::string_view body) {
    if (!to_server && first >> 4 == kPublish) Published(connection, state, first & 0x0F, body);
    if (to_server && first >> 4 == kPuback) Acknowledged(state, body);
  });
}

void MqttTap::Published(int number, Connection& connection, uint8_t flags, std::string_view body) {
  const bool duplicate = (flags & 0x08) != 0;
  if ((flags & 0x06) == 0) return;  // QoS 0
  const size_t topic_length = ReadTwo(body, 0);
  const std::string_view topic = body.substr(2, topic_length);
  const uint16_t packet_id = ReadTwo(body, 2 + topic_length);
  size_t at = 4 + topic_length;
  const size_t properties = ReadLength(body, &at).value_or(0);  // the daemon speaks MQTT 5
  std::string id = MessageId(topic, body.substr(at + properties));
  if (id.empty()) return;
  const uint64_t delivery = static_cast<uint64_t>(number / kLineNumbers) << 16 | packet_id;
  std::vector<uint64_t>& before = delivered_[id];
  if (duplicate && std::find(before.begin(), before.end(), delivery) != before.end()) {
    ++redeliveries_;
  } else {
    before.push_back(delivery);
  }
  connection.in_flight[packet_id] = std::move(id);
}

void MqttTap::Acknowledged(Connection& connection, std::string_view body) {
  const auto found = connection.in_flight.find(ReadTwo(body, 0));
  if (found == connection.in_flight.end()) return;
  acknowledged_.insert(std::move(found->second));
  connection.in_flight.erase(found);
  ++acknowledgements_;
}

void MqttTap::Forget() {
  const std::lock_guard lock(mutex_);
  acknowledged_.clear();
  delivered_.clear();
}

std::unordered_set<std::string> MqttTap::acknowledged() const {
  const std::lock_guard lock(mutex_);
  return acknowledged_;
}

std::unordered_map<std::string, size_t> MqttTap::delivered() const {
  const std::lock_guard lock(mutex_);
  std::unordered_map<std::string, size_t> times;
  for (const auto& [id, deliveries] : delivered_) times[id] = deliveries.size();
  return times;
}

size_t MqttTap::acknowledgements() const {
  const std::lock_guard lock(mutex_);
  return acknowledgements_;
}

bool MqttTap::HasAcknowledged(const std::unordered_map<std::string, bool>& messages) const {
  const std::lock_guard lock(mutex_);
  return std::all_of(messages.begin(), messages.end(),
                     [&](const auto& message) { return acknowledged_.contains(message.first); });
}

size_t MqttTap::redeliveries() const {
  const std::lock_guard lock(mutex_);
  return redeliveries_;
}

}  // namespace sluice::testing
