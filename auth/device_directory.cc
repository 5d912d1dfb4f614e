#include "auth/device_directory.h"

#include <unordered_map>

namespace sluice {

DeviceDirectory::DeviceDirectory(const DirectoryOptions& options, const Clock& clock)
    : clock_(clock),
      devices_(options.max_devices, options.ttl_us),
      unknown_(options.max_devices, options.negative_ttl_us) {}

std::optional<DeviceRef> DeviceDirectory::Cached(DeviceKeyView key, int64_t now) {
  if (auto known = devices_.Get(key, now)) return known;
  return unknown_.Get(key, now);
}

PgResult<std::vector<DeviceRef>> DeviceDirectory::Resolve(std::span<const DeviceKeyView> keys,
                                                          CredentialStore& store) {
  const int64_t now = clock_.Monotonic();
  std::vector<DeviceRef> answers(keys.size());
  std::vector<DeviceKeyView> missing;
  std::unordered_map<DeviceKeyView, size_t, DeviceKeyHash, DeviceKeyEqual> place;
  std::vector<std::pair<size_t, size_t>> open;  // index in keys, index in missing

  for (size_t i = 0; i < keys.size(); ++i) {
    if (auto cached = Cached(keys[i], now)) {
      answers[i] = std::move(*cached);
      continue;
    }
    const auto [found, added] = place.emplace(keys[i], missing.size());
    if (added) missing.push_back(keys[i]);
    open.emplace_back(i, found->second);
  }
  hits_.fetch_add(keys.size() - open.size(), std::memory_order_relaxed);
  if (missing.empty()) return answers;

  misses_.fetch_add(missing.size(), std::memory_order_relaxed);
  queries_.fetch_add(1, std::memory_order_relaxed);
  auto looked_up = store.Lookup(missing);
  if (!looked_up.ok()) return looked_up.error();
  for (size_t i = 0; i < missing.size(); ++i) {
    const DeviceRef& record = (*looked_up)[i];
    (record ? devices_ : unknown_).Put(missing[i], record, now);
  }
  for (const auto& [key, answer] : open) answers[key] = (*looked_up)[answer];
  return answers;
}

void DeviceDirectory::Forget(DeviceKeyView key) {
  devices_.Erase(key);
  unknown_.Erase(key);
}

void DeviceDirectory::ForgetAll() {
  devices_.Clear();
  unknown_.Clear();
}

DirectoryStats DeviceDirectory::stats() const {
  return {.hits = hits_.load(std::memory_order_relaxed),
          .misses = misses_.load(std::memory_order_relaxed),
          .queries = queries_.load(std::memory_order_relaxed),
          .evictions = devices_.evictions() + unknown_.evictions(),
          .devices = devices_.size(),
          .unknown = unknown_.size()};
}

}  // namespace sluice
