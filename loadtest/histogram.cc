#include "loadtest/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace sluice::loadtest {

void Histogram::Add(uint64_t value, uint64_t times) {
  if (times == 0) return;
  counts_[BucketOf(value)] += times;
  count_ += times;
  max_ = std::max(max_, value);
}

uint64_t Histogram::Quantile(double q) const {
  if (count_ == 0) return 0;
  const auto wanted = static_cast<uint64_t>(std::ceil(q * static_cast<double>(count_)));
  const uint64_t rank = std::clamp<uint64_t>(wanted, 1, count_);
  size_t bucket = 0;
  for (uint64_t seen = counts_[0]; seen < rank; seen += counts_[bucket]) ++bucket;
  return bucket + 1 == kBuckets ? max_ : std::min(UpperEnd(bucket), max_);
}

size_t Histogram::BucketOf(uint64_t value) {
  const int bits = std::bit_width(value);
  if (bits > kValueBits) return kBuckets - 1;
  const int shift = std::max(0, bits - (kSubBits + 1));
  return (static_cast<size_t>(shift) << kSubBits) + (value >> shift);
}

uint64_t Histogram::UpperEnd(size_t bucket) {
  const size_t shift = std::max<size_t>(bucket >> kSubBits, 1) - 1;
  return ((bucket - (shift << kSubBits) + 1) << shift) - 1;
}

}  // namespace sluice::loadtest
