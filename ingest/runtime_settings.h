// RuntimeSettings: the few settings that app_settings may change while the daemon runs. Written by
// the housekeeper, read by every worker; each value is atomic on its own.
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice {

struct RuntimeSettings {
  std::atomic<uint64_t> max_payload_bytes{8192};
  std::atomic<double> rate_limit_rps{5};
  std::atomic<double> rate_limit_burst{20};
  std::atomic<bool> store_rejects{true};
};

}  // namespace sluice
