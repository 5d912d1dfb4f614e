// Escaping of text that somebody else chose, and hexadecimal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice {

// Appends `text` with control characters, '"', '\\', DEL, C1, line separators (U+2028, U+2029),
// bidirectional controls and invalid UTF-8 as JSON escapes (\n, \u001b, \ufffd for a bad byte):
// safe inside a JSON string, a log line and a terminal.
void AppendEscaped(std::string_view text, std::string* out);
std::string Escaped(std::string_view text);

// True when `text` is well-formed UTF-8 (no overlong forms, no surrogates, ≤ U+10FFFF).
bool IsValidUtf8(std::string_view text);

// Lower-case hexadecimal.
std::string ToHex(std::string_view bytes);
// What a hexadecimal digit of either case is worth; -1 for anything else.
int HexValue(char digit);
// Decodes into `bytes`. False, with `bytes` unspecified, unless `hex` is 2 * `size` digits.
bool FromHex(std::string_view hex, unsigned char* bytes, size_t size);

}  // namespace sluice
