#include "ingest/spool/format.h"

#include <bit>
#include <cstring>

#include "base/crc32c.h"
#include "base/escape.h"
#include "ingest/spool/random.h"

namespace sluice {
namespace {

constexpr std::string_view kSegmentMagic = "SLUICSEG";
constexpr std::string_view kWatermarkMagic = "SLUICWMK";
constexpr uint32_t kVersion = 1;
constexpr size_t kWatermarkSize = 44;
constexpr size_t kSegmentDigits = 20;
constexpr size_t kIdentityOffset = 12;  // of the topic's size, within the body
constexpr size_t kMaxBodySize = kBodyPrefixSize + 2 * size_t{UINT16_MAX} + kMaxPayloadSize;

static_assert(std::endian::native == std::endian::little, "the integers are copied as they are");

template <typename T>
void Put(char* out, T value) {
  std::memcpy(out, &value, sizeof value);
}

template <typename T>
T Get(const char* bytes) {
  T value{};
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

void PutText(char* out, std::string_view text) {
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
}

Status Corrupt(const char* what) {
  return {ErrorCode::kCorrupt, what};
}

Status CheckVersion(uint32_t version) {
  if (version == kVersion) return Status::Ok();
  return {ErrorCode::kInvalidArgument, "is of version " + std::to_string(version) +
                                           " of the spool's format, this program knows version " +
                                           std::to_string(kVersion)};
}

}  // namespace

Uuid RandomUuid() {
  Uuid uuid{};
  FillRandom(uuid.data(), uuid.size());
  uuid[6] = static_cast<char>((uuid[6] & 0x0f) | 0x40);
  uuid[8] = static_cast<char>((uuid[8] & 0x3f) | 0x80);
  return uuid;
}

std::string ToText(const Uuid& uuid) {
  std::string text = ToHex({uuid.data(), uuid.size()});
  for (const size_t hyphen : {8, 13, 18, 23}) text.insert(hyphen, 1, '-');
  return text;
}

std::string SegmentName(uint64_t first_seq) {
  const std::string digits = std::to_string(first_seq);
  return std::string(kSegmentDigits - digits.size(), '0') + digits + ".seg";
}

std::optional<uint64_t> ParseSegmentName(std::string_view name) {
  if (name.size() != kSegmentDigits + 4 || !name.ends_with(".seg")) return std::nullopt;
  uint64_t seq = 0;
  for (const char c : name.substr(0, kSegmentDigits)) {
    if (c < '0' || c > '9' || seq > kMaxSeq / 10) return std::nullopt;
    seq = seq * 10 + static_cast<uint64_t>(c - '0');
  }
  if (seq == 0 || seq > kMaxSeq) return std::nullopt;
  return seq;
}

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  std::string bytes(kSegmentHeaderSize, '\0');
  PutText(bytes.data(), kSegmentMagic);
  Put<uint32_t>(&bytes[8], kVersion);
  Put<uint32_t>(&bytes[12], kSegmentHeaderSize);
  PutText(&bytes[16], {header.spool.data(), header.spool.size()});
  Put<uint64_t>(&bytes[32], header.first_seq);
  Put<uint64_t>(&bytes[40], header.previous_last_seq);
  Put<int64_t>(&bytes[48], header.created);
  Put<uint32_t>(&bytes[60], Crc32c({bytes.data(), 60}));
  return bytes;
}

Result<SegmentHeader> ParseSegmentHeader(std::string_view bytes) {
  if (bytes.empty()) return Corrupt("empty");
  if (bytes.size() < kSegmentHeaderSize) return Corrupt("shorter than a segment's header");
  if (bytes.substr(0, 8) != kSegmentMagic) return Corrupt("does not begin like a segment");
  if (Get<uint32_t>(&bytes[60]) != Crc32c(bytes.substr(0, 60))) return Corrupt("damaged header");
  if (Status known = CheckVersion(Get<uint32_t>(&bytes[8])); !known.ok()) return known;
  if (Get<uint32_t>(&bytes[12]) != kSegmentHeaderSize) return Corrupt("impossible header size");
  SegmentHeader header;
  std::memcpy(header.spool.data(), &bytes[16], header.spool.size());
  header.first_seq = Get<uint64_t>(&bytes[32]);
  header.previous_last_seq = Get<uint64_t>(&bytes[40]);
  header.created = Get<int64_t>(&bytes[48]);
  if (header.first_seq == 0 || header.first_seq > kMaxSeq ||
      header.previous_last_seq >= header.first_seq) {
    return Corrupt("impossible numbers in the header");
  }
  return header;
}

std::string EncodeWatermark(const Watermark& watermark) {
  std::string bytes(kWatermarkSize, '\0');
  PutText(bytes.data(), kWatermarkMagic);
  Put<uint32_t>(&bytes[8], kVersion);
  PutText(&bytes[16], {watermark.spool.data(), watermark.spool.size()});
  Put<uint64_t>(&bytes[32], watermark.seq);
  Put<uint32_t>(&bytes[40], Crc32c({bytes.data(), 40}));
  return bytes;
}

Result<Watermark> ParseWatermark(std::string_view bytes) {
  if (bytes.size() != kWatermarkSize || bytes.substr(0, 8) != kWatermarkMagic ||
      Get<uint32_t>(&bytes[40]) != Crc32c(bytes.substr(0, 40))) {
    return Corrupt("not a watermark, or a damaged one");
  }
  if (Status known = CheckVersion(Get<uint32_t>(&bytes[8])); !known.ok()) return known;
  Watermark watermark;
  std::memcpy(watermark.spool.data(), &bytes[16], watermark.spool.size());
  watermark.seq = Get<uint64_t>(&bytes[32]);
  if (watermark.seq > kMaxSeq) return Corrupt("impossible watermark");
  return watermark;
}

uint32_t RecordKey(const Uuid& spool) {
  return Crc32c({spool.data(), spool.size()});
}

std::optional<RecordHeader> ParseRecordHeader(const char* bytes, uint32_t key) {
  if (std::memcmp(bytes, kRecordMarker.data(), kRecordMarker.size()) != 0) return std::nullopt;
  if (Get<uint32_t>(bytes + 20) != Crc32c({bytes, 20}, key)) return std::nullopt;
  const RecordHeader header{Get<uint32_t>(bytes + 4), Get<uint64_t>(bytes + 8),
                            Get<uint32_t>(bytes + 16)};
  if (header.body_size < kBodyPrefixSize || header.body_size > kMaxBodySize) return std::nullopt;
  if (header.seq == 0 || header.seq > kMaxSeq) return std::nullopt;
  return header;
}

Status CheckMessage(const SpoolMessage& message) {
  if (message.topic.size() > UINT16_MAX || message.stamp.size() > UINT16_MAX ||
      message.payload.size() > kMaxPayloadSize) {
    return {ErrorCode::kInvalidArgument, "the message is longer than a spool record can be"};
  }
  return Status::Ok();
}

void EncodeBody(const SpoolMessage& message, char* record) {
  char* body = record + kRecordHeaderSize;
  Put<int64_t>(body, message.received);
  Put<uint16_t>(body + 8, message.packet_id);
  Put<uint16_t>(body + 10, static_cast<uint16_t>(message.stamp.size()));
  Put<uint16_t>(body + kIdentityOffset, static_cast<uint16_t>(message.topic.size()));
  Put<uint32_t>(body + 14, static_cast<uint32_t>(message.payload.size()));
  char* at = body + kBodyPrefixSize;
  PutText(at, message.topic);
  PutText(at + message.topic.size(), message.payload);
  PutText(at + message.topic.size() + message.payload.size(), message.stamp);
}

void EncodeHeader(uint64_t seq, uint32_t key, char* record, size_t record_size) {
  const size_t body_size = record_size - kRecordHeaderSize;
  std::memcpy(record, kRecordMarker.data(), kRecordMarker.size());
  Put<uint32_t>(record + 4, static_cast<uint32_t>(body_size));
  Put<uint64_t>(record + 8, seq);
  Put<uint32_t>(record + 16, Crc32c({record + kRecordHeaderSize, body_size}));
  Put<uint32_t>(record + 20, Crc32c({record, 20}, key));
}

bool DecodeBody(std::string_view body, SpoolRecord* record) {
  if (body.size() < kBodyPrefixSize) return false;
  const size_t stamp = Get<uint16_t>(&body[10]);
  const size_t topic = Get<uint16_t>(&body[kIdentityOffset]);
  const size_t payload = Get<uint32_t>(&body[14]);
  if (body.size() != kBodyPrefixSize + topic + payload + stamp) return false;
  record->received = ReceivedOf(body.data());
  record->topic = body.substr(kBodyPrefixSize, topic);
  record->payload = body.substr(kBodyPrefixSize + topic, payload);
  record->stamp = body.substr(kBodyPrefixSize + topic + payload, stamp);
  return true;
}

UnixMicros ReceivedOf(const char* body) {
  return Get<int64_t>(body);
}

int64_t AgeOf(UnixMicros received, UnixMicros now) {
  return received < 0 || received > now ? 0 : now - received;
}

uint16_t PacketIdOf(std::string_view body) {
  return Get<uint16_t>(&body[8]);
}

std::string_view IdentityOf(std::string_view body) {
  const size_t stamp = Get<uint16_t>(&body[10]);
  return body.substr(kIdentityOffset, body.size() - kIdentityOffset - stamp);
}

}  // namespace sluice
