// Sampler: what the fleet, the daemon and the servers do, a sample a second.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "loadtest/progress.h"
#include "loadtest/result.h"
#include "loadtest/scrape.h"

namespace sluice::loadtest {

struct SamplerOptions {
  std::string metrics_url;                  // of the daemon; "": it is not asked
  std::map<std::string, int> pids;          // whose CPU is shown, by name; see ProcessTree
  const FleetProgress* progress = nullptr;  // outlives the sampler; null: nobody publishes
};

// All that was known at one moment.
struct Observation {
  int64_t at = 0;  // monotonic, microseconds
  uint64_t published = 0;
  Scrape scrape = {};  // the daemon's last answer
  std::map<std::string, uint64_t> cpu_micros = {};
};

// The sample of the time between two of them; its `at` is left 0. A daemon that did not answer has
// finished nothing, and its backlog is what it last was.
Sample SampleBetween(const Observation& before, const Observation& now);

// Samples on a thread of its own. Start and Stop once each, from one thread.
class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options);
  ~Sampler();  // stops
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

  // The seconds begin with the first message published, or at once without a fleet.
  void Start();
  // All samples; a second that is not over has none.
  std::vector<Sample> Stop();

 private:
  using Time = std::chrono::steady_clock::time_point;

  void Run();
  Observation Observe(const Observation& before) const;
  // Sleeps until then; true when it is time to stop.
  bool StoppedBy(Time time);

  const SamplerOptions options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::vector<Sample> samples_;  // the thread's until it is joined
  std::thread thread_;
};

}  // namespace sluice::loadtest
