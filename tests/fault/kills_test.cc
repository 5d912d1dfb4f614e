// The daemon dies: at random moments, at each failpoint, while its last transaction is still open.
#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <thread>

#include "tests/fault/fault_rig.h"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

// Starts the daemon and notes how long it took until it was ready.
void StartTimed(FaultRig& rig, Scenario& scenario) {
  const auto start = steady_clock::now();
  rig.stack().Start();
  scenario.Recovered(steady_clock::now() - start);
}

TEST(DaemonKills, AtRandomMomentsLoseNothingAndRepeatNothing) {
  Scenario scenario("1", "daemon: kill -9 at random moments");
  FaultRig rig;
  rig.stack().Start();
  rig.StartFleet(3000);
  for (int i = 0; i < Repetitions(4, 200); ++i) {
    std::this_thread::sleep_for(RandomMoment(20, 1200));
    rig.stack().Kill();
    StartTimed(rig, scenario);
    scenario.Repeated();
  }
  rig.FinishFleet();
  scenario.Judged(rig.Settle());
}

class AtFailpoint : public ::testing::TestWithParam<const char*> {};

// Small segments, so that rolls and unlinks come often; a small memory of redeliveries, or nothing
// would be unlinked.
const Env kSmallSegments = {{"SPOOL_SEGMENT_BYTES", "64KiB"},
                            {"SPOOL_MAX_BYTES", "16MiB"},
                            {"MQTT_RECEIVE_MAXIMUM", "100"},
                            {"SPOOL_REDELIVERY_WINDOW", "2000"}};

TEST_P(AtFailpoint, ADeathLosesNothingAndRepeatsNothing) {
  const std::string place = GetParam();
  Scenario scenario("1", "daemon: kill -9 at " + place);
  FaultRig rig(kSmallSegments);
  rig.stack().UseBinary(FailpointBinary());
  rig.stack().Start();
  rig.StartFleet(2000);
  for (int i = 0; i < Repetitions(1, 20); ++i) {
    // The first passages belong to the start; later ones to a random place in the traffic.
    const bool often = place == "spool.after_append";
    const int passage = std::uniform_int_distribution<int>(1, often ? 2000 : 12)(Random());
    rig.stack().Kill();
    rig.stack().env()["SLUICE_FAILPOINTS"] = place + "=kill@" + std::to_string(passage);
    rig.stack().Launch();
    const auto ended = rig.stack().daemon().Wait(seconds(60));
    ASSERT_TRUE(ended.has_value()) << "it never came to " << place;
    ASSERT_EQ(ended->signal, SIGKILL) << rig.stack().log();
    rig.stack().env().erase("SLUICE_FAILPOINTS");
    StartTimed(rig, scenario);
    scenario.Repeated();
  }
  rig.FinishFleet();
  scenario.Judged(rig.Settle());
}

INSTANTIATE_TEST_SUITE_P(DaemonKills, AtFailpoint,
                         ::testing::Values("spool.after_append", "spool.after_sync",
                                           "spool.before_rename", "spool.after_roll",
                                           "spool.before_unlink", "writer.before_telemetry",
                                           "writer.after_telemetry", "writer.before_quarantine",
                                           "writer.after_quarantine", "writer.before_commit",
                                           "writer.after_commit"),
                         [](const auto& place) {
                           std::string name = place.param;
                           name[name.find('.')] = '_';
                           return name;
                         });

// The old process is dead, but its last COMMIT is still on the way to PostgreSQL, whose backend
// holds the transaction open. The new process must neither write those messages again nor start
// before it knows.
TEST(DaemonKills, WhileTheOldTransactionIsStillOpenRepeatNothing) {
  Scenario scenario("2", "two generations: COMMIT of a dead daemon arrives after the next start");
  FaultRig rig;
  rig.stack().Start();
  rig.StartFleet(2000);
  for (int i = 0; i < Repetitions(2, 50); ++i) {
    std::this_thread::sleep_for(RandomMoment(100, 400));
    rig.database_line().HoldAt(kCommit);
    ASSERT_TRUE(Eventually([&] { return rig.database_line().holding(); }));
    rig.stack().Kill();
    rig.stack().Launch();
    EXPECT_TRUE(rig.SoonNotReady("transaction")) << "it does not say what it waits for";
    std::this_thread::sleep_for(RandomMoment(0, 500));
    const auto released = steady_clock::now();
    rig.database_line().Release();
    ASSERT_TRUE(rig.SoonReady());
    scenario.Recovered(steady_clock::now() - released);
    scenario.Repeated();
  }
  rig.FinishFleet();
  scenario.Judged(rig.Settle());
}

// As above, but the COMMIT never arrives, and PostgreSQL is not told that its client is gone: the
// transaction must not hold the spool's lock for ever.
TEST(DaemonKills, BeforeAnOpenTransactionIsGivenUpByPostgresRepeatNothing) {
  Scenario scenario("2", "two generations: the old transaction is never finished");
  FaultRig rig(Env{{"WRITE_TIMEOUT", "4s"}, {"PG_CONNECT_TIMEOUT", "2s"}});
  rig.stack().Start();
  rig.StartFleet(1000);
  for (int i = 0; i < Repetitions(1, 5); ++i) {
    std::this_thread::sleep_for(RandomMoment(100, 400));
    rig.database_line().HoldAt(kCommit);
    ASSERT_TRUE(Eventually([&] { return rig.database_line().holding(); }));
    rig.stack().Kill();
    StartTimed(rig, scenario);
    rig.database_line().Release();
    scenario.Repeated();
  }
  rig.FinishFleet();
  scenario.Judged(rig.Settle());
}

TEST(DaemonStops, UnderLoadDrainInTimeAndTheRestComesAfterTheNextStart) {
  Scenario scenario("11", "daemon: SIGTERM under load");
  FaultRig rig(Env{{"DRAIN_SECONDS", "10"}});
  rig.stack().Start();
  rig.StartFleet(3000);
  for (int i = 0; i < Repetitions(1, 20); ++i) {
    std::this_thread::sleep_for(RandomMoment(200, 1000));
    const auto ended = rig.stack().Stop(seconds(12));
    ASSERT_TRUE(ended.has_value()) << "did not exit within DRAIN_SECONDS";
    EXPECT_EQ(ended->code, 0);
    EXPECT_NE(rig.stack().accounting().find("spooled=0"), std::string::npos);
    StartTimed(rig, scenario);
    scenario.Repeated();
  }
  rig.FinishFleet();
  scenario.Judged(rig.Settle());
}

TEST(DaemonStops, WhilePostgresIsAwayKeepEverythingInTheSpool) {
  Scenario scenario("11", "daemon: SIGTERM while PostgreSQL is away");
  PostgresServer server;
  FaultRig rig(Env{{"DRAIN_SECONDS", "2"}}, &server);
  for (int i = 0; i < Repetitions(1, 10); ++i) {
    rig.stack().Start();
    rig.StartFleet(1000);
    std::this_thread::sleep_for(RandomMoment(200, 600));
    server.Stop(PostgresServer::StopMode::kImmediate);
    std::this_thread::sleep_for(RandomMoment(200, 600));
    rig.FinishFleet();
    EXPECT_TRUE(rig.SoonNotReady("database retrying"));
    const auto ended = rig.stack().Stop(seconds(4));
    ASSERT_TRUE(ended.has_value()) << "did not exit within DRAIN_SECONDS";
    EXPECT_EQ(ended->code, 0);
    EXPECT_EQ(rig.stack().accounting().find("spooled=0"), std::string::npos);
    server.Start();
    scenario.Repeated();
  }
  StartTimed(rig, scenario);
  scenario.Judged(rig.Settle());
}

TEST(DaemonStops, AtOnceAtTheSecondSignal) {
  Scenario scenario("11", "daemon: a second SIGTERM while PostgreSQL is away");
  PostgresServer server;
  FaultRig rig(Env{{"DRAIN_SECONDS", "600"}}, &server);
  for (int i = 0; i < Repetitions(1, 10); ++i) {
    rig.stack().Start();
    rig.StartFleet(1000);
    std::this_thread::sleep_for(RandomMoment(200, 600));
    server.Stop(PostgresServer::StopMode::kImmediate);
    std::this_thread::sleep_for(milliseconds(200));
    rig.FinishFleet();
    EXPECT_FALSE(rig.stack().Stop(milliseconds(1500)).has_value()) << "it did not drain";
    EXPECT_TRUE(rig.SoonNotReady("stopping"));
    const auto ended = rig.stack().Stop(seconds(5));
    ASSERT_TRUE(ended.has_value()) << "the second signal was not heard";
    EXPECT_NE(ended->code, 0);
    server.Start();
    scenario.Repeated();
  }
  StartTimed(rig, scenario);
  scenario.Judged(rig.Settle());
}

}  // namespace
}  // namespace sluice::testing
