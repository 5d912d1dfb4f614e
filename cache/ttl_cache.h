// TtlCache: what is known about devices, for a while. Sharded, bounded, least recently used out
// first. Thread-safe; a shard's mutex is held only for a map operation.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "schema/device_key.h"

namespace sluice {

// `Value` should be cheap to copy (a shared_ptr to const). Negative answers live in a cache of
// their own, so that a flood of invented ids cannot push out real devices.
template <typename Value>
class TtlCache {
 public:
  static constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

  // At most max_entries (at least one a shard); an entry lives for `ttl` less up to a tenth, spread
  // so that entries cached together do not expire together. Times are Clock::Monotonic
  // microseconds.
  TtlCache(size_t max_entries, int64_t ttl_us)
      : max_per_shard_(std::max<size_t>(1, max_entries / kShards)), ttl_us_(ttl_us) {}

  // The live value, or nothing.
  std::optional<Value> Get(DeviceKeyView key, int64_t now) {
    const size_t hash = DeviceKeyHash{}(key);
    Shard& shard = ShardOf(hash);
    std::lock_guard lock(shard.mutex);
    const auto found = shard.index.find(key);
    if (found == shard.index.end()) return std::nullopt;
    if (found->second->expires <= now) {
      Remove(shard, found);
      return std::nullopt;
    }
    shard.recent.splice(shard.recent.begin(), shard.recent, found->second);
    return found->second->value;
  }

  // The entry lives no longer than `at_most`, in microseconds.
  void Put(DeviceKeyView key, Value value, int64_t now, int64_t at_most = kNoLimit) {
    const size_t hash = DeviceKeyHash{}(key);
    const int64_t spread = static_cast<int64_t>(hash % 1024) * ttl_us_ / 10240;
    const int64_t expires = now + std::min(ttl_us_ - spread, at_most);
    Shard& shard = ShardOf(hash);
    std::lock_guard lock(shard.mutex);
    if (const auto found = shard.index.find(key); found != shard.index.end()) {
      Remove(shard, found);
    } else if (shard.index.size() >= max_per_shard_) {
      if (shard.recent.back().expires > now) evictions_.fetch_add(1, std::memory_order_relaxed);
      Remove(shard, shard.index.find(shard.recent.back().key));
    }
    shard.recent.push_front(Entry{DeviceKey(key), std::move(value), expires});
    shard.index.emplace(shard.recent.front().key, shard.recent.begin());
  }

  void Erase(DeviceKeyView key) {
    Shard& shard = ShardOf(DeviceKeyHash{}(key));
    std::lock_guard lock(shard.mutex);
    if (const auto found = shard.index.find(key); found != shard.index.end()) Remove(shard, found);
  }

  void Clear() {
    for (Shard& shard : shards_) {
      std::lock_guard lock(shard.mutex);
      shard.index.clear();
      shard.recent.clear();
    }
  }

  size_t size() const {
    size_t total = 0;
    for (const Shard& shard : shards_) {
      std::lock_guard lock(shard.mutex);
      total += shard.index.size();
    }
    return total;
  }

  // Entries pushed out by newer ones while still live, since the start.
  uint64_t evictions() const { return evictions_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kShards = 16;

  struct Entry {
    DeviceKey key;
    Value value;
    int64_t expires;
  };
  using Recent = std::list<Entry>;
  // Keys are views into the list's entries.
  using Index =
      std::unordered_map<DeviceKeyView, typename Recent::iterator, DeviceKeyHash, DeviceKeyEqual>;
  struct Shard {
    mutable std::mutex mutex;
    Recent recent;  // most recently used first
    Index index;
  };

  Shard& ShardOf(size_t hash) { return shards_[(hash >> 48) % kShards]; }

  static void Remove(Shard& shard, typename Index::iterator found) {
    const auto entry = found->second;
    shard.index.erase(found);
    shard.recent.erase(entry);
  }

  const size_t max_per_shard_;
  const int64_t ttl_us_;
  std::array<Shard, kShards> shards_;
  std::atomic<uint64_t> evictions_{0};
};

}  // namespace sluice
