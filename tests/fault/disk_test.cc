// The disk under a running daemon is full, broken, read-only or taken, or there are too few file
// descriptors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "tests/fault/fault_rig.h"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kExitIoError = 74;
constexpr seconds kResumesWithin{10};
constexpr const char* kNoMount = "mounting a tmpfs takes root's CAP_SYS_ADMIN";

// A file system of 32 MB of its own.
class SmallDisk {
 public:
  SmallDisk() : mounted_(::mount("tmpfs", path().c_str(), "tmpfs", 0, "size=32m") == 0) {}
  ~SmallDisk() {
    if (mounted_) ::umount2(path().c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  const std::string& path() const { return directory_.path(); }
  // Another program's file takes all there is left; and goes.
  void Fill() {
    std::ofstream filler(path() + "/filler", std::ios::app);
    for (const std::string block(4096, 'x'); filler.write(block.data(), 4096).flush();) continue;
  }
  void Empty() { std::filesystem::remove(path() + "/filler"); }
  bool MakeReadOnly() {
    return ::mount("tmpfs", path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=32m") == 0;
  }

 private:
  TempDir directory_;
  const bool mounted_;
};

// Starts the daemon again when it has ended, as an init system would. Only a broken or full disk
// may have ended it.
void KeepRunning(FaultRig& rig) {
  if (rig.stack().daemon().Running()) return;
  const auto ended = rig.stack().daemon().Wait(seconds(1));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->code, kExitIoError) << rig.stack().log();
  rig.stack().Launch();
}

void FillTheDiskAgainAndAgain(Scenario& scenario, const std::string& segment_bytes, int rate) {
  SmallDisk disk;
  if (!disk.mounted()) GTEST_SKIP() << kNoMount;
  FaultRig rig(Env{{"SPOOL_DIR", disk.path() + "/spool"},
                   {"SPOOL_SEGMENT_BYTES", segment_bytes},
                   {"SPOOL_MAX_BYTES", "24MiB"}});
  rig.stack().Start();
  rig.StartFleet(rate);
  for (int i = 0; i < Repetitions(1, 20); ++i) {
    std::this_thread::sleep_for(RandomMoment(100, 600));
    const size_t log_read = rig.stack().log().size();
    std::string said;
    // By /ready, or by a daemon that had to stop: two rolls came before it looked. What the spool
    // gives back meanwhile is taken, too.
    ASSERT_TRUE(Eventually(
        [&] {
          disk.Fill();
          said = rig.NotReadyBecause() + rig.stack().log().substr(log_read);
          KeepRunning(rig);
          return said.find("No space left on device") != std::string::npos;
        },
        seconds(60)))
        << said;
    ASSERT_TRUE(Eventually([&] {
      KeepRunning(rig);
      return !rig.stack().Http("/health").empty();
    }));
    int health = 0;
    rig.stack().Http("/health", &health);
    EXPECT_EQ(health, 200);
    std::this_thread::sleep_for(RandomMoment(0, 300));
    disk.Empty();
    const auto freed = steady_clock::now();
    ASSERT_TRUE(Eventually(
        [&] {
          KeepRunning(rig);
          return rig.SoonReady(milliseconds(100));
        },
        kResumesWithin))
        << rig.NotReadyBecause();
    scenario.Recovered(steady_clock::now() - freed);
    scenario.Repeated();
  }
  rig.FinishFleet();
  scenario.Judged(rig.Settle());
}

TEST(FullDisk, AtAnAppendLeavesMessagesWithTheBrokerUntilThereIsSpace) {
  Scenario scenario("5", "full 32 MB disk: at append, inside a reserved segment");
  FillTheDiskAgainAndAgain(scenario, "1MiB", 4000);
}

TEST(FullDisk, AtARollLeavesMessagesWithTheBrokerUntilThereIsSpace) {
  Scenario scenario("5", "full 32 MB disk: at roll, several a second");
  FillTheDiskAgainAndAgain(scenario, "64KiB", 4000);
}

// Nobody else gives space back: the spool itself has taken all of it.
TEST(FullDisk, FullOfTheSpoolItselfDrainsAndGoesOn) {
  Scenario scenario("5", "full 32 MB disk: by the spool itself, PostgreSQL away");
  SmallDisk disk;
  if (!disk.mounted()) GTEST_SKIP() << kNoMount;
  FaultRig rig(Env{{"SPOOL_DIR", disk.path() + "/spool"},
                   {"SPOOL_SEGMENT_BYTES", "256KiB"},
                   {"SPOOL_MAX_BYTES", "1GiB"}});
  rig.stack().Start();
  std::ofstream(disk.path() + "/others").write(std::string(28 << 20, 'x').data(), 28 << 20);
  for (int i = 0; i < Repetitions(1, 10); ++i) {
    rig.StartFleet(6000);
    rig.database_line().Refuse(true);
    rig.database_line().CutAll();
    // By /ready, or by a daemon that had to stop and now waits for PostgreSQL.
    const size_t log_read = rig.stack().log().size();
    ASSERT_TRUE(Eventually([&] {
      const std::string said = rig.NotReadyBecause() + rig.stack().log().substr(log_read);
      KeepRunning(rig);
      return said.find("No space left") != std::string::npos;
    }));
    disk.Fill();  // to the last page
    rig.FinishFleet();
    rig.database_line().Refuse(false);
    const auto restored = steady_clock::now();
    ASSERT_TRUE(Eventually([&] {
      KeepRunning(rig);
      return rig.SoonReady(milliseconds(100));
    })) << rig.NotReadyBecause();
    scenario.Recovered(steady_clock::now() - restored);
    disk.Empty();
    scenario.Repeated();
  }
  scenario.Judged(rig.Settle());
}

struct BrokenDisk {
  const char* name;
  const char* failpoint;
  const char* sync;
  int passages;  // about as many as come in half a second
};

class OnABrokenDisk : public ::testing::TestWithParam<BrokenDisk> {};

TEST_P(OnABrokenDisk, TheDaemonStopsAtOnceAndAcknowledgesNothingThatIsNotStored) {
  const BrokenDisk& broken = GetParam();
  Scenario scenario("5", std::string("EIO: ") + broken.failpoint + ", SPOOL_SYNC=" + broken.sync);
  FaultRig rig(Env{{"SPOOL_SYNC", broken.sync}, {"SPOOL_SEGMENT_BYTES", "64KiB"}});
  rig.stack().UseBinary(FailpointBinary());
  rig.stack().Start();
  rig.StartFleet(1000);
  for (int i = 0; i < Repetitions(1, 20); ++i) {
    rig.stack().Kill();
    const int passage = std::uniform_int_distribution<int>(20, 20 + broken.passages)(Random());
    rig.stack().env()["SLUICE_FAILPOINTS"] =
        std::string(broken.failpoint) + "=eio@" + std::to_string(passage);
    rig.stack().Launch();
    const auto ended = rig.stack().daemon().Wait(seconds(30));
    ASSERT_TRUE(ended.has_value()) << "it goes on";
    EXPECT_EQ(ended->code, kExitIoError) << rig.stack().log();
    rig.stack().env().erase("SLUICE_FAILPOINTS");
    const auto start = steady_clock::now();
    rig.stack().Start();
    scenario.Recovered(steady_clock::now() - start);
    scenario.Repeated();
  }
  rig.FinishFleet();
  scenario.Judged(rig.Settle());
}

INSTANTIATE_TEST_SUITE_P(BrokenDisk, OnABrokenDisk,
                         ::testing::Values(BrokenDisk{"write", "file.append", "interval", 500},
                                           BrokenDisk{"write_always", "file.append", "always", 500},
                                           BrokenDisk{"fsync", "file.sync", "interval", 10},
                                           BrokenDisk{"fsync_always", "file.sync", "always", 500}),
                         [](const auto& broken) { return broken.param.name; });

// Runs another daemon to its end; all it says.
std::string RunToItsEnd(SluiceStack& stack, const Env& changes, const std::string& binary,
                        int* code) {
  Env env = stack.env();
  env["HTTP_PORT"] = "0";
  for (const auto& [name, value] : changes) env[name] = value;
  const std::string output = stack.Path("other");
  std::filesystem::remove(output);
  const auto ended = sluice::testing::Run(
      {.argv = {binary, "ingest"}, .env = env, .stdout_path = output, .stderr_path = output},
      seconds(10));
  *code = ended ? ended->code : 0;
  return ReadFile(output);
}

TEST(SecondDaemon, OnTheSameSpoolIsRefusedAndTheFirstIsUnharmed) {
  Scenario scenario("5", "second daemon on the same spool");
  FaultRig rig;
  rig.stack().Start();
  rig.StartFleet(2000);
  for (int i = 0; i < Repetitions(1, 20); ++i) {
    int code = 0;
    const std::string said = RunToItsEnd(rig.stack(), {}, BinaryPath("sluice"), &code);
    EXPECT_NE(code, 0);
    EXPECT_THAT(said, AllOf(HasSubstr(rig.stack().spool_dir()), HasSubstr("another process")));
    EXPECT_TRUE(rig.SoonReady());
    scenario.Repeated();
  }
  rig.FinishFleet();
  scenario.Judged(rig.Settle());
}

TEST(ReadOnlyDisk, IsSaidAtTheStart) {
  Scenario scenario("5", "read-only spool directory");
  SmallDisk disk;
  if (!disk.mounted() || !disk.MakeReadOnly()) GTEST_SKIP() << kNoMount;
  SluiceStack stack;
  int code = 0;
  const std::string said =
      RunToItsEnd(stack, {{"SPOOL_DIR", disk.path() + "/spool"}}, BinaryPath("sluice"), &code);
  EXPECT_NE(code, 0);
  EXPECT_THAT(said, AllOf(HasSubstr(disk.path()), HasSubstr("Read-only file system")));
  scenario.Repeated();
}

TEST(FewDescriptors, AreSaidAtTheStartWithHowManyAreNeeded) {
  Scenario scenario("5", "too few file descriptors at start");
  SluiceStack stack;
  const std::string script = stack.Path("limited");
  WriteFile(script, "#!/bin/sh\nulimit -n 40\nexec " + BinaryPath("sluice") + " \"$@\"\n");
  ASSERT_EQ(::chmod(script.c_str(), 0755), 0);
  int code = 0;
  const std::string said = RunToItsEnd(stack, {}, script, &code);
  EXPECT_NE(code, 0);
  EXPECT_THAT(said, AllOf(HasSubstr("too few file descriptors"), HasSubstr("the limit is 40")));
  scenario.Repeated();
}

double CpuSeconds(pid_t pid) {
  std::istringstream stat(ReadFile("/proc/" + std::to_string(pid) + "/stat"));
  std::string word;
  double ticks = 0;
  for (int field = 1; field <= 15 && stat >> word; ++field) {
    if (field >= 14) ticks += std::stod(word);
  }
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

TEST(FewDescriptors, WhileItRunsHarmNothingAndAreWaitedFor) {
  Scenario scenario("5", "no file descriptor left while it runs");
  FaultRig rig(Env{{"SPOOL_SEGMENT_BYTES", "64KiB"}});
  rig.stack().Start();
  rig.StartFleet(500);
  for (int i = 0; i < Repetitions(1, 20); ++i) {
    std::this_thread::sleep_for(RandomMoment(100, 500));
    const pid_t pid = rig.stack().daemon().pid();
    rlimit before{};
    ASSERT_EQ(::prlimit(pid, RLIMIT_NOFILE, nullptr, &before), 0);
    const rlimit few{.rlim_cur = 3, .rlim_max = before.rlim_max};
    ASSERT_EQ(::prlimit(pid, RLIMIT_NOFILE, &few, nullptr), 0);
    const double cpu = CpuSeconds(pid);
    const size_t log_read = rig.stack().log().size();
    EXPECT_TRUE(Eventually([&] {  // the next roll wants a new file
      return rig.stack().log().find("Too many open files", log_read) != std::string::npos;
    }));
    rig.broker_line().CutAll();  // it cannot even connect again
    std::this_thread::sleep_for(milliseconds(500));
    const bool same = rig.stack().daemon().Running();
    if (same) {
      EXPECT_LT(CpuSeconds(pid) - cpu, 0.5) << "it spins";
      ASSERT_EQ(::prlimit(pid, RLIMIT_NOFILE, &before, nullptr), 0);
    }
    const auto raised = steady_clock::now();
    ASSERT_TRUE(Eventually([&] {
      KeepRunning(rig);
      return rig.SoonReady(milliseconds(100));
    })) << rig.NotReadyBecause();
    scenario.Recovered(steady_clock::now() - raised);
    scenario.Repeated();
  }
  rig.FinishFleet();
  scenario.Judged(rig.Settle());
}

}  // namespace
}  // namespace sluice::testing
