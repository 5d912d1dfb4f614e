// Clock: the seam through which everything reads the time, so that tests can set it.
#pragma once

#include <cstdint>

namespace sluice {

// Microseconds since 1970-01-01 00:00 UTC.
using UnixMicros = int64_t;

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall clock; may jump.
  virtual UnixMicros Now() const = 0;
  // Microseconds of a clock that never goes back; only differences mean something.
  virtual int64_t Monotonic() const = 0;
};

// The machine's own clocks. Lives as long as the process.
Clock& SystemClock();

}  // namespace sluice
