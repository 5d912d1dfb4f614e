#include "schema/json_number.h"

#include <algorithm>
#include <cstddef>

namespace sluice {
namespace {

std::string_view TakeDigits(std::string_view* rest) {
  size_t count = 0;
  while (count < rest->size() && (*rest)[count] >= '0' && (*rest)[count] <= '9') ++count;
  const std::string_view digits = rest->substr(0, count);
  rest->remove_prefix(count);
  return digits;
}

bool Take(std::string_view* rest, char c) {
  if (rest->empty() || rest->front() != c) return false;
  rest->remove_prefix(1);
  return true;
}

bool TakeExponent(std::string_view* rest, int* exponent) {
  const bool negative = Take(rest, '-');
  if (!negative) Take(rest, '+');
  const std::string_view digits = TakeDigits(rest);
  if (digits.empty()) return false;
  int value = 0;
  for (const char c : digits) value = std::min(value * 10 + (c - '0'), kExponentBound);
  *exponent = negative ? -value : value;
  return true;
}

}  // namespace

bool SplitJsonNumber(std::string_view text, JsonNumber* number) {
  *number = {};
  number->negative = Take(&text, '-');
  number->integer = TakeDigits(&text);
  if (number->integer.empty()) return false;
  if (number->integer.size() > 1 && number->integer.front() == '0') return false;
  if (Take(&text, '.')) {
    number->fraction = TakeDigits(&text);
    if (number->fraction.empty()) return false;
  }
  if ((Take(&text, 'e') || Take(&text, 'E')) && !TakeExponent(&text, &number->exponent)) {
    return false;
  }
  return text.empty();
}

}  // namespace sluice
