#include "base/clock.h"

#include <chrono>

namespace sluice {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;

class RealClock final : public Clock {
 public:
  UnixMicros Now() const override {
    return duration_cast<microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  }
  int64_t Monotonic() const override {
    return duration_cast<microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
};

}  // namespace

Clock& SystemClock() {
  static RealClock clock;
  return clock;
}

}  // namespace sluice
