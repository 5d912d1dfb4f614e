#include "schema/secrets.h"

#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "base/letter_case.h"

namespace sluice {
namespace {

constexpr std::string_view kName = "provision_token";
constexpr size_t kNone = std::string_view::npos;

bool IsSpace(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
bool IsQuote(char c) {
  return c == '"' || c == '\'';
}

// The character at `at`, also when it is written as \uXXXX or is an escape for white space; *size
// is what it takes up. Escaped characters outside of ASCII come back as '?': no name and no syntax
// has them. A quote or backslash after a backslash is left as two.
char CharAt(std::string_view text, size_t at, size_t* size) {
  *size = 1;
  if (text[at] != '\\' || text.size() - at < 2) return text[at];
  if (std::string_view("nrtf").find(text[at + 1]) != kNone) {
    *size = 2;
    return ' ';
  }
  if (text[at + 1] != 'u' || text.size() - at < 6) return text[at];
  int code = 0;
  for (size_t i = at + 2; i < at + 6; ++i) {
    const int digit = HexValue(text[i]);
    if (digit < 0) return text[at];
    code = code * 16 + digit;
  }
  *size = 6;
  return code < 0x80 ? static_cast<char>(code) : '?';
}

template <typename Predicate>
size_t SkipWhile(std::string_view text, size_t at, Predicate matches) {
  size_t size = 0;
  while (at < text.size() && matches(CharAt(text, at, &size))) at += size;
  return at;
}

size_t SkipSpace(std::string_view text, size_t at) {
  return SkipWhile(text, at, IsSpace);
}

// Past the name that begins at `at`, or kNone.
size_t SkipName(std::string_view text, size_t at) {
  for (const char expected : kName) {
    if (at >= text.size()) return kNone;
    size_t size = 0;
    if (LowerCase(CharAt(text, at, &size)) != expected) return kNone;
    at += size;
  }
  return at;
}

// Where a string that opens at `at` ends: past its closing quote, or the end of the text.
size_t SkipString(std::string_view text, size_t at) {
  const char quote = text[at];
  for (++at; at < text.size(); ++at) {
    if (text[at] == quote) return at + 1;
    if (text[at] == '\\') ++at;
  }
  return text.size();
}

// The same for a quote that is itself escaped, by `backslashes` of them (JSON within a string): its
// like has as many before it.
size_t SkipEscapedString(std::string_view text, size_t at, size_t backslashes) {
  const char quote = text[at + backslashes];
  size_t run = 0;
  for (at += backslashes + 1; at < text.size(); ++at) {
    if (text[at] == quote && run == backslashes) return at + 1;
    run = text[at] == '\\' ? run + 1 : 0;
  }
  return text.size();
}

// Past the bracket that closes the one at `at`, or the end of the text.
size_t SkipContainer(std::string_view text, size_t at) {
  size_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = SkipString(text, at);
      continue;
    }
    ++at;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return at;
  }
  return text.size();
}

size_t SkipValue(std::string_view text, size_t at) {
  if (at == text.size()) return at;
  if (text[at] == '{' || text[at] == '[') return SkipContainer(text, at);
  if (IsQuote(text[at])) return SkipString(text, at);
  const size_t quote = text.find_first_not_of('\\', at);
  if (quote != kNone && IsQuote(text[quote])) return SkipEscapedString(text, at, quote - at);
  while (at < text.size() && !IsSpace(text[at]) &&
         std::string_view(",;&}]").find(text[at]) == kNone) {
    ++at;
  }
  return at;
}

// Past a separator at `at` and the white space around it. kNone when there is none.
size_t SkipSeparator(std::string_view text, size_t at) {
  at = SkipSpace(text, at);
  size_t size = 0;
  const char c = at < text.size() ? CharAt(text, at, &size) : '\0';
  return c == ':' || c == '=' ? SkipSpace(text, at + size) : kNone;
}

// Where the value of a name that ended at `at` begins. kNone when no separator follows it.
size_t ValueAfterName(std::string_view text, size_t at) {
  at = SkipWhile(text, at, [](char c) { return c == '\\' || IsQuote(c); });
  return SkipSeparator(text, at);
}

// Bytes without any known structure: wherever the name and a separator stand, what follows goes.
std::string CutAnywhere(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t at = 0;
  while (at < text.size()) {
    const size_t name_end = SkipName(text, at);
    const size_t value = name_end == kNone ? kNone : ValueAfterName(text, name_end);
    if (value == kNone) {
      out.push_back(text[at++]);
      continue;
    }
    out.append(text, at, value - at);
    at = SkipValue(text, value);
    if (at == value) continue;
    out.append(kCutToken);
    // A value that is followed by a separator was a key itself.
    for (size_t next; (next = SkipSeparator(text, at)) != kNone;) at = SkipValue(text, next);
  }
  return out;
}

// A JSON string's characters, as far as the name and what may follow it are concerned.
std::string Unescaped(std::string_view raw) {
  std::string out;
  for (size_t at = 0; at < raw.size();) {
    size_t size = 0;
    char c = CharAt(raw, at, &size);
    if (size == 1 && c == '\\') {
      c = raw[at + 1];
      size = 2;
    }
    out.push_back(c);
    at += size;
  }
  return out;
}

// True when a string's text holds a token of its own, for example another JSON document.
bool HoldsToken(const std::string& text) {
  return CutAnywhere(text) != text;
}

// The parser takes a NUL for the end of the text.
bool IsJson(std::string_view text) {
  return text.find('\0') == kNone && nlohmann::json::accept(text);
}

// Valid JSON: only strings can be names, and it must stay valid, so a string that holds a token
// somewhere inside is cut whole.
std::string CutInJson(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t at = 0;
  while (at < text.size()) {
    if (text[at] != '"') {
      out.push_back(text[at++]);
      continue;
    }
    const size_t end = SkipString(text, at);
    const std::string content = Unescaped(text.substr(at + 1, end - at - 2));
    const size_t colon = SkipSpace(text, end);
    out.append(HoldsToken(content) ? kCutToken : text.substr(at, end - at));
    at = end;
    const bool is_key = colon < text.size() && text[colon] == ':';
    if (is_key && HoldsToken(content + ":0")) {
      const size_t value = SkipSpace(text, colon + 1);
      out.append(text, at, value - at).append(kCutToken);
      at = SkipValue(text, value);
    }
  }
  return out;
}

}  // namespace

bool IsSecretKey(std::string_view key) {
  return EqualsIgnoringCase(key, kName);
}

std::string CutSecrets(std::string_view payload) {
  if (IsJson(payload)) return CutInJson(payload);
  std::string out = CutAnywhere(payload);
  return IsJson(out) ? CutInJson(out) : out;
}

}  // namespace sluice
