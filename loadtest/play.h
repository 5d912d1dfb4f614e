// One run from start to end: the fleet plays, the sampler watches, the judge counts.
#pragma once

#include <chrono>
#include <csignal>
#include <string>

#include "base/status.h"
#include "loadtest/fleet.h"
#include "loadtest/result.h"
#include "loadtest/sampler.h"

namespace sluice::loadtest {

struct PlayOptions {
  std::string name;
  FleetOptions fleet;               // its first_seq and progress are set by Play
  std::string database;             // where the judge looks; empty: no verdict and no latency
  SamplerOptions sampler;           // its progress is set by Play
  std::chrono::seconds settle{10};  // nothing has come for so long: no more will come
};

// Ends when all that was acknowledged has arrived, or no more does. Each run's messages carry a seq
// that no earlier run's do: it begins with the microseconds since 1970. An error: the fleet could
// not go on, or the database could not be asked; a bad verdict is none.
Result<RunResult> Play(const PlayOptions& options, const volatile std::sig_atomic_t* stop);

}  // namespace sluice::loadtest
