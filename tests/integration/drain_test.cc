// `sluice drain`: a daemon that leaves for good strands nothing at the broker and loses nothing.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "tests/support/free_port.h"
#include "tests/support/publisher.h"
#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kTopic = "tenant/orchard/device/probe-7/telemetry";
constexpr const char* kEachOnce =
    "SELECT count(*) = count(DISTINCT seq) AND count(*) = max(seq) FROM telemetry";

// `sluice drain`, running beside the test.
class Drain {
 public:
  explicit Drain(const Env& env, const std::string& timeout = "20s", const std::string& user = "") {
    process_ = Process::Start({.argv = {BinaryPath("sluice"), "drain", "--timeout", timeout},
                               .env = env,
                               .stdout_path = directory_.Path("out"),
                               .stderr_path = directory_.Path("out"),
                               .user = user});
  }
  int Wait() {
    const auto ended = process_->Wait(seconds(90));
    return ended ? ended->code : -1;
  }
  std::string said() const { return ReadFile(directory_.Path("out")); }

 private:
  TempDir directory_;
  std::unique_ptr<Process> process_;
};

// Publishes messages numbered 1, 2, 3 ….
class Numbered {
 public:
  explicit Numbered(uint16_t port) : publisher_(port) {}
  void Publish(int count) {
    for (int i = 0; i < count; ++i) {
      publisher_.Publish(kTopic, R"({"site_id":"north","provision_token":"tok-apple","seq":)" +
                                     std::to_string(++last_) + "}");
    }
  }
  int64_t last() const { return last_; }

 private:
  Publisher publisher_;
  int64_t last_ = 0;
};

void ExpectOrderlyEnd(SluiceStack& stack) {
  const auto ended = stack.daemon().Wait(seconds(30));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->code, 0);
}

TEST(Drain, LeavesNothingBehindAtTheBroker) {
  SluiceStack stack;
  stack.Register({});
  stack.Start();
  Numbered fleet(stack.broker().port());
  fleet.Publish(50);
  Drain drain(stack.env());
  EXPECT_EQ(drain.Wait(), 0) << drain.said();
  EXPECT_THAT(drain.said(), HasSubstr("drained: received=50 stored=50"));
  ExpectOrderlyEnd(stack);
  EXPECT_THAT(stack.accounting(), HasSubstr("received=50 stored=50"));

  fleet.Publish(10);
  stack.Start();
  EXPECT_THAT(stack.log(), Not(HasSubstr("session_present=true")));
  fleet.Publish(1);
  EXPECT_TRUE(Eventually([&] { return stack.Count("telemetry WHERE seq = 61") == 1; }));
  EXPECT_EQ(stack.Count("telemetry"), 51) << "the ten were published when nobody was subscribed";
}

TEST(Drain, TakesAllThatTheBrokerHadQueued) {
  SluiceStack stack(Env{{"MQTT_RECEIVE_MAXIMUM", "5"}});
  stack.Register({});
  stack.Start();
  ASSERT_TRUE(stack.Stop().has_value());
  Numbered fleet(stack.broker().port());
  fleet.Publish(1000);
  // As early as it can be found, so that the drain begins before the queue has arrived.
  stack.Launch();
  ASSERT_TRUE(Eventually([&] {
    Drain drain(stack.env());
    return drain.Wait() == 0;
  }));
  ExpectOrderlyEnd(stack);
  EXPECT_EQ(stack.Count("telemetry"), 1000);
  EXPECT_EQ(stack.Value(kEachOnce), "t");
}

TEST(Drain, WaitsForADatabaseThatIsAwayAndSaysSo) {
  PostgresServer server;
  SluiceStack stack({{"DRAIN_SECONDS", "2"}}, &server);
  stack.Register({});
  stack.Start();
  server.Stop(PostgresServer::StopMode::kImmediate);
  Numbered fleet(stack.broker().port());
  fleet.Publish(20);
  Drain impatient(stack.env(), "4s");
  EXPECT_EQ(impatient.Wait(), 1);
  EXPECT_THAT(impatient.said(), HasSubstr("has not finished within 4s"));
  int status = 0;
  const std::string ready = stack.Http("/ready", &status);
  EXPECT_EQ(status, 503);
  EXPECT_THAT(ready, HasSubstr("draining: 20 messages wait to be written"));
  EXPECT_THAT(ready, HasSubstr("database"));
  stack.Http("/health", &status);
  EXPECT_EQ(status, 200);

  Drain patient(stack.env());
  server.Start();
  EXPECT_EQ(patient.Wait(), 0) << patient.said();
  ExpectOrderlyEnd(stack);
  EXPECT_EQ(stack.Count("telemetry"), 20);
}

TEST(Drain, AStopDuringTheDrainIsAnOrdinaryStop) {
  PostgresServer server;
  SluiceStack stack({{"DRAIN_SECONDS", "1"}}, &server);
  stack.Register({});
  stack.Start();
  server.Stop(PostgresServer::StopMode::kImmediate);
  Numbered fleet(stack.broker().port());
  fleet.Publish(20);
  Drain drain(stack.env());
  ASSERT_TRUE(Eventually(
      [&] { return stack.Http("/ready").find("draining: 20 messages") != std::string::npos; }));
  const auto ended = stack.Stop(seconds(20));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->code, 0);
  EXPECT_THAT(stack.accounting(), HasSubstr("spooled=20"));
  EXPECT_EQ(drain.Wait(), 1);
  EXPECT_THAT(drain.said(), HasSubstr("without having drained"));
  server.Start();
  stack.Start();
  EXPECT_TRUE(Eventually([&] { return stack.Count("telemetry") == 20; }));
}

TEST(Drain, GoesOnWhenTheBrokerGoesAndComesBack) {
  SluiceStack stack;
  stack.Register({});
  stack.Start();
  Numbered(stack.broker().port()).Publish(10);
  stack.broker().Stop();
  ASSERT_TRUE(
      Eventually([&] { return stack.Http("/ready").find("broker: ") != std::string::npos; }));
  Drain drain(stack.env());
  ASSERT_TRUE(Eventually(
      [&] { return stack.Http("/ready").find("draining: broker: ") != std::string::npos; }));
  stack.broker().Start();
  EXPECT_EQ(drain.Wait(), 0) << drain.said();
  ExpectOrderlyEnd(stack);
  EXPECT_EQ(stack.Count("telemetry"), 10);
}

TEST(Drain, AMemberOfASharedGroupLeavesUnderLoadAndNothingIsLostOrTwice) {
  SluiceStack stack(Env{{"MQTT_SHARED_GROUP", "ingest"},
                        {"MQTT_CLIENT_ID", "member-1"},
                        {"MQTT_RECEIVE_MAXIMUM", "20"}});
  stack.Register({});
  stack.Start();
  Env env = stack.env();
  env["MQTT_CLIENT_ID"] = "member-2";
  env["SPOOL_DIR"] = stack.Path("spool-2");
  env["HTTP_PORT"] = std::to_string(FreePort());
  const auto second = Process::Start(
      {.argv = {BinaryPath("sluice"), "ingest"}, .env = env, .stderr_path = stack.Path("log-2")});
  ASSERT_TRUE(Eventually(
      [&] { return ReadFile(stack.Path("log-2")).find("mqtt_subscribed") != std::string::npos; }));
  Numbered fleet(stack.broker().port());
  std::atomic<bool> enough = false;
  std::thread load([&] {
    while (!enough) fleet.Publish(50);
  });
  EXPECT_TRUE(Eventually([&] { return stack.Count("telemetry") > 500; }));
  Drain drain(stack.env());
  EXPECT_EQ(drain.Wait(), 0) << drain.said();
  enough = true;
  load.join();
  fleet.Publish(100);
  EXPECT_TRUE(Eventually([&] { return stack.Count("telemetry") >= fleet.last(); }));
  EXPECT_EQ(stack.Count("telemetry"), fleet.last());
  EXPECT_EQ(stack.Value(kEachOnce), "t");
  EXPECT_EQ(stack.Value("SELECT count(DISTINCT spool_id) FROM ingest_ledger"), "2");
}

TEST(Drain, WithoutADaemonSaysSo) {
  SluiceStack stack;
  Drain nobody(stack.env());
  EXPECT_EQ(nobody.Wait(), 1);
  EXPECT_THAT(nobody.said(), HasSubstr("no daemon works on the spool " + stack.spool_dir()));
  stack.Start();
  stack.Kill();
  Drain stale(stack.env());
  EXPECT_EQ(stale.Wait(), 1);
  EXPECT_THAT(stale.said(), HasSubstr("no daemon works on the spool " + stack.spool_dir()));
}

TEST(Drain, ByAStrangerIsRefusedAndTheDaemonGoesOn) {
  if (geteuid() != 0) GTEST_SKIP() << "needs a second user";
  SluiceStack stack;
  stack.Start();
  Drain stranger(stack.env(), "5s", "nobody");
  EXPECT_EQ(stranger.Wait(), 1);
  EXPECT_THAT(stranger.said(), HasSubstr("Permission denied"));
  int status = 0;
  stack.Http("/ready", &status);
  EXPECT_EQ(status, 200);
}

TEST(Drain, RefusesATimeoutThatIsNone) {
  Drain drain({}, "soon");
  EXPECT_EQ(drain.Wait(), 1);
  EXPECT_THAT(drain.said(), HasSubstr("--timeout soon"));
}

}  // namespace
}  // namespace sluice::testing
