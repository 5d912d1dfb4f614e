#include "base/roff.h"

namespace sluice {

std::string Roff(std::string_view text) {
  std::string roff;
  // A full stop or quote that begins a line would make it a request.
  if (text.starts_with('.') || text.starts_with('\'')) roff = "\\&";
  for (const char c : text) {
    if (c == '\\') {
      roff += "\\e";
    } else if (c == '-') {
      roff += "\\-";
    } else {
      roff += c == '\n' ? ' ' : c;
    }
  }
  return roff;
}

std::string RoffTitle(std::string_view name, int section, std::string_view source) {
  std::string title = ".TH \"" + Roff(name) + "\" " + std::to_string(section);
  return title + " \"\" \"" + Roff(source) + "\" Sluice\n";
}

}  // namespace sluice
