#include "loadtest/pacer.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sluice::loadtest {
namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

}  // namespace

Pacer::Pacer(const Timetable& timetable)
    : timetable_(timetable), limit_(timetable.count > 0 ? timetable.count : kNoLimit) {
  if (timetable_.duration_us > 0) {
    const double steady =
        std::ceil(static_cast<double>(timetable_.duration_us) * timetable_.rate / 1e6);
    const uint64_t bursts = BurstsBy(timetable_.duration_us - 1) * timetable_.burst_size;
    limit_ = std::min(limit_, static_cast<uint64_t>(steady) + bursts);
  }
}

uint64_t Pacer::BurstsBy(int64_t elapsed_us) const {
  if (timetable_.burst_every_us <= 0) return 0;
  return static_cast<uint64_t>(elapsed_us / timetable_.burst_every_us);
}

uint64_t Pacer::DueBy(int64_t elapsed_us) const {
  if (elapsed_us < 0) return 0;
  const double steady = std::floor(static_cast<double>(elapsed_us) * timetable_.rate / 1e6) + 1;
  return std::min(limit_,
                  static_cast<uint64_t>(steady) + BurstsBy(elapsed_us) * timetable_.burst_size);
}

int64_t Pacer::DueAt(uint64_t index) const {
  const auto steady = [&](uint64_t n) {
    return static_cast<int64_t>(std::ceil(static_cast<double>(n) * 1e6 / timetable_.rate));
  };
  const int64_t every = timetable_.burst_every_us;
  const uint64_t size = timetable_.burst_size;
  if (every <= 0 || size == 0) return steady(index);
  // After `bursts` of them, it is due when these are over and the steady ones before it are. The
  // true number of bursts makes that earliest, and it is one of the three around the estimate.
  const double interval = static_cast<double>(every) * timetable_.rate / 1e6;
  const auto estimate =
      static_cast<uint64_t>(static_cast<double>(index) / (interval + static_cast<double>(size)));
  int64_t due = std::numeric_limits<int64_t>::max();
  for (uint64_t bursts = estimate - std::min<uint64_t>(estimate, 1); bursts <= estimate + 1;
       ++bursts) {
    const uint64_t in_bursts = std::min(index, bursts * size);
    due = std::min(due, std::max(static_cast<int64_t>(bursts) * every, steady(index - in_bursts)));
  }
  return due;
}

uint64_t Pacer::StormsBy(int64_t elapsed_us) const {
  if (timetable_.storm_every_us <= 0) return 0;
  return static_cast<uint64_t>(elapsed_us / timetable_.storm_every_us);
}

bool Pacer::Over(int64_t elapsed_us) const {
  return DueBy(elapsed_us) == limit_;
}

double Pacer::Share(uint64_t messages) const {
  if (limit_ == kNoLimit) return -1;
  return static_cast<double>(messages) / static_cast<double>(limit_);
}

}  // namespace sluice::loadtest
