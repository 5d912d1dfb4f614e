#include "ingest/commands/terminal_text.h"

#include <algorithm>

#include "base/escape.h"

namespace sluice {

std::string TerminalText(std::string_view text) {
  std::string escaped;
  for (;;) {
    const size_t quote = std::min(text.find('"'), text.size());
    AppendEscaped(text.substr(0, quote), &escaped);
    if (quote == text.size()) return escaped;
    escaped += '"';
    text.remove_prefix(quote + 1);
  }
}

}  // namespace sluice
