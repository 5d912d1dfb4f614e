// Histogram: counts of values, exact to three digits, whatever their size.
#pragma once

#include <array>
#include <cstdint>

namespace sluice::loadtest {

// Buckets as HdrHistogram has them: each power of two is cut into 1024 equal parts, so a value is
// known within a thousandth. Values up to 2^40. One thread.
class Histogram {
 public:
  void Add(uint64_t value, uint64_t times = 1);
  uint64_t count() const { return count_; }
  // The smallest value that at least the fraction `q` of all is not above; 0 when there are none.
  uint64_t Quantile(double q) const;
  uint64_t max() const { return max_; }

 private:
  static constexpr int kSubBits = 10;
  static constexpr int kPowers = 31;

  static size_t BucketOf(uint64_t value);
  static uint64_t UpperEnd(size_t bucket);

  std::array<uint64_t, static_cast<size_t>(kPowers + 1) << kSubBits> counts_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace sluice::loadtest
