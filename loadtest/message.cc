#include "loadtest/message.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <utility>

namespace sluice::loadtest {
namespace {

// JSON allows white space after a number, so seq has a fixed width: digits, then spaces.
constexpr size_t kSeqChars = 19;
constexpr char kSeqHole = '\x01';
constexpr char kTimeHole = '\x02';
constexpr int kTooManyMetrics = 60;
constexpr std::string_view kAncientTime = "2001-01-01T00:00:00.000000Z";

std::string Metrics(int count, const Sender& sender) {
  constexpr std::array<std::string_view, 5> kNames = {"temperature", "humidity", "pressure",
                                                      "battery", "signal"};
  const size_t spread = std::hash<std::string>()(sender.device) % 1000;
  std::string json = "{";
  for (int i = 0; i < count; ++i) {
    const size_t n = static_cast<size_t>(i);
    const std::string name =
        n < kNames.size() ? std::string(kNames[n]) : "metric_" + std::to_string(i);
    json += (i == 0 ? "\"" : ",\"") + name + "\":" + std::to_string(20 + i) + "." +
            std::to_string(100 + (spread + n * 37) % 900);
  }
  return json + "}";
}

std::string Reading(const MessageOptions& options, const Sender& sender, Kind kind) {
  const std::string time =
      kind == Kind::kAncientTime ? std::string(kAncientTime) : std::string(kTimeChars, kTimeHole);
  return "\"ts\":\"" + time + "\",\"seq\":" + std::string(kSeqChars, kSeqHole) + ",\"metrics\":" +
         Metrics(kind == Kind::kTooManyMetrics ? kTooManyMetrics : options.metrics, sender);
}

std::string Token(const FleetShape& shape, const Sender& sender, Kind kind) {
  return (kind == Kind::kWrongToken ? "not-" : "") + TokenOf(shape, sender);
}

void PadTo(size_t size, std::string* object) {
  constexpr std::string_view kKey = ",\"pad\":\"";
  if (object->size() >= size) return;
  object->pop_back();
  const size_t missing = size - object->size();
  if (missing >= kKey.size() + 2) {
    object->append(kKey).append(missing - kKey.size() - 2, 'x').append("\"}");
  } else {
    object->append(missing - 1, ' ').append("}");
  }
}

std::string Payload(const FleetShape& shape, const MessageOptions& options, const Sender& sender,
                    Kind kind) {
  std::string json = "{\"version\":\"1\"";
  if (kind != Kind::kMissingSite) {
    json += ",\"site_id\":\"" + (kind == Kind::kWrongSite ? "elsewhere" : sender.site) + "\"";
  }
  if (kind == Kind::kTenantMismatch) json += ",\"tenant_id\":\"somebody-else\"";
  const bool with_token = options.proof == Proof::kPayload && kind != Kind::kNoToken;
  if (with_token || kind == Kind::kWrongToken) {
    json += ",\"provision_token\":\"" + Token(shape, sender, kind) + "\"";
  }
  const std::string reading = Reading(options, sender, kind);
  if (options.readings == 1) {
    json += "," + reading;
  } else {
    json += ",\"readings\":[";
    for (int i = 0; i < options.readings; ++i) json += (i == 0 ? "{" : ",{") + reading + "}";
    json += "]";
  }
  json += "}";
  PadTo(kind == Kind::kOversized ? options.oversize_bytes : options.payload_bytes, &json);
  if (kind == Kind::kBadJson) json.back() = ' ';
  return json;
}

// The broker takes a topic with a space, and the daemon's filter matches it; the daemon does not
// allow it.
std::string TopicOf(const Sender& sender, Kind kind) {
  return "tenant/" + sender.tenant + "/device/" + sender.device +
         (kind == Kind::kBadTopic ? " (spare)" : "") + "/telemetry";
}

std::vector<size_t> Holes(const PublishPacket& packet, char hole, size_t width) {
  std::vector<size_t> holes;
  for (size_t at = packet.bytes.find(hole, packet.payload_at); at != std::string::npos;
       at = packet.bytes.find(hole, at + width)) {
    holes.push_back(at);
  }
  return holes;
}

}  // namespace

std::string FormatTime(UnixMicros time) {
  const time_t seconds = time / 1'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 64> text;
  const size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::string result(text.data(), length);
  const std::string micros = std::to_string(1'000'000 + time % 1'000'000);
  return result + "." + micros.substr(1) + "Z";
}

MessageTemplate::MessageTemplate(const FleetShape& shape, const MessageOptions& options,
                                 const Sender& sender, Kind kind)
    : packet_(EncodePublish(options.dialect, TopicOf(sender, kind),
                            Payload(shape, options, sender, kind))),
      seq_at_(Holes(packet_, kSeqHole, kSeqChars)),
      time_at_(Holes(packet_, kTimeHole, kTimeChars)) {}

void MessageTemplate::Append(uint16_t packet_id, uint64_t seq, std::string_view time, bool dup,
                             std::string* out) const {
  const size_t start = out->size();
  out->append(packet_.bytes);
  char* const bytes = out->data() + start;
  if (packet_.packet_id_at > 0) {
    if (dup) bytes[0] = static_cast<char>(bytes[0] | kDupFlag);
    bytes[packet_.packet_id_at] = static_cast<char>(packet_id >> 8);
    bytes[packet_.packet_id_at + 1] = static_cast<char>(packet_id & 0xFF);
  }
  for (const size_t at : time_at_) time.copy(bytes + at, kTimeChars);
  for (const size_t at : seq_at_) {
    char* const end = bytes + at + kSeqChars;
    std::fill(std::to_chars(bytes + at, end, seq++).ptr, end, ' ');
  }
}

MessageLibrary::MessageLibrary(FleetShape shape, MessageOptions options)
    : shape_(std::move(shape)),
      options_(options),
      senders_(Senders(shape_)),
      templates_(senders_.size() * kKindCount) {}

const MessageTemplate& MessageLibrary::Get(uint32_t sender, Kind kind) {
  std::unique_ptr<MessageTemplate>& slot =
      templates_[sender * kKindCount + static_cast<size_t>(kind)];
  if (!slot) {
    slot = std::make_unique<MessageTemplate>(shape_, options_, senders_[sender], kind);
  }
  return *slot;
}

}  // namespace sluice::loadtest
