// A contender of the benchmark: something that takes messages off the broker, described by a
// directory of loadtest/peers/ (its README has the contract), and the processes of one run of it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "base/status.h"

namespace sluice::loadtest {

struct Contender {
  std::string name;
  std::string directory;   // absolute; has the program `run`
  std::string about;       // for people
  std::string leaves_out;  // what it does not do and others do; for people
  std::string table;       // that its rows end in; "": it counts and discards
  double share = 1;        // of the rate that the others get
  bool subscribes = true;  // false: it has nothing to do with the broker and makes its own rows
};

// Reads PEERS/NAME/contender.json.
Result<Contender> LoadContender(const std::string& peers, const std::string& name);

// `run` in a process group of its own. One thread.
class ContenderProcess {
 public:
  using Environment = std::map<std::string, std::string>;

  // `environment` is added to this process's. What it prints is appended to `log`.
  static Result<std::unique_ptr<ContenderProcess>> Start(const Contender& contender,
                                                         const Environment& environment,
                                                         const std::string& log);
  // Kills the group.
  ~ContenderProcess();
  ContenderProcess(const ContenderProcess&) = delete;
  ContenderProcess& operator=(const ContenderProcess&) = delete;

  pid_t pid() const { return pid_; }
  // One that has ended keeps its pid, and its CPU can be read, until Stop.
  bool Running() const;
  // SIGTERM to the group, and SIGKILL to what is left of it when `run` has ended or time is up.
  void Stop(std::chrono::milliseconds patience);

 private:
  explicit ContenderProcess(pid_t pid) : pid_(pid) {}

  pid_t pid_;  // 0 once it was waited for
};

}  // namespace sluice::loadtest
