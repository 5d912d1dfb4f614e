// The benchmark: contenders, one after another, get the same messages from the fleet over the same
// broker; what that costs is taken from the CPU of the processes.
#pragma once

#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "loadtest/bench_result.h"
#include "loadtest/message.h"
#include "loadtest/model.h"

namespace sluice::loadtest {

struct BenchOptions {
  // The broker on 127.0.0.1, and an account that may publish for every device and read everything.
  int port = 1883;
  std::string username;
  std::string password;
  int broker_pid = 0;
  // May empty the tables and ask for a checkpoint. The server must keep commit timestamps.
  std::string database_url;
  int postgres_pid = 0;  // of the postmaster

  std::vector<Contender> contenders;
  FleetShape shape;
  MessageOptions message;  // one reading a message
  double rate = 20000;     // messages a second
  int64_t seconds = 10;    // of publishing at that rate
  int runs = 5;
  std::string store;   // directory of what contenders keep between runs; STORE/NAME/ for each
  std::string work;    // directory of what they write; WORK/NAME/ for each, emptied before each run
  bool quiet = false;  // no line a measurement on standard error
};

// In each run every contender is started, waited for, and gets `seconds` of messages at `rate`; the
// CPU used until all have arrived is its cost. Then it gets half as many at once, which gives its
// messages a second. The order rotates from run to run. One that fails is left out from then on,
// and the result says why.
//
// Empties the telemetry, the quarantine and the ledger of the database; refuses one that is not on
// this machine. Contenders hear of both servers by their environment (loadtest/peers/README.md).
Status RunBench(const BenchOptions& options, const volatile std::sig_atomic_t* stop,
                BenchResult* result);

}  // namespace sluice::loadtest
