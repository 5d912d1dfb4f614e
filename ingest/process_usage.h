// What this process has used.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace sluice {

struct ProcessUsage {
  UnixMicros started = 0;
  double cpu_seconds = 0;  // of user and system
  uint64_t resident_bytes = 0;
};

// Thread-safe.
ProcessUsage UsedByProcess();

}  // namespace sluice
