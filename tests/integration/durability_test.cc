// Crashes, stops and outages under load: nothing acknowledged is lost, nothing is written twice.
//
// The load generator logs what the broker acknowledged to it, message by message; the judge
// compares that log with the rows. How many times and how long is short here; SLUICE_CRASHES and
// SLUICE_OUTAGE_SECONDS in the environment make it a campaign.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

int FromEnv(const char* name, int fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::atoi(text);
}

// A fleet of good messages, each with a sequence number of its own per device.
class Fleet {
 public:
  explicit Fleet(SluiceStack& stack) : stack_(stack) {
    const std::string sql = stack.Path("register.sql");
    sluice::testing::Run(
        {.argv = {BinaryPath("sluice-loadtest"), "register", "--tenants", "5", "--devices", "100"},
         .stdout_path = sql});
    stack.Sql(ReadFile(sql));
  }

  void Start(int rate, int for_seconds) {
    process_ = Process::Start(
        {.argv = {BinaryPath("sluice-loadtest"), "fleet", "--port",
                  std::to_string(stack_.broker().port()), "--tenants", "5", "--devices", "100",
                  "--rate", std::to_string(rate), "--for", std::to_string(for_seconds),
                  "--bad-percent", "0", "--reconnect", "--ack-log", log_path(), "--quiet"},
         .stdout_path = stack_.Path("fleet.out"),
         .stderr_path = stack_.Path("fleet.out")});
  }
  // Waits until everything is acknowledged.
  void Finish() {
    const auto ended = process_->Wait(seconds(120));
    ASSERT_TRUE(ended.has_value());
    ASSERT_EQ(ended->code, 0) << ReadFile(stack_.Path("fleet.out"));
  }
  std::string log_path() const { return stack_.Path("acked"); }

 private:
  SluiceStack& stack_;
  std::unique_ptr<Process> process_;
};

struct Judgement {
  size_t acknowledged = 0;
  size_t lost = 0;
  int64_t duplicated = 0;
};

// Every acknowledged (tenant, device, seq) must be a row, once.
Judgement Judge(SluiceStack& stack, const Fleet& fleet) {
  std::set<std::string> stored;
  const PgRows rows =
      stack.Sql("SELECT tenant_id || ' ' || device_id || ' ' || seq FROM telemetry");
  for (int i = 0; i < rows.size(); ++i) stored.emplace(rows.Text(i, 0));
  Judgement judgement;
  std::ifstream log(fleet.log_path());
  for (std::string line; std::getline(log, line);) {
    ++judgement.acknowledged;
    if (!stored.contains(line)) ++judgement.lost;
  }
  judgement.duplicated = rows.size() - static_cast<int64_t>(stored.size());
  return judgement;
}

void ExpectNothingLostOrTwice(SluiceStack& stack, const Fleet& fleet) {
  ASSERT_TRUE(
      Eventually([&] { return stack.Metric("sluice_spool_backlog_records") == 0; }, seconds(60)));
  // What the broker still has in flight comes now; wait until it is quiet.
  double before = -1;
  ASSERT_TRUE(Eventually(
      [&] {
        const double now = stack.Metric("sluice_received_messages_total");
        std::this_thread::sleep_for(milliseconds(300));
        return std::exchange(before, now) == now &&
               stack.Metric("sluice_spool_backlog_records") == 0;
      },
      seconds(60)));
  const Judgement judgement = Judge(stack, fleet);
  EXPECT_GT(judgement.acknowledged, 0U);
  EXPECT_EQ(judgement.lost, 0U) << "of " << judgement.acknowledged;
  EXPECT_EQ(judgement.duplicated, 0);
  std::printf("acknowledged=%zu lost=%zu duplicated=%lld\n", judgement.acknowledged, judgement.lost,
              static_cast<long long>(judgement.duplicated));
}

TEST(Durability, KillingTheDaemonUnderLoadLosesNothingAndRepeatsNothing) {
  const int crashes = FromEnv("SLUICE_CRASHES", 3);
  SluiceStack stack;
  Fleet fleet(stack);
  stack.Start();
  fleet.Start(3000, 2 * crashes + 2);
  std::random_device device;
  const unsigned seed = device();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  for (int i = 0; i < crashes; ++i) {
    std::this_thread::sleep_for(
        milliseconds(std::uniform_int_distribution<int>(200, 1500)(random)));
    stack.Kill();
    stack.Start();
  }
  fleet.Finish();
  ExpectNothingLostOrTwice(stack, fleet);
  EXPECT_EQ(stack.Metric("sluice_accounting_gap_messages"), 0);
}

TEST(Durability, SigtermUnderLoadDrainsInTimeAndTheRestComesAfterTheNextStart) {
  SluiceStack stack(Env{{"DRAIN_SECONDS", "10"}});
  Fleet fleet(stack);
  stack.Start();
  fleet.Start(3000, 4);
  std::this_thread::sleep_for(seconds(2));
  const auto ended = stack.Stop(seconds(10));
  ASSERT_TRUE(ended.has_value()) << "did not exit within DRAIN_SECONDS";
  EXPECT_EQ(ended->code, 0);
  EXPECT_NE(stack.accounting().find("spooled=0"), std::string::npos) << stack.accounting();
  stack.Start();
  fleet.Finish();
  ExpectNothingLostOrTwice(stack, fleet);
}

TEST(Durability, SigtermWhilePostgresIsAwayKeepsEverythingInTheSpool) {
  PostgresServer server;
  SluiceStack stack(Env{{"DRAIN_SECONDS", "4"}}, &server);
  Fleet fleet(stack);
  stack.Start();
  fleet.Start(1000, 3);
  std::this_thread::sleep_for(seconds(1));
  server.Stop(PostgresServer::StopMode::kImmediate);
  fleet.Finish();
  const auto ended = stack.Stop(seconds(6));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->code, 0);
  EXPECT_EQ(stack.accounting().find("spooled=0"), std::string::npos) << stack.accounting();
  server.Start();
  stack.Start();
  ExpectNothingLostOrTwice(stack, fleet);
}

int64_t ResidentKilobytes(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::atoll(line.c_str() + 6);
  }
  return 0;
}

TEST(Durability, WhilePostgresIsAwayTheSpoolGrowsOnDiskAndEverythingArrivesAfterwards) {
  const int outage = FromEnv("SLUICE_OUTAGE_SECONDS", 5);
  PostgresServer server;
  SluiceStack stack(Env{}, &server);
  Fleet fleet(stack);
  stack.Start();
  fleet.Start(3000, outage + 4);
  std::this_thread::sleep_for(seconds(2));
  const int64_t resident = ResidentKilobytes(stack.daemon().pid());
  server.Stop(PostgresServer::StopMode::kImmediate);
  std::this_thread::sleep_for(seconds(outage));
  EXPECT_GT(stack.Metric("sluice_spool_backlog_records"), 1000);
  EXPECT_EQ(stack.Metric("sluice_mqtt_up"), 1);
  int status = 0;
  const std::string ready = stack.Http("/ready", &status);
  EXPECT_EQ(status, 503);
  EXPECT_NE(ready.find("database retrying"), std::string::npos) << ready;
  const int64_t grown = ResidentKilobytes(stack.daemon().pid()) - resident;
  std::printf("backlog %.0f records, resident memory %lld kB %+lld kB\n",
              stack.Metric("sluice_spool_backlog_records"), static_cast<long long>(resident),
              static_cast<long long>(grown));
  server.Start();
  fleet.Finish();
  ExpectNothingLostOrTwice(stack, fleet);
}

TEST(Durability, AFullSpoolLeavesMessagesWithTheBrokerAndTakesThemWhenThereIsRoom) {
  PostgresServer server;
  SluiceStack stack(Env{{"SPOOL_MAX_BYTES", "4MiB"}, {"SPOOL_SEGMENT_BYTES", "1MiB"}}, &server);
  Fleet fleet(stack);
  stack.Start();
  fleet.Start(4000, 6);
  server.Stop(PostgresServer::StopMode::kImmediate);
  ASSERT_TRUE(Eventually([&] { return stack.Metric("sluice_spool_full") == 1; }));
  ASSERT_TRUE(Eventually([&] { return stack.Metric("sluice_mqtt_up") == 0; }));
  int status = 0;
  EXPECT_NE(stack.Http("/ready", &status).find("spool: "), std::string::npos);
  EXPECT_EQ(status, 503);
  fleet.Finish();  // the broker takes what the daemon does not
  EXPECT_LT(stack.Metric("sluice_spool_disk_bytes"), 8 << 20);
  server.Start();
  ASSERT_TRUE(Eventually([&] { return stack.Metric("sluice_mqtt_up") == 1; }));
  ExpectNothingLostOrTwice(stack, fleet);
}

TEST(Durability, ABrokerThatIsRestartedIsSubscribedToAgain) {
  SluiceStack stack;
  Fleet fleet(stack);
  stack.Start();
  fleet.Start(1000, 4);
  std::this_thread::sleep_for(seconds(1));
  stack.broker().Stop();
  EXPECT_TRUE(Eventually([&] { return stack.Metric("sluice_mqtt_up") == 0; }));
  stack.broker().Start();
  fleet.Finish();
  ASSERT_TRUE(Eventually([&] { return stack.Metric("sluice_mqtt_up") == 1; }));
  ExpectNothingLostOrTwice(stack, fleet);
}

TEST(Durability, ASecondDaemonOnTheSameSpoolIsRefusedAndTheFirstIsUnharmed) {
  SluiceStack stack;
  stack.Start();
  Env env = stack.env();
  env["HTTP_PORT"] = "0";
  const std::string output = stack.Path("second");
  const auto ended = sluice::testing::Run({.argv = {BinaryPath("sluice"), "ingest"},
                                           .env = env,
                                           .stdout_path = output,
                                           .stderr_path = output},
                                          seconds(10));
  ASSERT_TRUE(ended.has_value());
  EXPECT_NE(ended->code, 0);
  EXPECT_NE(ReadFile(output).find("lock"), std::string::npos) << ReadFile(output);
  EXPECT_TRUE(stack.daemon().Running());
}

}  // namespace
}  // namespace sluice::testing
