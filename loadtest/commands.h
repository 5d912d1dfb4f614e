// The program's commands: their options, and what they do.
#pragma once

#include <csignal>
#include <functional>
#include <string>

#include "base/status.h"

namespace CLI {
class App;
}  // namespace CLI

namespace sluice::loadtest {

struct Command {
  CLI::App* app;  // true when it was asked for
  // The program's exit status; *stop becomes non-zero when it is to end early.
  std::function<int(const volatile std::sig_atomic_t* stop)> run;
};

// Says it on standard error; the exit status of a failure.
int Fail(const std::string& message);
// Does nothing where no path was given.
Status WriteResult(const std::string& path, const std::string& text);

Command FleetCommand(CLI::App* program);
Command RunCommand(CLI::App* program);
Command LadderCommand(CLI::App* program);
Command RegisterCommand(CLI::App* program);
Command WatchCommand(CLI::App* program);

}  // namespace sluice::loadtest
