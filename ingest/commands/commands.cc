#include "ingest/commands/commands.h"

#include <cstdio>

#include "ingest/commands/terminal_text.h"

namespace sluice {

int Complain(const char* command, const std::string& message) {
  std::fprintf(stderr, "sluice %s: %s\n", command, TerminalText(message).c_str());
  return kExitFailed;
}

int RefuseSettings(const char* command, const std::string& message) {
  std::fprintf(stderr, "sluice %s: %s\n", command, message.c_str());
  return kExitConfig;
}

}  // namespace sluice
