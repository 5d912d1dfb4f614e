// The bytes of the spool: docs/spool-format.md in code. Pure functions, any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"
#include "ingest/spool/spool.h"

namespace sluice {

inline constexpr size_t kSegmentHeaderSize = 64;
inline constexpr size_t kRecordHeaderSize = 24;
inline constexpr size_t kBodyPrefixSize = 18;
inline constexpr size_t kMaxPayloadSize = size_t{1} << 28;  // what MQTT can carry
inline constexpr uint64_t kMaxSeq = uint64_t{1} << 62;

inline constexpr std::string_view kLockName = "lock";
inline constexpr std::string_view kSpareName = "reserve.seg";
inline constexpr std::string_view kWatermarkName = "watermark";
inline constexpr std::string_view kWatermarkTemporaryName = "watermark.tmp";
inline constexpr std::string_view kUnreadableSuffix = ".unreadable";

using Uuid = std::array<char, 16>;

Uuid RandomUuid();
std::string ToText(const Uuid& uuid);  // 36 characters

std::string SegmentName(uint64_t first_seq);
// The sequence number in a segment's name; nothing when it is not one.
std::optional<uint64_t> ParseSegmentName(std::string_view name);

struct SegmentHeader {
  Uuid spool{};
  uint64_t first_seq = 0;
  uint64_t previous_last_seq = 0;
  UnixMicros created = 0;
};
std::string EncodeSegmentHeader(const SegmentHeader& header);
// kCorrupt when the bytes are damaged or no header at all, kInvalidArgument when they are whole but
// of a version that this program does not know. What that goes by, the magic, the version and the
// CRC, stands at the same place in every version.
Result<SegmentHeader> ParseSegmentHeader(std::string_view bytes);

struct Watermark {
  Uuid spool{};
  uint64_t seq = 0;
};
std::string EncodeWatermark(const Watermark& watermark);
Result<Watermark> ParseWatermark(std::string_view bytes);  // errors as ParseSegmentHeader's

// What the CRC of every record header of a spool starts from.
uint32_t RecordKey(const Uuid& spool);

struct RecordHeader {
  uint32_t body_size = 0;
  uint64_t seq = 0;
  uint32_t body_crc = 0;
};
inline constexpr std::array<char, 4> kRecordMarker = {'\xF5', '\x5A', '\x9E', '\x0D'};
// Nothing when these kRecordHeaderSize bytes are not the header of a record of this spool.
std::optional<RecordHeader> ParseRecordHeader(const char* bytes, uint32_t key);

// kInvalidArgument when a part is longer than the format can hold.
Status CheckMessage(const SpoolMessage& message);
inline size_t RecordSize(const SpoolMessage& message) {
  return kRecordHeaderSize + kBodyPrefixSize + message.topic.size() + message.payload.size() +
         message.stamp.size();
}
// Writes the body into `record` behind the room for the header; RecordSize(message) bytes.
void EncodeBody(const SpoolMessage& message, char* record);
// Completes the header of a record whose body is in place.
void EncodeHeader(uint64_t seq, uint32_t key, char* record, size_t record_size);

// Fills everything but seq, as views into `body`. False when the sizes do not add up.
bool DecodeBody(std::string_view body, SpoolRecord* record);
// The time of receipt, from the first 8 bytes of a body.
UnixMicros ReceivedOf(const char* body);
// Microseconds from `received` to `now`; 0 for a time that cannot be.
int64_t AgeOf(UnixMicros received, UnixMicros now);
// The packet id of a valid body.
uint16_t PacketIdOf(std::string_view body);
// The part of a valid body that says whether two messages are the same: topic and payload with
// their sizes.
std::string_view IdentityOf(std::string_view body);

}  // namespace sluice
