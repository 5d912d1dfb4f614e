// JSON as commands print it.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// Escaped for a terminal, but for quotes: they do no harm there, and JSON stays readable.
std::string EscapedJson(std::string_view text);

}  // namespace sluice
