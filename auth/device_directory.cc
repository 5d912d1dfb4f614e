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
  std::vector<uint64_t> epochs;
  epochs.reserve(missing.size());
  for (const DeviceKeyView& key : missing) epochs.push_back(EpochOf(key));
  auto looked_up = store.Lookup(missing);
  if (!looked_up.ok()) return looked_up.error();
  const int64_t at_most = hearing_ ? TtlCache<DeviceRef>::kNoLimit : kUnheardTtlUs;
  for (size_t i = 0; i < missing.size(); ++i) {
    const DeviceRef& record = (*looked_up)[i];
    (record ? devices_ : unknown_).Put(missing[i], record, now, at_most);
    // Forgotten since the query began: what it read may be older. Who moves the epoch from here on
    // erases what was put.
    if (EpochOf(missing[i]) != epochs[i]) Erase(missing[i]);
  }
  for (const auto& [key, answer] : open) answers[key] = (*looked_up)[answer];
  return answers;
}

void DeviceDirectory::Erase(DeviceKeyView key) {
  devices_.Erase(key);
  unknown_.Erase(key);
}

std::atomic<uint64_t>& DeviceDirectory::EpochOf(DeviceKeyView key) {
  return epochs_[DeviceKeyHash{}(key) % epochs_.size()];
}

void DeviceDirectory::Forget(DeviceKeyView key) {
  ++EpochOf(key);
  Erase(key);
}

void DeviceDirectory::SetHearing(bool hearing) {
  hearing_ = hearing;
  ForgetAll();
}

void DeviceDirectory::ForgetAll() {
  for (auto& epoch : epochs_) ++epoch;
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
