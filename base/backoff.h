// Backoff: how long to wait before trying again: doubling, capped, jittered.
#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace sluice {

// One thread at a time. Each wait is random between half and the whole of the current step ("equal
// jitter", AWS Architecture Blog, "Exponential Backoff And Jitter"), so that many clients that lost
// the same server do not come back together.
class Backoff {
 public:
  using Milliseconds = std::chrono::milliseconds;

  Backoff(Milliseconds first, Milliseconds cap)
      : first_(first), cap_(cap), step_(first), random_(std::random_device{}()) {}

  Milliseconds Next() {
    std::uniform_int_distribution<int64_t> wait(step_.count() / 2, step_.count());
    const Milliseconds chosen(wait(random_));
    step_ = std::min(cap_, step_ * 2);
    return chosen;
  }
  void Reset() { step_ = first_; }

 private:
  const Milliseconds first_;
  const Milliseconds cap_;
  Milliseconds step_;
  std::minstd_rand random_;
};

}  // namespace sluice
