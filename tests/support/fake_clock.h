// FakeClock: time that stands still until a test moves it. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "base/clock.h"

namespace sluice {

class FakeClock final : public Clock {
 public:
  UnixMicros Now() const override { return now_; }
  int64_t Monotonic() const override { return monotonic_; }

  void Set(UnixMicros now) { now_ = now; }  // the wall clock alone, as when it is set
  void Advance(std::chrono::microseconds by) {
    now_ += by.count();
    monotonic_ += by.count();
  }

 private:
  std::atomic<UnixMicros> now_{1'700'000'000'000'000};
  std::atomic<int64_t> monotonic_{0};
};

}  // namespace sluice
