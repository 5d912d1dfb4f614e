// The checks that a message goes through, in their order: those of docs/architecture.md. Who makes
// them is elsewhere (schema/envelope.h, ingest/pipeline.h); a test holds the three together.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "schema/reason.h"

namespace sluice {

// Its reasons are those from `first` to `last`.
struct Check {
  int number;             // from 1
  std::string_view what;  // that passes it, e.g. "device is registered"
  Reason first;
  Reason last;
};
inline constexpr size_t kCheckCount = 16;

// They live as long as the program.
std::span<const Check, kCheckCount> AllChecks();
const Check& CheckOf(Reason reason);

}  // namespace sluice
