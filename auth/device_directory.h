// DeviceDirectory: the registry as the workers see it: a cache in front of a CredentialStore.
// Thread-safe; each worker brings its own store.
#pragma once

#include <array>
#include <atomic>
#include <span>
#include <vector>

#include "auth/credential_store.h"
#include "cache/ttl_cache.h"

namespace sluice {

struct DirectoryOptions {
  size_t max_devices = 100000;  // AUTH_CACHE_MAX_SIZE; unknown ids get as many places again
  int64_t ttl_us = 60'000'000;  // AUTH_CACHE_TTL_SECONDS
  int64_t negative_ttl_us = 10'000'000;  // AUTH_CACHE_NEGATIVE_TTL_SECONDS: "not registered"
};

struct DirectoryStats {
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t queries = 0;
  uint64_t evictions = 0;
  size_t devices = 0;  // cached now
  size_t unknown = 0;  // cached as not registered now
};

class DeviceDirectory {
 public:
  // While changes of the registry are not told (SetHearing), what is looked up is used for no
  // longer than this: a revocation is to be heeded within a second in that case, too.
  static constexpr int64_t kUnheardTtlUs = 500'000;

  DeviceDirectory(const DirectoryOptions& options, const Clock& clock);

  // One entry a key, in order; null where the registry has no such device. At most one query,
  // whatever the number of misses. An error is not cached.
  PgResult<std::vector<DeviceRef>> Resolve(std::span<const DeviceKeyView> keys,
                                           CredentialStore& store);

  // What changed in the registry before the call is seen by every Resolve that begins after it, and
  // a Resolve that runs meanwhile caches nothing.
  void Forget(DeviceKeyView key);
  void ForgetAll();
  // True, the initial state: from now on every change is followed by one of the two above. Forgets
  // all, either way.
  void SetHearing(bool hearing);
  DirectoryStats stats() const;

 private:
  // The cached answer: outer nothing = not cached, inner null = not registered.
  std::optional<DeviceRef> Cached(DeviceKeyView key, int64_t now);
  void Erase(DeviceKeyView key);
  std::atomic<uint64_t>& EpochOf(DeviceKeyView key);

  const Clock& clock_;
  TtlCache<DeviceRef> devices_;
  TtlCache<DeviceRef> unknown_;
  // Moves before a device is forgotten; devices share them by hash.
  std::array<std::atomic<uint64_t>, 1024> epochs_{};
  std::atomic<bool> hearing_{true};
  std::atomic<uint64_t> hits_{0};
  std::atomic<uint64_t> misses_{0};
  std::atomic<uint64_t> queries_{0};
};

}  // namespace sluice
