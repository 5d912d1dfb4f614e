// The soak: hours of load with random faults. Everything is judged round by round, and what the
// daemon holds (memory, descriptors, threads, connections, disk) must be the same at the end.
//
// SLUICE_SOAK_MINUTES and SLUICE_SOAK_RATE (messages a second) make it long; `./test --campaign
// soak` sets them.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iterator>
#include <thread>

#include "tests/fault/fault_rig.h"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::steady_clock;

int FromEnv(const char* name, int fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::atoi(text);
}

size_t EntriesOf(const std::string& directory) {
  const std::filesystem::directory_iterator entries(directory);
  return static_cast<size_t>(std::distance(begin(entries), end(entries)));
}

// What the daemon holds while it is idle.
struct Holdings {
  int64_t resident_kilobytes = 0;
  size_t descriptors = 0;
  size_t threads = 0;
  int64_t connections = 0;
  int64_t spool_bytes = 0;

  std::string Text() const {
    return std::to_string(resident_kilobytes) + " kB, " + std::to_string(descriptors) +
           " descriptors, " + std::to_string(threads) + " threads, " + std::to_string(connections) +
           " connections, spool " + std::to_string(spool_bytes >> 20) + " MiB";
  }
};

Holdings Take(FaultRig& rig) {
  const std::string proc = "/proc/" + std::to_string(rig.stack().daemon().pid());
  return {.resident_kilobytes = ResidentKilobytes(rig.stack().daemon().pid()),
          .descriptors = EntriesOf(proc + "/fd"),
          .threads = EntriesOf(proc + "/task"),
          .connections = rig.stack().Count("pg_stat_activity WHERE usename = 'sluice_ingest'"),
          .spool_bytes = static_cast<int64_t>(rig.stack().Metric("sluice_spool_disk_bytes"))};
}

void ExpectFlat(const Holdings& first, const Holdings& last) {
  if (!kSanitized) {
    EXPECT_LE(last.resident_kilobytes, first.resident_kilobytes * 11 / 10 + 4096);
  }
  EXPECT_LE(last.descriptors, first.descriptors + 2);
  EXPECT_EQ(last.threads, first.threads);
  EXPECT_LE(last.connections, std::max<int64_t>(first.connections, 5))
      << "two workers, one keeper, two of the listener";
  EXPECT_LE(last.spool_bytes, first.spool_bytes + (192 << 20)) << "three segments";
}

class Soak {
 public:
  Soak(FaultRig& rig, PostgresServer& server, Scenario& scenario)
      : rig_(rig), server_(server), scenario_(scenario) {}

  // Load and faults for that long, then silence and judgement. `deaths`: also of the daemon.
  void Round(int rate, milliseconds length, bool deaths) {
    const auto end = steady_clock::now() + length;
    rig_.StartFleet(rate);
    while (steady_clock::now() + seconds(1) < end) {
      const auto left = std::chrono::duration_cast<milliseconds>(end - steady_clock::now());
      std::this_thread::sleep_for(std::min(RandomMoment(1000, 8000), left));
      const size_t kinds = faults_.size() - (deaths ? 0 : kDeaths);
      faults_[std::uniform_int_distribution<size_t>(0, kinds - 1)(Random())]();
      const auto start = steady_clock::now();
      EXPECT_TRUE(rig_.SoonReady(seconds(60))) << rig_.NotReadyBecause();
      scenario_.Recovered(steady_clock::now() - start);
      scenario_.Repeated();
    }
    rig_.FinishFleet();
    scenario_.Judged(rig_.Settle(seconds(180)));
  }

 private:
  static constexpr size_t kDeaths = 2;  // the last ones of faults_

  static void Pause() { std::this_thread::sleep_for(RandomMoment(200, 3000)); }
  void StallThenGoOn(TcpProxy& line) {
    line.Stall(true);
    Pause();
    line.Stall(false);
  }

  FaultRig& rig_;
  PostgresServer& server_;
  Scenario& scenario_;
  const std::array<std::function<void()>, 11> faults_ = {{
      [this] {
        server_.Stop(PostgresServer::StopMode::kImmediate);
        Pause();
        server_.Start();
      },
      [this] {
        rig_.stack().Sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE usename = 'sluice_ingest'");
      },
      [this] { rig_.database_line().ResetAll(); },
      [this] { rig_.database_line().HalfOpenAll(); },
      [this] { StallThenGoOn(rig_.database_line()); },
      [this] { rig_.broker_line().ResetAll(); },
      [this] { rig_.broker_line().CutAll(); },
      [this] { StallThenGoOn(rig_.broker_line()); },
      [this] {
        rig_.stack().daemon().Signal(SIGSTOP);
        Pause();
        rig_.stack().daemon().Signal(SIGCONT);
      },
      [this] {
        rig_.stack().Kill();
        rig_.stack().Launch();
      },
      [this] {
        EXPECT_TRUE(rig_.stack().Stop().has_value());
        rig_.stack().Launch();
      },
  }};
};

TEST(Soak, UnderRandomFaultsLosesNothingAndHoldsNoMoreThanAtTheStart) {
  const int length = FromEnv("SLUICE_SOAK_MINUTES", 0);
  const int rate = FromEnv("SLUICE_SOAK_RATE", 2000);
  const milliseconds round = length > 0 ? milliseconds(minutes(2)) : milliseconds(seconds(4));
  const auto start = steady_clock::now();
  const auto end = start + minutes(length);
  Scenario scenario("13", "soak: " + std::to_string(length) + " minutes at " +
                              std::to_string(rate) + " messages a second, random faults");
  PostgresServer server;
  FaultRig rig(Env{{"WRITE_TIMEOUT", "10s"}}, &server);
  Soak soak(rig, server, scenario);
  rig.stack().Start();
  // The daemon dies only in the first third: the rest must be one process's to compare.
  do {
    soak.Round(rate, round, true);
    rig.StartAfresh();
  } while (steady_clock::now() < start + minutes(length) / 3);
  soak.Round(rate, round, false);
  const Holdings first = Take(rig);
  const pid_t pid = rig.stack().daemon().pid();
  do {
    rig.StartAfresh();
    soak.Round(rate, round, false);
  } while (steady_clock::now() < end && !::testing::Test::HasFailure());
  EXPECT_EQ(rig.stack().daemon().pid(), pid);
  const Holdings last = Take(rig);
  ExpectFlat(first, last);
  scenario.Say("at first: " + first.Text());
  scenario.Say("at the end: " + last.Text());
}

}  // namespace
}  // namespace sluice::testing
