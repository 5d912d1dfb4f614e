#include "loadtest/play.h"

#include <optional>
#include <utility>

#include "base/clock.h"
#include "loadtest/judge.h"

namespace sluice::loadtest {
namespace {

Status JudgeRun(const PlayOptions& options, Judge* judge, RunResult* result) {
  Result<Settled> settled = judge->Settle(result->fleet.acknowledged, options.settle);
  if (!settled.ok()) return settled.status();
  result->verdict = settled->verdict;
  result->settle_seconds = settled->seconds;
  Result<std::optional<Histogram>> latency = judge->Latency();
  if (!latency.ok()) return latency.status();
  result->latency = *std::move(latency);
  return Status::Ok();
}

}  // namespace

Result<RunResult> Play(const PlayOptions& options, const volatile std::sig_atomic_t* stop) {
  const UnixMicros now = SystemClock().Now();
  FleetProgress progress;
  FleetOptions fleet = options.fleet;
  fleet.first_seq = static_cast<uint64_t>(now);
  fleet.progress = &progress;
  std::optional<Judge> judge;
  if (!options.database.empty()) {
    Result<Judge> opened = Judge::Open(
        options.database, {fleet.first_seq, static_cast<uint64_t>(fleet.message.readings), now});
    if (!opened.ok()) return opened.status();
    judge.emplace(*std::move(opened));
  }
  SamplerOptions watched = options.sampler;
  watched.progress = &progress;
  Sampler sampler(watched);

  RunResult result;
  result.name = options.name;
  sampler.Start();
  Status status = RunFleet(fleet, stop, &result.fleet);
  if (status.ok() && judge) status = JudgeRun(options, &*judge, &result);
  result.samples = sampler.Stop();
  if (!status.ok()) return status;
  return result;
}

}  // namespace sluice::loadtest
