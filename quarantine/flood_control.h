// FloodControl: how many rejected messages are kept whole. All are counted; a device that shouts
// fills a few rows a minute, not the disk. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "base/clock.h"
#include "schema/device_key.h"
#include "schema/reason.h"

namespace sluice {

struct FloodLimits {
  int64_t per_device = 60;  // QUARANTINE_PER_DEVICE_PER_MINUTE, per (tenant, device, reason)
  int64_t total = 60000;    // QUARANTINE_PER_MINUTE, all together: invented ids get no more
};

class FloodControl {
 public:
  explicit FloodControl(const FloodLimits& limits) : limits_(limits) {}

  // Whether this message is to be stored. Minutes are those of the time of arrival; when one
  // begins, everything before it is forgotten, so memory is bounded by `total` entries.
  bool Admit(DeviceKeyView key, Reason reason, UnixMicros received);

  // Rejected messages that were counted but not stored, since the start.
  uint64_t withheld() const { return withheld_.load(std::memory_order_relaxed); }

 private:
  const FloodLimits limits_;
  std::mutex mutex_;
  int64_t minute_ = 0;
  int64_t admitted_ = 0;
  std::unordered_map<DeviceKey, int64_t, DeviceKeyHash, DeviceKeyEqual> by_device_[kReasonCount];
  std::atomic<uint64_t> withheld_{0};
};

}  // namespace sluice
