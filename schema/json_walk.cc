#include "schema/json_walk.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>

#include "schema/envelope.h"
#include "schema/json_number.h"
#include "schema/secrets.h"

namespace sluice {
namespace {

// Up to here each new key is compared with those before it, beyond all are sorted at the end.
constexpr size_t kComparedKeys = 64;

constexpr const char* kDuplicateKey = "an object has the same key twice";

bool IsSpace(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::string_view TrimmedRight(std::string_view text) {
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

uint32_t Mark(std::string_view key) {
  if (key.empty()) return 0;
  const auto byte = [&](size_t i) -> uint32_t { return static_cast<unsigned char>(key[i]); };
  return static_cast<uint32_t>(key.size()) << 24 | byte(0) << 16 | byte(key.size() / 2) << 8 |
         byte(key.size() - 1);
}

// The four hexadecimal digits at `text`, which has them or is not to be believed.
std::optional<uint32_t> HexQuad(std::string_view text) {
  if (text.size() < 4) return std::nullopt;
  uint32_t value = 0;
  const char* end = text.data() + 4;
  if (std::from_chars(text.data(), end, value, 16).ptr != end) return std::nullopt;
  return value;
}

char* AppendUtf8(uint32_t code, char* out) {
  const auto put = [&out](uint32_t byte) { *out++ = static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
  return out;
}

// What the letter after a backslash stands for, except 'u'; 0 when it stands for nothing.
char SimpleEscape(char letter) {
  switch (letter) {
    case '"':
    case '\\':
    case '/':
      return letter;
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return 0;
  }
}

// Takes the escape after "\u" off the front of *rest, both halves of a surrogate pair. Returns what
// is wrong with it, or nullptr.
const char* TakeCodePoint(std::string_view* rest, uint32_t* code) {
  const std::optional<uint32_t> unit = HexQuad(*rest);
  if (!unit) return "a string has a malformed escape";
  rest->remove_prefix(4);
  *code = *unit;
  if (*code == 0) return "a string holds \\u0000";
  if (*code < 0xd800 || *code > 0xdfff) return nullptr;
  constexpr const char* kLone = "a string holds a lone surrogate";
  if (*code > 0xdbff || !rest->starts_with("\\u")) return kLone;
  const std::optional<uint32_t> low = HexQuad(rest->substr(2));
  if (!low || *low < 0xdc00 || *low > 0xdfff) return kLone;
  rest->remove_prefix(6);
  *code = 0x10000 + ((*code - 0xd800) << 10) + (*low - 0xdc00);
  return nullptr;
}

}  // namespace

bool JsonWalk::Start(std::string_view payload, simdjson::ondemand::object* root) {
  keys_.clear();
  secret_keys_ = 0;
  unescaped_size_ = 0;
  depth_ = 0;
  if (payload.empty()) return Fail("the payload is empty");
  if (buffer_.size() < payload.size() + simdjson::SIMDJSON_PADDING) {
    const size_t capacity = std::bit_ceil(payload.size());
    buffer_.resize(capacity + simdjson::SIMDJSON_PADDING);
    if (parser_.allocate(capacity, kMaxJsonDepth + 2) != simdjson::SUCCESS) {
      return Fail("the payload is too large to parse");
    }
  }
  std::memcpy(buffer_.data(), payload.data(), payload.size());
  std::memset(buffer_.data() + payload.size(), 0, simdjson::SIMDJSON_PADDING);
  has_escapes_ = std::memchr(buffer_.data(), '\\', payload.size()) != nullptr;

  const simdjson::error_code error =
      parser_.iterate(buffer_.data(), payload.size(), buffer_.size()).get(document_);
  if (error == simdjson::UTF8_ERROR) return Fail("the payload is not valid UTF-8");
  if (error != simdjson::SUCCESS) return Fail(kMalformed);
  if (std::string_view token;
      document_.raw_json_token().get(token) != simdjson::SUCCESS || !token.starts_with('{')) {
    return Fail("the payload is not a JSON object");
  }
  return document_.get_object().get(*root) == simdjson::SUCCESS || Fail(kMalformed);
}

// The value's first token, without the white space after it. Never empty.
std::string_view JsonWalk::Token(const Value& value) {
  // raw_json_token is not const in simdjson, but does not change the value.
  Value copy = value;
  const std::string_view token = copy.raw_json_token();
  const std::string_view trimmed = TrimmedRight(token);
  return trimmed.empty() ? token.substr(0, 1) : trimmed;
}

bool JsonWalk::Check(Value& value, JsonText* out) {
  const std::string_view token = Token(value);
  switch (token.front()) {
    case '{':
      return CheckObject(value, out);
    case '[':
      return CheckArray(value, out);
    default:
      return Scalar(value, token, out);
  }
}

bool JsonWalk::CheckObject(Value& value, JsonText* out) {
  return Object(value, out, [this](std::string_view, Value& field) {
    JsonText ignored;
    return Check(field, &ignored);
  });
}

bool JsonWalk::CheckArray(Value& value, JsonText* out) {
  return Array(value, out, [this](Value& element) {
    JsonText ignored;
    return Check(element, &ignored);
  });
}

bool JsonWalk::Scalar(Value& value, std::string_view token, JsonText* out) {
  out->text = token;
  switch (token.front()) {
    case '"':
      out->type = JsonText::Type::kString;
      if (token.size() < 2 || token.back() != '"') return Fail(kMalformed);
      // Consumed at once: skipped later, `"a" : 1` in a value's place would pass for a field.
      if (value.get_raw_json_string().error() != simdjson::SUCCESS) return Fail(kMalformed);
      return String(token.substr(1, token.size() - 2), &out->text);
    case 'n':
      out->type = JsonText::Type::kNull;
      return token == "null" || Fail(kMalformed);
    case 't':
    case 'f':
      out->type = JsonText::Type::kBool;
      return token == "true" || token == "false" || Fail(kMalformed);
    default:
      out->type = JsonText::Type::kNumber;
      return Number(token);
  }
}

bool JsonWalk::Number(std::string_view text) {
  JsonNumber number;
  if (!SplitJsonNumber(text, &number)) return Fail(kMalformed);
  if (text.size() > kMaxNumberChars) return Fail("a number is longer than 64 characters");
  if (number.exponent > kMaxNumberExponent || number.exponent < -kMaxNumberExponent) {
    return Fail("a number's exponent is beyond 308");
  }
  // Without an exponent 64 digits are far from the end of double.
  if (number.exponent > 0) {
    double ignored = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), ignored);
    if (result.ec != std::errc()) return Fail("a number is too large");
  }
  return true;
}

bool JsonWalk::String(std::string_view raw, std::string_view* out) {
  if (has_escapes_ && raw.find('\\') != std::string_view::npos) return Unescape(raw, out);
  *out = raw;
  return true;
}

// simdjson's own unescaping lets some lone surrogates pass.
bool JsonWalk::Unescape(std::string_view raw, std::string_view* out) {
  // No string grows by unescaping, so nothing moves until the next document.
  if (unescaped_size_ == 0) unescaped_.resize(std::max(unescaped_.size(), buffer_.size()));
  char* const begin = unescaped_.data() + unescaped_size_;
  char* end = begin;
  while (!raw.empty()) {
    const size_t plain = std::min(raw.find('\\'), raw.size());
    end = std::copy_n(raw.data(), plain, end);
    raw.remove_prefix(plain);
    if (raw.empty()) break;
    if (raw.size() < 2) return Fail(kMalformed);
    const char letter = raw[1];
    raw.remove_prefix(2);
    if (letter == 'u') {
      uint32_t code = 0;
      if (const char* problem = TakeCodePoint(&raw, &code)) return Fail(problem);
      end = AppendUtf8(code, end);
    } else if (const char plain_letter = SimpleEscape(letter)) {
      *end++ = plain_letter;
    } else {
      return Fail("a string has a malformed escape");
    }
  }
  *out = {begin, static_cast<size_t>(end - begin)};
  unescaped_size_ += out->size();
  return true;
}

// simdjson shows where a key begins. It ends at the last quote before the colon before the value:
// between them can only be white space.
bool JsonWalk::TakeKey(const char* begin, const Value& value, size_t first, std::string_view* out) {
  const char* end = Token(value).data();
  while (*--end != ':') {
  }
  while (*--end != '"') {
  }
  if (!String({begin, static_cast<size_t>(end - begin)}, out)) return false;
  const Key key{*out, Mark(*out)};
  if (keys_.size() - first < kComparedKeys) {
    for (size_t i = first; i < keys_.size(); ++i) {
      if (keys_[i].mark == key.mark && keys_[i].text == key.text) return Fail(kDuplicateKey);
    }
  }
  keys_.push_back(key);
  if (IsSecretKey(key.text)) ++secret_keys_;
  return true;
}

bool JsonWalk::AllDiffer(size_t first) {
  if (keys_.size() - first <= kComparedKeys) return true;
  const auto begin = keys_.begin() + static_cast<std::ptrdiff_t>(first);
  std::sort(begin, keys_.end(), [](const Key& a, const Key& b) { return a.text < b.text; });
  const auto twice = std::adjacent_find(
      begin, keys_.end(), [](const Key& a, const Key& b) { return a.text == b.text; });
  return twice == keys_.end() || Fail(kDuplicateKey);
}

bool JsonWalk::Enter() {
  return ++depth_ <= kMaxJsonDepth || Fail("the payload is nested deeper than 32 levels");
}

// A container ends before the token that follows it; there is one, because the root is still open.
bool JsonWalk::Leave(Value& value, const char* start, JsonText::Type type, JsonText* out) {
  const char* next = nullptr;
  if (value.current_location().get(next) != simdjson::SUCCESS) return Fail(kMalformed);
  out->type = type;
  out->text = TrimmedRight({start, static_cast<size_t>(next - start)});
  return true;
}

}  // namespace sluice
