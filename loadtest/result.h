// What one run came to: filled while it is played and judged, shown by the report.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loadtest/fleet.h"
#include "loadtest/histogram.h"

namespace sluice::loadtest {

// One a second.
struct Sample {
  double at = 0;         // seconds since publishing began
  double published = 0;  // messages a second since the sample before
  double finished = 0;   // stored and quarantined a second, as the daemon's /metrics has it
  double backlog = 0;    // messages the daemon has taken and not finished
  double p50 = -1;       // publish to commit in this second, seconds; -1: none
  double p99 = -1;
  std::map<std::string, double> cores;  // CPU by process: 1 is one core
};

// Taken from the database when everything has arrived.
struct Verdict {
  uint64_t sent = 0;  // acknowledged to the fleet
  uint64_t stored = 0;
  uint64_t quarantined = 0;
  uint64_t duplicates = 0;  // rows and quarantine entries beyond one for each message
  uint64_t torn_rows = 0;   // of messages of which not all rows are there

  bool balanced() const { return sent + duplicates == stored + quarantined && torn_rows == 0; }
};

struct RunResult {
  std::string name;
  FleetReport fleet;
  std::vector<Sample> samples;
  std::optional<Verdict> verdict;
  // From the last acknowledgement to the last commit, some tenths of a second exact; -1: the
  // balance is wrong, or nobody looked.
  double settle_seconds = -1;
  // From the moment a message was due on the timetable to its transaction's commit, microseconds.
  std::optional<Histogram> latency;
};

}  // namespace sluice::loadtest
