#include "auth/rate_limiter.h"

#include <algorithm>

namespace sluice {

bool RateLimiter::Allow(DeviceKeyView key, UnixMicros received, double rps, double burst) {
  Shard& shard = shards_[(DeviceKeyHash{}(key) >> 48) % kShards];
  std::lock_guard lock(shard.mutex);
  auto found = shard.buckets.find(key);
  if (found == shard.buckets.end()) {
    found = shard.buckets.emplace(DeviceKey(key), Bucket{burst, received}).first;
  }
  Bucket& bucket = found->second;
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
