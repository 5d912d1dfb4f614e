// `sluice doctor`: everything that a daemon needs, looked at one by one.
#pragma once

#include <vector>

#include "base/setting_table.h"
#include "ingest/doctor/finding.h"

namespace sluice {

struct DoctorOptions {
  bool log_in = true;  // at the broker
};

struct Examination {
  std::vector<Finding> findings;
  // An area did not end in time and its thread goes on: end the process without waiting for it.
  bool unfinished = false;
};

// All areas at once, each within a deadline. Ignores SIGPIPE from now on, and bounds how long this
// process waits for name servers.
Examination Examine(const Environment& environment, const DoctorOptions& options);

}  // namespace sluice
