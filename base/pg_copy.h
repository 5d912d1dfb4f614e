// CopyEncoder: tuples of PostgreSQL's binary COPY format (documentation of COPY, "Binary Format").
// Values are big-endian; timestamptz is microseconds since 2000-01-01 00:00 UTC.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace sluice {

// What comes before the first tuple and after the last.
inline constexpr std::string_view kCopyHeader{"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19};
inline constexpr std::string_view kCopyTrailer{"\377\377", 2};

// Appends to a string it does not own; as many fields as Tuple announced, in the columns' order.
class CopyEncoder {
 public:
  explicit CopyEncoder(std::string* out) : out_(*out) {}

  void Tuple(int fields) { Put<uint16_t>(static_cast<uint16_t>(fields)); }
  void Null() { Put<uint32_t>(0xFFFFFFFFU); }
  void Text(std::string_view text) {  // text and bytea
    Put<uint32_t>(static_cast<uint32_t>(text.size()));
    out_.append(text);
  }
  void Jsonb(std::string_view json) {
    Put<uint32_t>(static_cast<uint32_t>(json.size() + 1));
    out_.push_back('\1');
    out_.append(json);
  }
  void Bigint(int64_t value) {
    Put<uint32_t>(8);
    Put<uint64_t>(static_cast<uint64_t>(value));
  }
  void Integer(int32_t value) {
    Put<uint32_t>(4);
    Put<uint32_t>(static_cast<uint32_t>(value));
  }
  void Boolean(bool value) {
    Put<uint32_t>(1);
    out_.push_back(value ? '\1' : '\0');
  }
  void Timestamp(UnixMicros time) { Bigint(time - kPostgresEpoch); }
  void Uuid(std::string_view sixteen_bytes) { Text(sixteen_bytes); }

 private:
  static constexpr UnixMicros kPostgresEpoch = 946'684'800'000'000;

  template <typename T>
  void Put(T value) {
    char bytes[sizeof(T)];
    for (size_t i = 0; i < sizeof(T); ++i) {
      bytes[i] = static_cast<char>(value >> (8 * (sizeof(T) - 1 - i)));
    }
    out_.append(bytes, sizeof(T));
  }

  std::string& out_;
};

}  // namespace sluice
