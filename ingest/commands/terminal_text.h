// Text as commands print it.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// Escaped for a terminal, but for quotes: they do no harm there, and what people read, a server's
// words or JSON, stays readable. Not for within a JSON string or a line of the log.
std::string TerminalText(std::string_view text);

}  // namespace sluice
