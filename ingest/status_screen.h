// What `sluice status` shows: the answer of /api/v1/status, for people.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace sluice {

// One answer, as far as it is shown. Text in it is the daemon's, and not escaped.
struct StatusSample {
  std::string version = {};
  std::string now = {};
  double uptime_seconds = 0;
  bool ready = false;
  std::string reason = {};
  std::string stage = {};
  bool broker_connected = false;
  bool database_healthy = false;
  std::string database_reason = {};

  uint64_t received = 0;
  uint64_t stored = 0;
  uint64_t quarantined = 0;
  uint64_t duplicates = 0;
  uint64_t damaged = 0;
  int64_t gap = 0;
  uint64_t backlog_messages = 0;
  uint64_t backlog_bytes = 0;
  double backlog_seconds = 0;  // age of the oldest
  // (seconds, how many took that long or less), in rising order; of `latency_count` in all.
  std::vector<std::pair<double, uint64_t>> latency = {};
  uint64_t latency_count = 0;
  std::map<std::string, uint64_t> reasons = {};
  double cpu_seconds = 0;
  uint64_t rss_bytes = 0;
};

// kRejected when that is no status.
Result<StatusSample> ParseStatusSample(const std::string& json);

// The value that the fraction `q` of what `now` counts and `before` did not is not above, with the
// bucket that holds it taken for evenly filled; -1 when there is none.
double LatencyQuantile(const StatusSample& now, const StatusSample& before, double q);

// Lines, safe on a terminal. Rates and latencies are of the time since `before`; without one, the
// latencies are of all the time and there are no rates.
std::string StatusScreen(const StatusSample& now, const StatusSample* before);

}  // namespace sluice
