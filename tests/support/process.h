// Process: a child of the test program, never outliving it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice::testing {

struct ProcessOptions {
  std::vector<std::string> argv = {};           // argv[0] is looked up in PATH
  std::map<std::string, std::string> env = {};  // added to this program's environment
  bool clear_env = false;                       // start from PATH and TMPDIR alone
  std::string stdout_path = "/dev/null";        // appended to
  std::string stderr_path = "/dev/null";        // appended to; may be the same file
  std::string user = {};                        // run as this user; "" (and when not root): as ours
  int parent_death_signal = 9;                  // sent by the kernel when this program dies
};

// How a process ended.
struct ExitStatus {
  int code = -1;   // of exit(); -1 when a signal ended it
  int signal = 0;  // 0 when it called exit()
};

// One thread at a time. The kernel takes the thread that called Start for the parent: when that
// thread ends, the child gets its parent_death_signal.
class Process {
 public:
  // nullptr (and a line on stderr) when the program cannot be executed.
  static std::unique_ptr<Process> Start(const ProcessOptions& options);
  // SIGKILL, if it still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool Running();
  void Signal(int signal);
  // nullopt when it still runs after `timeout`.
  std::optional<ExitStatus> Wait(std::chrono::milliseconds timeout);

 private:
  explicit Process(pid_t pid) : pid_(pid) {}

  const pid_t pid_;
  std::optional<ExitStatus> ended_;
};

// Runs to the end, or SIGKILLs it after `timeout`. nullopt when it could not start or was killed
// so.
std::optional<ExitStatus> Run(const ProcessOptions& options,
                              std::chrono::milliseconds timeout = std::chrono::seconds(60));

}  // namespace sluice::testing
