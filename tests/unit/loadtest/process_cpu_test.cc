#include "loadtest/process_cpu.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <functional>

namespace sluice::loadtest {
namespace {

constexpr int64_t kBurn = 60'000;
constexpr uint64_t kTick = 10'000;

// Uses up so much CPU, however long that takes.
void Burn() {
  timespec used{};
  do {
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  } while (used.tv_sec * 1'000'000 + used.tv_nsec / 1000 < kBurn);
}

// A child that does `work`, says so, and waits to be killed; or ends at once.
class Child {
 public:
  enum class Then { kWaits, kEnds };

  Child(const std::function<void()>& work, Then then) {
    int ready[2];
    if (::pipe(ready) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      work();
      if (then == Then::kEnds || ::write(ready[1], "x", 1) != 1) ::_exit(0);
      for (;;) ::pause();
    }
    ::close(ready[1]);
    char byte = 0;
    if (::read(ready[0], &byte, 1) < 0) std::abort();
    ::close(ready[0]);
    siginfo_t info;
    if (then == Then::kEnds) ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

void BurnInAChild() {
  const pid_t pid = ::fork();
  if (pid == 0) {
    Burn();
    ::_exit(0);
  }
  ::waitpid(pid, nullptr, 0);
}

TEST(ProcessTree, KnowsWhatAProcessHasUsed) {
  const Child child(Burn, Child::Then::kWaits);
  const ProcessTree tree = ProcessTree::Read();
  EXPECT_GE(tree.CpuMicros(child.pid()), static_cast<uint64_t>(kBurn));
  EXPECT_EQ(tree.OwnCpuMicros(child.pid()), tree.CpuMicros(child.pid()));
}

TEST(ProcessTree, CountsADeadProcessUntilItIsWaitedFor) {
  const Child child(Burn, Child::Then::kEnds);
  EXPECT_GE(ProcessTree::Read().CpuMicros(child.pid()), static_cast<uint64_t>(kBurn));
}

TEST(ProcessTree, CountsTheChildrenThatEndedForTheirParent) {
  const Child child(BurnInAChild, Child::Then::kWaits);
  const ProcessTree tree = ProcessTree::Read();
  // User and system time are each cut off at a tick.
  EXPECT_GE(tree.CpuMicros(child.pid()) - tree.OwnCpuMicros(child.pid()), kBurn - 2 * kTick);
}

TEST(ProcessTree, CountsTheChildrenThatLive) {
  const Child child(Burn, Child::Then::kWaits);
  const ProcessTree tree = ProcessTree::Read();
  EXPECT_GE(tree.CpuMicros(::getpid()),
            tree.OwnCpuMicros(::getpid()) + tree.CpuMicros(child.pid()));
}

TEST(ProcessTree, GivesNothingForAProcessThatIsNotThere) {
  pid_t gone = 0;
  {
    gone = Child([] {}, Child::Then::kWaits).pid();
  }
  EXPECT_EQ(ProcessTree::Read().CpuMicros(gone), 0U);
}

}  // namespace
}  // namespace sluice::loadtest
