// RateLimiter: a token bucket per device (check 15). Only proven messages come here, so the number
// of buckets is bounded by the registry and nobody can drain another's bucket. Thread-safe.
#pragma once

#include <array>
#include <mutex>
#include <unordered_map>

#include "base/clock.h"
#include "schema/device_key.h"

namespace sluice {

class RateLimiter {
 public:
  // Takes one token of the device's bucket, or returns false. `received` is the message's own time
  // of arrival, so that a backlog is judged by when it came, not by how fast it drains; times that
  // go back (chunks are worked on side by side) refill nothing. Each of two lanes (`lane` modulo 2,
  // see ingest/spool/lanes.h) has its own bucket: their times lie apart. A new bucket is full.
  // `rps` tokens a second, at most `burst`; both may change from call to call.
  bool Allow(uint64_t lane, DeviceKeyView key, UnixMicros received, double rps, double burst);

  // Forgets buckets not used since `before`. Whatever was forgotten starts full again, so `before`
  // should lie further back than a bucket takes to fill.
  void ForgetIdle(UnixMicros before);

  size_t size() const;

 private:
  static constexpr size_t kShards = 16;
  struct Bucket {
    double tokens;
    UnixMicros updated;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<DeviceKey, Bucket, DeviceKeyHash, DeviceKeyEqual> buckets;
  };
  std::array<Shard, 2 * kShards> shards_;  // half of them for each lane
};

}  // namespace sluice
