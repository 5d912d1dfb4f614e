#include "base/escape.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace sluice {
namespace {

constexpr char kHex[] = "0123456789abcdef";

struct CodePoint {
  uint32_t value;
  size_t size;  // 0: the first byte begins no well-formed sequence
};

// The code point at the start of `text`, which is not empty.
CodePoint Decode(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return {0, 0};
  uint32_t value = lead & (0xffU >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {0, 0};
    value = value << 6 | (byte(i) & 0x3fU);
  }
  constexpr std::array<uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < kSmallest[size] || surrogate || value > 0x10ffff) return {0, 0};
  return {value, size};
}

bool MustEscape(uint32_t c) {
  if (c < 0x20 || c == '"' || c == '\\') return true;
  if (c < 0x7f) return false;
  return c <= 0x9f ||                     // DEL and C1
         c == 0x061c ||                   // Arabic letter mark
         (c >= 0x200e && c <= 0x200f) ||  // left-to-right and right-to-left marks
         (c >= 0x2028 && c <= 0x202e) ||  // line separators, embeddings and overrides
         (c >= 0x2066 && c <= 0x2069);    // isolates
}

void AppendUnicodeEscape(uint32_t c, std::string* out) {
  *out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) *out += kHex[c >> shift & 0xf];
}

void AppendEscape(uint32_t c, std::string* out) {
  constexpr std::string_view kShort = "\"\\\b\f\n\r\t";
  constexpr std::string_view kLetters = "\"\\bfnrt";
  const size_t index = c < 0x80 ? kShort.find(static_cast<char>(c)) : std::string_view::npos;
  if (index == std::string_view::npos) return AppendUnicodeEscape(c, out);
  *out += '\\';
  *out += kLetters[index];
}

// How many bytes at the start of `text` are ASCII, in steps of eight.
size_t AsciiPrefix(std::string_view text) {
  size_t size = 0;
  for (uint64_t word = 0; size + sizeof word <= text.size(); size += sizeof word) {
    std::memcpy(&word, text.data() + size, sizeof word);
    if ((word & 0x8080808080808080U) != 0) break;
  }
  return size;
}

}  // namespace

void AppendEscaped(std::string_view text, std::string* out) {
  out->reserve(out->size() + text.size());
  size_t plain = 0;  // text[plain, i) needs no escape and is not appended yet
  size_t i = 0;
  while (i < text.size()) {
    const CodePoint c = Decode(text.substr(i));
    if (c.size != 0 && !MustEscape(c.value)) {
      i += c.size;
      continue;
    }
    out->append(text, plain, i - plain);
    if (c.size == 0) {
      *out += "\\ufffd";
      i += 1;
    } else {
      AppendEscape(c.value, out);
      i += c.size;
    }
    plain = i;
  }
  out->append(text, plain);
}

std::string Escaped(std::string_view text) {
  std::string out;
  AppendEscaped(text, &out);
  return out;
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    text.remove_prefix(AsciiPrefix(text));
    // At most one word's worth, byte by byte; then try for words again.
    for (size_t end = 0; end < sizeof(uint64_t) && !text.empty();) {
      const size_t size = Decode(text).size;
      if (size == 0) return false;
      text.remove_prefix(size);
      end += size;
    }
  }
  return true;
}

std::string ToHex(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    out += kHex[static_cast<uint8_t>(byte) >> 4];
    out += kHex[static_cast<uint8_t>(byte) & 0xf];
  }
  return out;
}

int HexValue(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

bool FromHex(std::string_view hex, unsigned char* bytes, size_t size) {
  if (hex.size() != 2 * size) return false;
  for (size_t i = 0; i < size; ++i) {
    const int high = HexValue(hex[2 * i]);
    const int low = HexValue(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    bytes[i] = static_cast<unsigned char>(high * 16 + low);
  }
  return true;
}

}  // namespace sluice
