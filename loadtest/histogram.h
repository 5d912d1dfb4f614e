// Histogram: counts of values, exact to three digits, whatever their size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::loadtest {

// Buckets as HdrHistogram has them: each power of two is cut into 1024 equal parts, so a value is
// known within a thousandth. Values from 2^40 on (twelve days of microseconds) share the last
// bucket. A quarter of a megabyte. One thread.
class Histogram {
 public:
  void Add(uint64_t value, uint64_t times = 1);
  uint64_t count() const { return count_; }
  // The smallest value that at least the fraction `q` of all is not above; 0 when there are none.
  uint64_t Quantile(double q) const;
  uint64_t max() const { return max_; }

 private:
  static constexpr int kSubBits = 10;
  static constexpr int kValueBits = 40;
  // Values below 2^(kSubBits + 1) have a bucket each.
  static constexpr size_t kBuckets = static_cast<size_t>(kValueBits - kSubBits + 1) << kSubBits;

  static size_t BucketOf(uint64_t value);
  static uint64_t UpperEnd(size_t bucket);

  std::vector<uint64_t> counts_ = std::vector<uint64_t>(kBuckets);
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace sluice::loadtest
