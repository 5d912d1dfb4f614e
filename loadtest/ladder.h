// The ladder: higher and higher rates, to find the highest one that can be sustained.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "loadtest/result.h"

namespace sluice::loadtest {

// Messages a second.
struct LadderOptions {
  double from = 10000;
  double to = 100000;
  double step = 5000;
  double resolution = 0;    // how well the highest rate is to be known; 0: a quarter of a step
  int64_t limit_ms = 1000;  // what the 99th percentile of latency may be
};

struct Rung {
  double rate = 0;
  std::string trouble;  // why the rate was not sustained; empty: it was
  RunResult result;

  bool sustained() const { return trouble.empty(); }
};

struct LadderResult {
  std::vector<Rung> rungs;  // in the order in which they were played
  double best = 0;          // the highest rate that was sustained; 0: none
};

// Why this was not sustained at `rate`; empty when it was: the fleet was never more than a second
// late, everything was acknowledged, the balance is right, the latency (without one: the time until
// the last message was committed) is within the limit, and the backlog did not grow.
std::string TroubleWith(const RunResult& result, double rate, int64_t limit_ms);

// Climbs until two rungs in a row fail or the top is reached, then halves the gap between the best
// rate and the lowest that failed above it until it is no larger than the resolution. `play` plays
// one rung; its error ends the ladder, and kCancelled ends it with what there is.
Result<LadderResult> Climb(const LadderOptions& options,
                           const std::function<Result<RunResult>(double rate)>& play);

}  // namespace sluice::loadtest
