#include "ingest/stage_metrics.h"

#include <algorithm>
#include <string>
#include <vector>

namespace sluice {
namespace {

using prometheus::BuildHistogram;
using prometheus::Histogram;
using prometheus::Registry;

const std::vector<double> kStageBounds = {0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02,
                                          0.05,   0.1,    0.2,   0.5,   1,     5,    30};
const std::vector<double> kLatencyBounds = {0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06,
                                            0.08,  0.1,   0.15,  0.2,  0.3,  0.5,  1,    2,
                                            5,     10,    30,    60,   300,  3600};

Histogram& Stage(prometheus::Family<Histogram>& family, const char* stage) {
  return family.Add({{"stage", stage}}, kStageBounds);
}

Histogram& Latency(Registry& registry, const char* name, const char* help) {
  return BuildHistogram().Name(name).Help(help).Register(registry).Add({}, kLatencyBounds);
}

// Collects a chunk's observations and hands them over in one call.
class LatencySum {
 public:
  void Add(UnixMicros from, UnixMicros to) {
    const double seconds = static_cast<double>(std::max<int64_t>(0, to - from)) / 1e6;
    const auto bucket = std::lower_bound(kLatencyBounds.begin(), kLatencyBounds.end(), seconds);
    ++counts_[static_cast<size_t>(bucket - kLatencyBounds.begin())];
    sum_ += seconds;
  }
  void GiveTo(Histogram& histogram) { histogram.ObserveMultiple(counts_, sum_); }

 private:
  std::vector<double> counts_ = std::vector<double>(kLatencyBounds.size() + 1);
  double sum_ = 0;
};

}  // namespace

StageMetrics::StageMetrics(Registry& registry)
    : StageMetrics(registry, BuildHistogram()
                                 .Name("sluice_stage_seconds")
                                 .Help("Time a chunk spends in a stage.")
                                 .Register(registry)) {}

StageMetrics::StageMetrics(Registry& registry, prometheus::Family<Histogram>& stages)
    : decode_(Stage(stages, "decode")),
      resolve_(Stage(stages, "resolve")),
      decide_(Stage(stages, "decide")),
      commit_(Stage(stages, "commit")),
      chunk_messages_(
          BuildHistogram()
              .Name("sluice_chunk_messages")
              .Help("Messages in a chunk.")
              .Register(registry)
              .Add({}, std::vector<double>{1, 5, 10, 50, 100, 500, 1000, 2000, 5000, 10000})),
      receive_to_commit_(Latency(registry, "sluice_receive_to_commit_seconds",
                                 "From the message's arrival to the end of its transaction.")),
      publish_to_commit_(Latency(registry, "sluice_publish_to_commit_seconds",
                                 "From the time the device wrote into ts to the end of the "
                                 "transaction; as right as the devices' clocks.")),
      retries_(prometheus::BuildCounter()
                   .Name("sluice_database_retries_total")
                   .Help("Attempts at the database that failed and were made again.")
                   .Register(registry)
                   .Add({})),
      places_refused_(prometheus::BuildCounter()
                          .Name("sluice_places_refused_total")
                          .Help("Devices not moved because device_registry refused the place; "
                                "their messages are stored.")
                          .Register(registry)
                          .Add({})) {}

void StageMetrics::Committed(const Batch& batch, UnixMicros now, double seconds) {
  LatencySum received;
  LatencySum published;
  for (const Message& message : batch.messages) {
    received.Add(message.record->received, now);
    if (message.accepted() && message.event_time) published.Add(*message.event_time, now);
  }
  commit_.Observe(seconds);
  chunk_messages_.Observe(static_cast<double>(batch.messages.size()));
  received.GiveTo(receive_to_commit_);
  published.GiveTo(publish_to_commit_);
}

}  // namespace sluice
