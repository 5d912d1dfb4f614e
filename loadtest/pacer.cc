#include "loadtest/pacer.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sluice::loadtest {

Pacer::Pacer(double rate, uint64_t count, int64_t duration_us)
    : rate_(rate), limit_(count > 0 ? count : std::numeric_limits<uint64_t>::max()) {
  if (duration_us > 0) {
    const double messages = std::ceil(static_cast<double>(duration_us) * rate / 1e6);
    limit_ = std::min(limit_, static_cast<uint64_t>(messages));
  }
}

uint64_t Pacer::DueBy(int64_t elapsed_us) const {
  if (elapsed_us < 0) return 0;
  const double due = std::floor(static_cast<double>(elapsed_us) * rate_ / 1e6) + 1;
  return std::min(limit_, static_cast<uint64_t>(due));
}

int64_t Pacer::DueAt(uint64_t index) const {
  return static_cast<int64_t>(std::ceil(static_cast<double>(index) * 1e6 / rate_));
}

bool Pacer::Over(int64_t elapsed_us) const {
  return DueBy(elapsed_us) == limit_;
}

}  // namespace sluice::loadtest
