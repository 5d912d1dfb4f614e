// Upper and lower case of ASCII's letters, whatever the locale is. Other bytes are left alone.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace sluice {

constexpr char LowerCase(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

inline std::string LowerCase(std::string text) {
  for (char& c : text) c = LowerCase(c);
  return text;
}

constexpr bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return LowerCase(x) == LowerCase(y); });
}

}  // namespace sluice
