#include "loadtest/commands.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/http_get.h"
#include "loadtest/fleet.h"
#include "loadtest/ladder.h"
#include "loadtest/options.h"
#include "loadtest/play.h"
#include "loadtest/report.h"
#include "loadtest/targets.h"
#include "loadtest/watch.h"
#include "mqtt/packets.h"

namespace sluice::loadtest {
namespace {

using Stop = const volatile std::sig_atomic_t*;

std::string RefusalText(const FleetReport& report) {
  return "the broker refused " + std::to_string(report.refused) +
         " messages: " + mqtt::ReasonText(report.refusal);
}

int PlayFleet(const FleetArguments& arguments, Stop stop) {
  const Result<FleetOptions> options = Complete(arguments);
  if (!options.ok()) return Fail(options.message());
  FleetReport report;
  const Status status = RunFleet(*options, stop, &report);
  std::printf("%s\n", report.Line().c_str());
  if (!status.ok()) return Fail(status.message());
  if (report.refused > 0) return Fail(RefusalText(report));
  if (!report.complete()) return Fail("not everything was acknowledged");
  return 0;
}

Status Show(const std::vector<RunResult>& runs, const PlayArguments& arguments,
            std::optional<double> sustained = {}) {
  std::printf("%s", Table(runs).c_str());
  Status status = WriteResult(arguments.json, Json(runs, sustained));
  if (status.ok()) status = WriteResult(arguments.html, Html(runs, sustained));
  return status;
}

// What would have made the report more complete.
void Advise(const RunResult& result, const PlayOptions& options) {
  if (options.database.empty()) {
    std::fprintf(stderr, "no verdict and no latency without --database\n");
  } else if (!result.latency) {
    std::fprintf(stderr,
                 "no latency: set track_commit_timestamp = on in postgresql.conf and restart "
                 "PostgreSQL\n");
  }
}

int PlayOnce(const PlayArguments& arguments, Stop stop) {
  const Result<PlayOptions> options = Complete(arguments);
  if (!options.ok()) return Fail(options.message());
  Result<RunResult> result = Play(*options, stop);
  if (!result.ok()) return Fail(result.message());
  const Status shown = Show({*result}, arguments);
  Advise(*result, *options);
  if (!shown.ok()) return Fail(shown.message());
  if (result->fleet.refused > 0) return Fail(RefusalText(result->fleet));
  if (!result->fleet.complete()) return Fail("not everything was acknowledged");
  if (result->verdict && !result->verdict->balanced()) return Fail("the balance is wrong");
  return 0;
}

int ClimbLadder(const PlayArguments& arguments, const LadderOptions& ladder, Stop stop) {
  Result<PlayOptions> options = Complete(arguments);
  if (!options.ok()) return Fail(options.message());
  if (options->database.empty()) return Fail("the ladder needs --database");
  if (options->fleet.seconds == 0) return Fail("the ladder needs an end for each rate: --for");
  std::vector<RunResult> runs;
  const auto play = [&](double rate) -> Result<RunResult> {
    options->fleet.rate = rate;
    options->name = std::to_string(std::llround(rate)) + "/s";
    std::fprintf(stderr, "%s\n", options->name.c_str());
    Result<RunResult> result = Play(*options, stop);
    if (*stop != 0) return Status(ErrorCode::kCancelled, "stopped");
    if (result.ok() && runs.empty()) Advise(*result, *options);
    return result;
  };
  Result<LadderResult> climbed = Climb(ladder, play);
  if (!climbed.ok()) return Fail(climbed.message());
  for (Rung& rung : climbed->rungs) {
    if (!rung.sustained()) rung.result.name += " (" + rung.trouble + ")";
    runs.push_back(std::move(rung.result));
  }
  const Status shown = Show(runs, arguments, climbed->best);
  if (!shown.ok()) return Fail(shown.message());
  if (climbed->best == 0) return Fail("no rate was sustained");
  std::printf("highest sustained rate: %.0f messages a second\n", climbed->best);
  return *stop == 0 ? 0 : Fail("stopped before the end");
}

}  // namespace

int Fail(const std::string& message) {
  std::fprintf(stderr, "sluice-loadtest: %s\n", message.c_str());
  return 1;
}

Status WriteResult(const std::string& path, const std::string& text) {
  if (path.empty()) return Status::Ok();
  std::ofstream file(path);
  file << text << std::flush;
  return file ? Status::Ok() : Status(ErrorCode::kIo, "cannot write " + path);
}

Command FleetCommand(CLI::App* program) {
  auto arguments = std::make_shared<FleetArguments>();
  CLI::App* command = program->add_subcommand("fleet", "Publish as a fleet, open loop");
  AddFleet(command, arguments.get());
  return {command, [arguments](Stop stop) { return PlayFleet(*arguments, stop); }};
}

Command RunCommand(CLI::App* program) {
  auto arguments = std::make_shared<PlayArguments>();
  CLI::App* command = program->add_subcommand(
      "run", "Publish as a fleet, and judge in the database what became of the messages");
  AddPlay(command, arguments.get());
  return {command, [arguments](Stop stop) { return PlayOnce(*arguments, stop); }};
}

Command LadderCommand(CLI::App* program) {
  auto arguments = std::make_shared<PlayArguments>();
  auto ladder = std::make_shared<LadderOptions>();
  arguments->fleet.options.seconds = 10;
  CLI::App* command =
      program->add_subcommand("ladder", "Run at higher and higher rates; find the highest");
  AddPlay(command, arguments.get());
  for (const char* option : {"--rate", "--count", "--name"}) {
    command->remove_option(command->get_option(option));
  }
  const CLI::Range rates(0.001, 1e7);
  command->add_option("--from", ladder->from, "First rate, messages a second")
      ->check(rates)
      ->capture_default_str();
  command->add_option("--to", ladder->to, "Last rate")->check(rates)->capture_default_str();
  command->add_option("--step", ladder->step, "From one rate to the next")
      ->check(rates)
      ->capture_default_str();
  command
      ->add_option("--resolution", ladder->resolution,
                   "How well the highest rate is to be known; a quarter of a step by default")
      ->check(rates);
  command
      ->add_option("--limit-ms", ladder->limit_ms,
                   "What the 99th percentile of latency may be; without latency: the time until "
                   "the last message was committed")
      ->check(CLI::Range(1, 3600000))
      ->capture_default_str();
  return {command,
          [arguments, ladder](Stop stop) { return ClimbLadder(*arguments, *ladder, stop); }};
}

Command RegisterCommand(CLI::App* program) {
  auto shape = std::make_shared<FleetShape>();
  CLI::App* command = program->add_subcommand("register", "Print the SQL that registers the fleet");
  AddShape(command, shape.get());
  return {command, [shape](Stop) {
            std::fputs(RegisterSql(*shape).c_str(), stdout);
            return std::fflush(stdout) == 0 ? 0 : 1;
          }};
}

Command WatchCommand(CLI::App* program) {
  auto options = std::make_shared<WatchOptions>();
  auto own_broker = std::make_shared<bool>(false);
  CLI::App* command =
      program->add_subcommand("watch", "Show the daemon's /metrics, a line a second");
  command->add_option("--url", options->url, "Where the daemon answers")->capture_default_str();
  command->add_option("--for", options->seconds, "Seconds; 0 is until a signal")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  AddOwnBroker(command, own_broker.get());
  return {command, [options, own_broker](Stop stop) {
            const Status local =
                *own_broker ? Status::Ok() : CheckIsLocal("the daemon", HostOf(options->url));
            if (!local.ok()) return Fail(local.message());
            Watch(*options, stop);
            return 0;
          }};
}

}  // namespace sluice::loadtest
