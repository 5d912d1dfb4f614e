// JSON that is safe wherever it is printed.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace sluice {

// On one line, everything that is not ASCII as \uXXXX: no terminal takes it for a command. What is
// not UTF-8 is replaced, not thrown at us: a value may hold a server's words.
template <typename Json = nlohmann::ordered_json>
std::string DumpAscii(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace sluice
