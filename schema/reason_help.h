// What an operator is told about a reason: in the CLI, in the console, in the docs.
#pragma once

#include <string_view>

#include "schema/reason.h"

namespace sluice {

// Sentences. They live as long as the program.
struct ReasonHelp {
  std::string_view explanation;  // what was wrong with the message
  std::string_view remedy;       // what to do about it, and whether a replay helps afterwards
};

ReasonHelp HelpFor(Reason reason);

}  // namespace sluice
