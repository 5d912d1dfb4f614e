#include "auth/rate_limiter.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr int64_t kClockWasSetBack = 60'000'000;

}  // namespace

bool RateLimiter::Allow(uint64_t lane, DeviceKeyView key, UnixMicros received, double rps,
                        double burst) {
  Shard& shard = shards_[lane % 2 * kShards + (DeviceKeyHash{}(key) >> 48) % kShards];
  std::lock_guard lock(shard.mutex);
  auto found = shard.buckets.find(key);
  if (found == shard.buckets.end()) {
    found = shard.buckets.emplace(DeviceKey(key), Bucket{burst, received}).first;
  }
  Bucket& bucket = found->second;
  // Chunks worked on side by side are seconds apart. More than that, and the clock was set back.
  if (bucket.updated - received > kClockWasSetBack) bucket.updated = received;
  if (received > bucket.updated) {
    bucket.tokens += rps * static_cast<double>(received - bucket.updated) / 1e6;
    bucket.updated = received;
  }
  bucket.tokens = std::min(bucket.tokens, burst);
  if (bucket.tokens < 1.0) return false;
  bucket.tokens -= 1.0;
  return true;
}

void RateLimiter::ForgetIdle(UnixMicros before) {
  for (Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    std::erase_if(shard.buckets,
                  [before](const auto& entry) { return entry.second.updated < before; });
  }
}

size_t RateLimiter::size() const {
  size_t total = 0;
  for (const Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    total += shard.buckets.size();
  }
  return total;
}

}  // namespace sluice
