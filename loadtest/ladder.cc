#include "loadtest/ladder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

namespace sluice::loadtest {
namespace {

constexpr int64_t kMaxLagMs = 1000;
// A backlog goes up and down by what is on its way at any moment; more than this is growth.
constexpr double kBacklogSeconds = 0.25;

std::string Milliseconds(double value) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%.0f ms", value);
  return text.data();
}

double MeanBacklog(const std::vector<Sample>& samples, size_t begin, size_t end) {
  double sum = 0;
  for (size_t i = begin; i < end; ++i) sum += samples[i].backlog;
  return sum / static_cast<double>(end - begin);
}

// The last third of publishing against the first.
bool BacklogGrew(const std::vector<Sample>& samples, double rate) {
  std::vector<Sample> publishing;
  std::copy_if(samples.begin(), samples.end(), std::back_inserter(publishing),
               [](const Sample& sample) { return sample.published > 0; });
  const size_t n = publishing.size();
  const size_t third = n / 3;
  if (third == 0) return false;
  return MeanBacklog(publishing, n - third, n) >
         MeanBacklog(publishing, 0, third) + rate * kBacklogSeconds;
}

class Climber {
 public:
  Climber(const LadderOptions& options, const std::function<Result<RunResult>(double rate)>& play)
      : options_(options), play_(play) {}

  // Whether it was sustained.
  Result<bool> Try(double rate) {
    Result<RunResult> result = play_(rate);
    if (!result.ok()) return result.status();
    Rung rung{rate, TroubleWith(*result, rate, options_.limit_ms), *std::move(result)};
    const bool sustained = rung.sustained();
    if (sustained) ladder_.best = std::max(ladder_.best, rate);
    ladder_.rungs.push_back(std::move(rung));
    return sustained;
  }

  Status Ascend() {
    int failed = 0;
    for (int i = 0; failed < 2; ++i) {
      const double rate = options_.from + i * options_.step;
      if (rate > options_.to) break;
      const Result<bool> sustained = Try(rate);
      if (!sustained.ok()) return sustained.status();
      failed = *sustained ? 0 : failed + 1;
    }
    return Status::Ok();
  }

  Status Narrow() {
    const double resolution = options_.resolution > 0 ? options_.resolution : options_.step / 4;
    for (;;) {
      const double gap = LowestFailed() - ladder_.best;
      if (ladder_.best == 0 || !std::isfinite(gap) || gap <= resolution) return Status::Ok();
      const Result<bool> sustained = Try(ladder_.best + gap / 2);
      if (!sustained.ok()) return sustained.status();
    }
  }

  LadderResult Take() { return std::move(ladder_); }

 private:
  double LowestFailed() const {
    double lowest = INFINITY;
    for (const Rung& rung : ladder_.rungs) {
      if (rung.rate > ladder_.best) lowest = std::min(lowest, rung.rate);
    }
    return lowest;
  }

  const LadderOptions& options_;
  const std::function<Result<RunResult>(double rate)>& play_;
  LadderResult ladder_;
};

}  // namespace

std::string TroubleWith(const RunResult& result, double rate, int64_t limit_ms) {
  const FleetReport& fleet = result.fleet;
  if (!fleet.complete()) {
    return std::to_string(fleet.published - fleet.acknowledged) + " not acknowledged";
  }
  if (fleet.lag_ms_max > kMaxLagMs) {
    return "the fleet was " + std::to_string(fleet.lag_ms_max) + " ms late";
  }
  if (!result.verdict) return "nobody judged it";
  if (!result.verdict->balanced()) return "the balance is wrong";
  const auto limit = static_cast<double>(limit_ms);
  if (result.latency && result.latency->count() > 0) {
    const double p99 = static_cast<double>(result.latency->Quantile(0.99)) / 1000;
    if (p99 > limit) return "p99 " + Milliseconds(p99);
  } else if (result.settle_seconds < 0 || result.settle_seconds * 1000 > limit) {
    return "the last was committed " + Milliseconds(result.settle_seconds * 1000) + " after";
  }
  return BacklogGrew(result.samples, rate) ? "the backlog grew" : "";
}

Result<LadderResult> Climb(const LadderOptions& options,
                           const std::function<Result<RunResult>(double rate)>& play) {
  Climber climber(options, play);
  Status status = climber.Ascend();
  if (status.ok()) status = climber.Narrow();
  if (!status.ok() && status.code() != ErrorCode::kCancelled) return status;
  return climber.Take();
}

}  // namespace sluice::loadtest
