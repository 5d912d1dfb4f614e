#include "loadtest/process_cpu.h"

#include <unistd.h>

#include <charconv>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

namespace sluice::loadtest {
namespace {

struct Stat {
  pid_t parent = 0;
  uint64_t waited_for_ticks = 0;
};

// See proc(5). The second field is a name in parentheses, which may hold anything.
bool ReadStat(const std::filesystem::path& directory, Stat* stat) {
  std::ifstream file(directory / "stat");
  std::string line;
  if (!std::getline(file, line)) return false;
  std::istringstream fields(line.substr(std::min(line.rfind(')'), line.size() - 1) + 1));
  std::string skipped;
  uint64_t user = 0;
  uint64_t system = 0;
  fields >> skipped >> stat->parent;
  for (int i = 5; i < 16; ++i) fields >> skipped;
  fields >> user >> system;
  stat->waited_for_ticks = user + system;
  return !fields.fail();
}

uint64_t ClockMicros(pid_t pid) {
  clockid_t clock = 0;
  timespec used{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0) return 0;
  return static_cast<uint64_t>(used.tv_sec) * 1'000'000 +
         static_cast<uint64_t>(used.tv_nsec) / 1'000;
}

}  // namespace

ProcessTree ProcessTree::Read() {
  const auto ticks_per_second = static_cast<uint64_t>(::sysconf(_SC_CLK_TCK));
  ProcessTree tree;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const char* const end = name.data() + name.size();
    if (std::from_chars(name.data(), end, pid).ptr != end) continue;
    Stat stat;
    if (!ReadStat(entry.path(), &stat)) continue;
    tree.processes_[pid] = {ClockMicros(pid), stat.waited_for_ticks * 1'000'000 / ticks_per_second};
    tree.children_.emplace(stat.parent, pid);
  }
  return tree;
}

uint64_t ProcessTree::CpuMicros(pid_t pid) const {
  const auto found = processes_.find(pid);
  if (found == processes_.end()) return 0;
  uint64_t sum = found->second.own + found->second.waited_for;
  const auto [first, last] = children_.equal_range(pid);
  for (auto child = first; child != last; ++child) sum += CpuMicros(child->second);
  return sum;
}

uint64_t ProcessTree::OwnCpuMicros(pid_t pid) const {
  const auto found = processes_.find(pid);
  return found == processes_.end() ? 0 : found->second.own;
}

}  // namespace sluice::loadtest
