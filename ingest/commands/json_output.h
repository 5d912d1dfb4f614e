// JSON as commands print it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace sluice {

// On one line, everything that is not ASCII as \uXXXX: no terminal takes it for a command.
inline std::string DumpAscii(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

// Escaped for a terminal, but for quotes: they do no harm there, and JSON stays readable.
std::string EscapedJson(std::string_view text);

}  // namespace sluice
