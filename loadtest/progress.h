// How far the fleet is, for whoever watches it from another thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice::loadtest {

// Messages since the fleet began. Written by the fleet, at least once a tick; read by anybody.
struct FleetProgress {
  std::atomic<uint64_t> published = 0;
  std::atomic<uint64_t> acknowledged = 0;
};

}  // namespace sluice::loadtest
