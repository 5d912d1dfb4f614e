// The command line's options, in groups that commands share.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "loadtest/fleet.h"
#include "loadtest/model.h"
#include "loadtest/play.h"

namespace CLI {
class App;
}  // namespace CLI

namespace sluice::loadtest {

struct FleetArguments {
  FleetOptions options;
  std::string password_file;
  bool login = false;
  std::string kinds = "all";
  bool own_broker = false;
};

struct PlayArguments {
  FleetArguments fleet;
  std::string name = "run";
  std::string database;
  std::string metrics_url;
  std::vector<std::string> pids;  // NAME=PID
  int64_t settle_seconds = 10;
  std::string json;
  std::string html;
};

// The arguments outlive the parsing of the command line, which fills them in.
void AddShape(CLI::App* command, FleetShape* shape);
void AddFleet(CLI::App* command, FleetArguments* arguments);
// All of AddFleet but --first-seq, and what a judged run needs besides.
void AddPlay(CLI::App* command, PlayArguments* arguments);
void AddOwnBroker(CLI::App* command, bool* own_broker);

// What the arguments come to together: reads the password file, looks whose broker it is.
// kInvalidArgument, in words, for what does not go together.
Result<FleetOptions> Complete(const FleetArguments& arguments);
Result<PlayOptions> Complete(const PlayArguments& arguments);

}  // namespace sluice::loadtest
