// PostgreSQL crashes, hangs, is cut off, stays away; the registry cannot be asked.
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "tests/fault/fault_rig.h"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

TEST(PostgresOutage, ACrashInTheMiddleOfCopyLosesNothingAndRepeatsNothing) {
  Scenario scenario("6", "PostgreSQL: immediate stop in the middle of COPY");
  PostgresServer server;
  FaultRig rig({}, &server);
  rig.stack().Start();
  rig.StartFleet(3000);
  for (int i = 0; i < Repetitions(2, 50); ++i) {
    std::this_thread::sleep_for(RandomMoment(50, 500));
    rig.database_line().HoldAt(kCopyData);
    ASSERT_TRUE(Eventually([&] { return rig.database_line().holding(); }));
    server.Stop(PostgresServer::StopMode::kImmediate);
    rig.database_line().Release();
    EXPECT_TRUE(rig.SoonNotReady("database retrying"));
    server.Start();
    ASSERT_TRUE(rig.ReadyAgain(scenario));
    scenario.Repeated();
  }
  rig.FinishFleet();
  scenario.Judged(rig.Settle());
}

void CutAtCommit(Scenario& scenario, TcpProxy::Cut when) {
  FaultRig rig;
  rig.stack().Start();
  rig.StartFleet(2000);
  for (int i = 0; i < Repetitions(8, 100); ++i) {
    std::this_thread::sleep_for(RandomMoment(0, 100));
    const auto start = steady_clock::now();
    rig.database_line().CutAt(kCommit, when);
    ASSERT_TRUE(Eventually([&] { return rig.database_line().cuts() == i + 1; }));
    ASSERT_TRUE(rig.SoonReady());
    scenario.Recovered(steady_clock::now() - start);
    scenario.Repeated();
  }
  rig.FinishFleet();
  scenario.Judged(rig.Settle());
}

TEST(PostgresOutage, ACommitWhoseAnswerIsLostIsNotRepeated) {
  Scenario scenario("6", "link to PostgreSQL: cut between COMMIT and its answer");
  CutAtCommit(scenario, TcpProxy::Cut::kBeforeAnswer);
}

TEST(PostgresOutage, ACommitThatNeverArrivesIsMadeAgain) {
  Scenario scenario("6", "link to PostgreSQL: cut before COMMIT arrives");
  CutAtCommit(scenario, TcpProxy::Cut::kBeforeRequest);
}

// One worker, whose backend stops in the middle of COPY: only the worker's own deadline helps.
TEST(PostgresOutage, AStoppedBackendIsGivenUpWithinWriteTimeout) {
  const seconds stopped(Repetitions(6, 60));
  Scenario scenario("6", "PostgreSQL: backend stopped (SIGSTOP) for " +
                             std::to_string(stopped.count()) + " s, one worker, WRITE_TIMEOUT 3 s");
  FaultRig rig(
      Env{{"WRITE_TIMEOUT", "3s"}, {"PG_CONNECT_TIMEOUT", "2s"}, {"INGEST_WORKER_COUNT", "1"}});
  rig.stack().Start();
  rig.StartFleet(1000);
  std::this_thread::sleep_for(RandomMoment(100, 500));
  rig.database_line().HoldAt(kCopyData);
  ASSERT_TRUE(Eventually([&] { return rig.database_line().holding(); }));
  const auto backend = static_cast<pid_t>(
      std::stol(rig.stack().Value("SELECT pid FROM pg_stat_activity WHERE usename = "
                                  "'sluice_ingest' AND query LIKE '%COPY %' "
                                  "AND state = 'active' LIMIT 1")));
  ASSERT_EQ(kill(backend, SIGSTOP), 0);
  rig.database_line().Release();
  const auto start = steady_clock::now();
  const double stored = rig.stack().Metric("sluice_stored_messages_total");
  ASSERT_TRUE(Eventually(
      [&] { return rig.stack().Metric("sluice_stored_messages_total") > stored; }, stopped))
      << "the worker was not freed";
  scenario.Recovered(steady_clock::now() - start);
  EXPECT_LT(steady_clock::now() - start, seconds(3) + seconds(2)) << "WRITE_TIMEOUT, and slack";
  std::this_thread::sleep_until(start + stopped);
  ASSERT_EQ(kill(backend, SIGCONT), 0);
  rig.FinishFleet();
  scenario.Repeated();
  scenario.Judged(rig.Settle());
}

// The COMMIT of one worker hangs in a stopped backend, which holds what it has locked. The other
// worker goes on; the hanging chunk waits, because nobody can know yet.
TEST(PostgresOutage, ABackendStoppedInCommitDoesNotHoldUpTheOtherWorker) {
  const seconds stopped(Repetitions(6, 30));
  Scenario scenario("6", "PostgreSQL: backend stopped in COMMIT for " +
                             std::to_string(stopped.count()) + " s, two workers");
  FaultRig rig(
      Env{{"WRITE_TIMEOUT", "3s"}, {"PG_CONNECT_TIMEOUT", "2s"}, {"INGEST_WORKER_COUNT", "2"}});
  // The stopped backend also holds the row of the minute's counter, if there was one to raise.
  rig.OnlyGood();
  rig.stack().Start();
  rig.StartFleet(1000);
  std::this_thread::sleep_for(RandomMoment(300, 600));
  rig.database_line().HoldAt(kCommit);
  ASSERT_TRUE(Eventually([&] { return rig.database_line().holding(); }));
  const auto backend = static_cast<pid_t>(std::stol(
      rig.stack().Value("SELECT pid FROM pg_stat_activity WHERE usename = 'sluice_ingest' "
                        "AND state = 'idle in transaction' ORDER BY state_change LIMIT 1")));
  ASSERT_EQ(kill(backend, SIGSTOP), 0);
  rig.database_line().Release();
  std::this_thread::sleep_for(seconds(4));  // the answer is overdue now
  const double before = rig.stack().Metric("sluice_stored_messages_total");
  EXPECT_TRUE(
      Eventually([&] { return rig.stack().Metric("sluice_stored_messages_total") > before + 500; },
                 seconds(20)));
  std::this_thread::sleep_for(stopped - seconds(4));
  EXPECT_TRUE(rig.SoonReady()) << "messages are taken and stored";
  ASSERT_EQ(kill(backend, SIGCONT), 0);
  const auto start = steady_clock::now();
  rig.FinishFleet();
  scenario.Repeated();
  scenario.Judged(rig.Settle());
  scenario.Recovered(steady_clock::now() - start);
}

TEST(PostgresOutage, AStalledLineIsGivenUpWithinWriteTimeout) {
  Scenario scenario("6", "link to PostgreSQL: stalled, reset, half open, slow");
  FaultRig rig(Env{{"WRITE_TIMEOUT", "3s"}, {"PG_CONNECT_TIMEOUT", "2s"}});
  rig.stack().Start();
  rig.StartFleet(1000);
  TcpProxy& line = rig.database_line();
  for (int i = 0; i < Repetitions(1, 10); ++i) {
    std::this_thread::sleep_for(RandomMoment(50, 300));
    line.Stall(true);
    EXPECT_TRUE(rig.SoonNotReady("database retrying"));
    line.Stall(false);
    ASSERT_TRUE(rig.ReadyAgain(scenario));
    const double retries = rig.stack().Metric("sluice_database_retries_total");
    line.HalfOpenAll();
    EXPECT_TRUE(Eventually([&] {
      return rig.stack().Metric("sluice_database_retries_total") > retries;
    })) << "nobody noticed";
    ASSERT_TRUE(rig.ReadyAgain(scenario));
    line.ResetAll();
    ASSERT_TRUE(rig.ReadyAgain(scenario));
    line.LimitTo(100'000);
    std::this_thread::sleep_for(RandomMoment(500, 1000));
    line.LimitTo(0);
    ASSERT_TRUE(rig.ReadyAgain(scenario));
    scenario.Repeated();
  }
  rig.FinishFleet();
  scenario.Judged(rig.Settle());
}

TEST(PostgresOutage, AServerThatHangsIsSaidBeforeWriteTimeoutHasPassed) {
  Scenario scenario("6", "link to PostgreSQL: half open, WRITE_TIMEOUT 9 s");
  FaultRig rig(Env{{"WRITE_TIMEOUT", "9s"}, {"INGEST_WORKER_COUNT", "1"}});
  rig.stack().Start();
  rig.StartFleet(1000);
  for (int i = 0; i < Repetitions(1, 5); ++i) {
    const double stored = rig.stack().Metric("sluice_stored_messages_total");
    ASSERT_TRUE(
        Eventually([&] { return rig.stack().Metric("sluice_stored_messages_total") > stored; }));
    std::this_thread::sleep_for(RandomMoment(50, 300));
    rig.database_line().HalfOpenAll();
    EXPECT_TRUE(rig.SoonNotReady("database silent"));
    ASSERT_TRUE(rig.ReadyAgain(scenario));
    scenario.Repeated();
  }
  rig.FinishFleet();
  scenario.Judged(rig.Settle());
}

TEST(PostgresOutage, MayLastWhileTheBacklogGrowsOnDiskAndNotInMemory) {
  const seconds away(Repetitions(4, 600));
  Scenario scenario("6", "PostgreSQL: away for " + std::to_string(away.count()) +
                             " s at 5,000 messages a second");
  PostgresServer server;
  FaultRig rig({}, &server);
  SluiceStack& stack = rig.stack();
  stack.Start();
  rig.StartFleet(5000);
  std::this_thread::sleep_for(seconds(2));
  server.Stop(PostgresServer::StopMode::kImmediate);
  std::this_thread::sleep_for(away / 4);
  const int64_t before = ResidentKilobytes(stack.daemon().pid());
  std::this_thread::sleep_for(away * 3 / 4);
  const int64_t after = ResidentKilobytes(stack.daemon().pid());
  if (!kSanitized) {
    EXPECT_LT(after, before * 11 / 10 + 1024) << "kB of memory";
  }
  EXPECT_EQ(stack.Metric("sluice_mqtt_up"), 1);
  EXPECT_TRUE(rig.SoonNotReady("database retrying"));
  const double backlog = stack.Metric("sluice_spool_backlog_records");
  const double disk = stack.Metric("sluice_spool_disk_bytes");
  EXPECT_GT(backlog, 1000.0 * static_cast<double>(away.count()));
  EXPECT_LT(disk, 1000 * backlog + (128 << 20)) << "300 bytes each, a segment and the reserve";
  server.Start();
  const auto start = steady_clock::now();
  ASSERT_TRUE(Eventually([&] { return stack.Metric("sluice_spool_backlog_records") < 1000; },
                         seconds(300)));
  const double took = std::chrono::duration<double>(steady_clock::now() - start).count();
  scenario.Recovered(steady_clock::now() - start);
  rig.FinishFleet();
  scenario.Repeated();
  scenario.Say("memory " + std::to_string(before) + " → " + std::to_string(after) + " kB");
  scenario.Say("spool " + std::to_string(static_cast<int64_t>(disk) >> 20) + " MiB");
  scenario.Say("caught up at " + std::to_string(static_cast<int64_t>(backlog / took + 5000)) +
               " messages/s");
  scenario.Judged(rig.Settle());
}

TEST(PostgresOutage, ThatFillsTheSpoolLeavesMessagesWithTheBroker) {
  Scenario scenario("6", "PostgreSQL: away until the spool has reached SPOOL_MAX_BYTES");
  PostgresServer server;
  FaultRig rig(Env{{"SPOOL_MAX_BYTES", "4MiB"}, {"SPOOL_SEGMENT_BYTES", "1MiB"}}, &server);
  SluiceStack& stack = rig.stack();
  stack.Start();
  for (int i = 0; i < Repetitions(1, 10); ++i) {
    server.Stop(PostgresServer::StopMode::kImmediate);
    rig.Publish(20'000, 8000);  // the broker takes what the daemon does not
    EXPECT_TRUE(rig.SoonNotReady("spool: "));
    EXPECT_EQ(stack.Metric("sluice_spool_full"), 1);
    EXPECT_TRUE(Eventually([&] { return stack.Metric("sluice_mqtt_up") == 0; }));
    EXPECT_LE(stack.Metric("sluice_spool_disk_bytes"), 5 << 20) << "the limit and a segment";
    server.Start();
    ASSERT_TRUE(rig.ReadyAgain(scenario));
    scenario.Repeated();
  }
  scenario.Judged(rig.Settle());
}

// Fresh devices, so nothing is cached yet: what cannot be asked for must not be taken for "no".
class RegistryOutage : public ::testing::Test {
 protected:
  void Check(const std::string& name, const std::string& says, const std::string& breaking,
             const std::string& mending) {
    Scenario scenario("12", name);
    for (int i = 0; i < Repetitions(1, 5); ++i) {
      FaultRig rig(Env{{"WRITE_TIMEOUT", "3s"}, {"PG_CONNECT_TIMEOUT", "2s"}});
      rig.stack().Start();
      const auto blocker = rig.stack().server().Connect(rig.stack().database());
      ASSERT_TRUE(blocker->Exec(breaking).ok());
      rig.Publish(1000, 2000);
      EXPECT_TRUE(rig.SoonNotReady(says));
      EXPECT_EQ(rig.stack().Count("quarantine_events"), 0);
      ASSERT_TRUE(blocker->Exec(mending).ok());
      ASSERT_TRUE(rig.ReadyAgain(scenario));
      scenario.Repeated();
      scenario.Judged(rig.Settle());
      EXPECT_EQ(rig.stack().Count("quarantine_events WHERE reason = 'UNREGISTERED_DEVICE' AND "
                                  "tenant_id || device_id IN "
                                  "(SELECT tenant_id || device_id FROM device_registry)"),
                0);
    }
  }
};

TEST_F(RegistryOutage, ALookUpThatTimesOutIsNotTakenForUnregistered) {
  Check("registry: locked, look-ups time out", "database retrying",
        "BEGIN; LOCK TABLE device_registry IN ACCESS EXCLUSIVE MODE", "ROLLBACK");
}

TEST_F(RegistryOutage, ALookUpThatFailsIsNotTakenForUnregistered) {
  Check("registry: look-ups fail (42P01)", "database paused",
        "ALTER TABLE device_registry RENAME TO away", "ALTER TABLE away RENAME TO device_registry");
}

TEST_F(RegistryOutage, ALookUpThatIsNotAllowedIsNotTakenForUnregistered) {
  Check("registry: look-ups not allowed (42501)", "database paused",
        "REVOKE SELECT ON device_registry FROM sluice_ingest",
        "GRANT SELECT ON device_registry TO sluice_ingest");
}

}  // namespace
}  // namespace sluice::testing
