#include "quarantine/flood_control.h"

namespace sluice {

bool FloodControl::Admit(DeviceKeyView key, Reason reason, UnixMicros received) {
  constexpr int64_t kMinute = 60'000'000;
  std::lock_guard lock(mutex_);
  // A minute back is disorder between chunks; further back, the clock was set.
  if (const int64_t minute = received / kMinute; minute > minute_ || minute < minute_ - 1) {
    minute_ = minute;
    admitted_ = 0;
    for (auto& devices : by_device_) devices.clear();
  }
  auto& devices = by_device_[static_cast<size_t>(reason)];
  auto found = devices.find(key);
  const int64_t stored = found == devices.end() ? 0 : found->second;
  if (admitted_ >= limits_.total || stored >= limits_.per_device) {
    withheld_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  ++admitted_;
  if (found == devices.end()) {
    devices.emplace(DeviceKey(key), 1);
  } else {
    ++found->second;
  }
  return true;
}

}  // namespace sluice
