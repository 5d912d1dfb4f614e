// ProcessTree: how much CPU processes have used, together with all that they have started.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>

namespace sluice::loadtest {

// What /proc knew at one moment; immutable. CPU is that of user and system, in microseconds since
// the process began. A process that lives, or is dead and not yet waited for, is known to the
// nanosecond (its CPU clock); what was waited for to 10 ms for each parent (/proc/PID/stat).
//
// A process that ends while this is read may be missing or count twice, so compare two of these
// from moments when nobody ends. Whose parent ended before it belongs to nobody here; whose parent
// ignores SIGCHLD vanishes with its CPU.
class ProcessTree {
 public:
  static ProcessTree Read();

  // Of `pid`, its descendants, and those of them that have ended; 0 when there is no such process.
  uint64_t CpuMicros(pid_t pid) const;
  // Of `pid` alone.
  uint64_t OwnCpuMicros(pid_t pid) const;

 private:
  struct Process {
    uint64_t own = 0;
    uint64_t waited_for = 0;
  };

  std::map<pid_t, Process> processes_;
  std::multimap<pid_t, pid_t> children_;
};

}  // namespace sluice::loadtest
