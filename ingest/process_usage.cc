#include "ingest/process_usage.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace sluice {
namespace {

const UnixMicros kStarted = SystemClock().Now();

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

ProcessUsage UsedByProcess() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;  // the second is what is resident
  return {kStarted, Seconds(used.ru_utime) + Seconds(used.ru_stime),
          pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE))};
}

}  // namespace sluice
