// The parts of a JSON number's text, so that it can be judged and converted without rounding.
#pragma once

#include <string_view>

namespace sluice {

// The value is ±integer.fraction × 10^exponent. Views into the text that was split.
struct JsonNumber {
  bool negative = false;
  std::string_view integer;   // at least one digit
  std::string_view fraction;  // may be empty
  int exponent = 0;           // held within ±kExponentBound, whatever the text says
};

inline constexpr int kExponentBound = 100'000;

// False when `text` is not exactly one number of RFC 8259.
bool SplitJsonNumber(std::string_view text, JsonNumber* number);

}  // namespace sluice
