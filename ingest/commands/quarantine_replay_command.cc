#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "ingest/commands/progress.h"
#include "ingest/commands/quarantine_options.h"
#include "ingest/replayer.h"

namespace sluice {
namespace {

constexpr const char* kCommand = "quarantine replay";

// Set by a signal in whichever thread takes it, read by those that replay.
std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);

// The first one ends the replay after the step that it is in; the second one, everything.
void EndSoon(int signal) {
  interrupted = true;
  std::signal(signal, SIG_DFL);
}

void PrintTotals(const ReplayTotals& totals, std::optional<int64_t> withheld) {
  std::printf("replayed %llu messages, %llu rows\n",
              static_cast<unsigned long long>(totals.replayed),
              static_cast<unsigned long long>(totals.rows));
  if (totals.refused > 0) {
    std::printf("refused again %llu, which stay:\n",
                static_cast<unsigned long long>(totals.refused));
  }
  for (const auto& [reason, messages] : totals.reasons) {
    std::printf("%10llu %s\n", static_cast<unsigned long long>(messages),
                std::string(ReasonName(reason)).c_str());
  }
  if (totals.not_kept > 0) {
    std::printf("%llu cannot be replayed: their payload was not kept whole\n",
                static_cast<unsigned long long>(totals.not_kept));
  }
  if (withheld.value_or(0) > 0) {
    std::printf("%lld more were only counted, not kept (flood control, or STORE_REJECTS=0)\n",
                static_cast<long long>(*withheld));
  }
}

void PrintTotalsAsJson(const ReplayTotals& totals, std::optional<int64_t> withheld) {
  nlohmann::ordered_json json = {{"replayed", totals.replayed},
                                 {"rows", totals.rows},
                                 {"refused", totals.refused},
                                 {"not_kept", totals.not_kept},
                                 {"reasons", nlohmann::ordered_json::object()}};
  for (const auto& [reason, messages] : totals.reasons) {
    json["reasons"][std::string(ReasonName(reason))] = messages;
  }
  if (withheld) json["withheld"] = *withheld;
  std::printf("%s\n", json.dump().c_str());
}

// Several replays side by side: most of the time each waits for PostgreSQL.
class Crew {
 public:
  Crew(const Settings& settings, const QuarantineFilter& filter, const std::string& by, int jobs)
      : queue_(filter) {
    for (int i = 0; i < jobs; ++i) {
      replayers_.push_back(std::make_unique<Replayer>(settings, queue_, by));
    }
  }

  Status Prepare() {
    for (auto& replayer : replayers_) {
      if (Status ready = replayer->Prepare(); !ready.ok()) return ready;
    }
    return Status::Ok();
  }

  // Until none is left, a signal, or one of them has failed; the first failure.
  std::optional<PgError> Run(uint64_t expected) {
    ProgressBar progress(expected);
    std::vector<std::jthread> threads;
    for (auto& replayer : replayers_) {
      threads.emplace_back([this, &replayer, &progress] { RunSteps(*replayer, progress); });
    }
    threads.clear();
    return failure_;
  }

  ReplayTotals totals() const {
    ReplayTotals totals;
    for (const auto& replayer : replayers_) totals.Add(replayer->totals());
    return totals;
  }

 private:
  void RunSteps(Replayer& replayer, ProgressBar& progress) {
    uint64_t before = 0;
    for (bool more = true; more && !interrupted;) {
      auto stepped = replayer.Step();
      const std::lock_guard lock(mutex_);
      if (!stepped.ok() && !failure_) failure_ = stepped.error();
      more = !failure_ && *stepped;
      done_ += replayer.totals().messages - std::exchange(before, replayer.totals().messages);
      if (more) progress.Show(done_);
    }
  }

  ReplayQueue queue_;
  std::vector<std::unique_ptr<Replayer>> replayers_;
  std::mutex mutex_;
  std::optional<PgError> failure_;
  uint64_t done_ = 0;
};

int Replay(const QuarantineOptions& options) {
  const Result<QuarantineFilter> filter = ChangeFilterOf(options);
  if (!filter.ok()) return Complain(kCommand, filter.message());
  return WithQuarantine(kCommand, [&](const Settings& settings, PgConnection& db) {
    Crew crew(settings, *filter, options.by.empty() ? Me() : options.by, options.jobs);
    if (const Status ready = crew.Prepare(); !ready.ok())
      return Complain(kCommand, ready.message());
    const auto expected = CountQuarantined(db, *filter);
    if (!expected.ok()) return ComplainOf(kCommand, expected.error());
    const int64_t wanted = filter->limit == 0 ? *expected : std::min(*expected, filter->limit);
    std::signal(SIGINT, EndSoon);
    std::signal(SIGTERM, EndSoon);
    const std::optional<PgError> failure = crew.Run(static_cast<uint64_t>(wanted));
    auto withheld = CountWithheld(db, *filter);
    std::optional<int64_t> known;
    if (withheld.ok()) known = *withheld;
    options.json ? PrintTotalsAsJson(crew.totals(), known) : PrintTotals(crew.totals(), known);
    if (failure) return ComplainOf(kCommand, *failure);
    if (interrupted) return Complain(kCommand, "interrupted; run it again to go on");
    if (!withheld.ok()) return ComplainOf(kCommand, withheld.error());
    return ComplainOfMissing(kCommand, db, *filter);
  });
}

}  // namespace

void AddQuarantineReplayCommand(CLI::App& quarantine, int* status) {
  auto options = std::make_shared<QuarantineOptions>();
  CLI::App* replay = quarantine.add_subcommand(
      "replay", "Puts messages through today's checks again and stores what passes them");
  AddFilterOptions(replay, options.get(), 0);
  AddChangeOptions(replay, options.get());
  replay->add_option("--jobs", options->jobs, "So many steps at a time")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  replay->callback([options, status] { *status = Replay(*options); });
}

}  // namespace sluice
