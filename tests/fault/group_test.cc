// Two daemons of one shared group on one database: one is killed, stopped, cut off, drained.
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "tests/fault/fault_rig.h"
#include "tests/support/free_port.h"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds kBeyondKeepAlive(8);  // more than 1.5 times the keep-alive below

// The rig's daemon is member 1; this is member 2, with a spool, a port and a line of its own.
class Pair {
 public:
  Pair() : line_(rig_.AnotherBrokerLine()), env_(rig_.stack().env()) {
    env_["MQTT_CLIENT_ID"] = "member-2";
    env_["MQTT_PORT"] = std::to_string(line_->port());
    env_["SPOOL_DIR"] = rig_.stack().Path("spool-2");
    env_["HTTP_PORT"] = std::to_string(FreePort());
    rig_.stack().Start();
    Launch();
    EXPECT_TRUE(SoonReady());
  }
  ~Pair() {
    if (::testing::Test::HasFailure()) {
      std::fprintf(stderr, "--- log of member 2\n%s---\n", log().c_str());
    }
  }

  FaultRig& rig() { return rig_; }
  Process& second() { return *second_; }
  TcpProxy& second_line() { return *line_; }
  const Env& second_env() const { return env_; }
  std::string log() { return ReadFile(rig_.stack().Path("log-2")); }

  void Launch() {
    second_ = Process::Start({.argv = {BinaryPath("sluice"), "ingest"},
                              .env = env_,
                              .stderr_path = rig_.stack().Path("log-2")});
  }
  // Asks the rig's questions of member 2.
  template <typename Question>
  auto OfSecond(Question question) {
    Env& env = rig_.stack().env();
    const std::string first = std::exchange(env["HTTP_PORT"], env_["HTTP_PORT"]);
    auto answer = question(rig_);
    env["HTTP_PORT"] = first;
    return answer;
  }
  bool SoonReady() {
    return OfSecond([](FaultRig& rig) { return rig.SoonReady(); });
  }
  bool SoonNotReady(const std::string& text) {
    return OfSecond([&](FaultRig& rig) { return rig.SoonNotReady(text); });
  }
  double Metric(const std::string& series) {
    return OfSecond([&](FaultRig& rig) { return rig.stack().Metric(series); });
  }

  // Judges when both have taken and committed everything.
  Judgement Settle() {
    EXPECT_TRUE(OfSecond([](FaultRig& rig) { return rig.SoonQuiet(seconds(120)); }));
    EXPECT_EQ(Metric("sluice_accounting_gap_messages"), 0);
    EXPECT_TRUE(Eventually([&] { return Metric("sluice_broker_dropped_messages") == 0; }));
    return rig_.Settle();
  }
  void FinishAndJudge(Scenario& scenario) {
    rig_.FinishFleet();
    scenario.Judged(Settle());
  }
  bool ReadyAgain(Scenario& scenario) {
    return OfSecond([&](FaultRig& rig) { return rig.ReadyAgain(scenario); });
  }

 private:
  FaultRig rig_{Env{{"MQTT_SHARED_GROUP", "ingest"},
                    {"MQTT_CLIENT_ID", "member-1"},
                    {"MQTT_KEEPALIVE_SECONDS", "5"}}};
  const std::unique_ptr<TcpProxy> line_;
  Env env_;
  std::unique_ptr<Process> second_;
};

TEST(SharedGroup, AKilledMemberLosesNothingAndRepeatsNothing) {
  Scenario scenario("10", "shared group: one of two killed (kill -9)");
  Pair pair;
  pair.rig().StartFleet(2000);
  for (int i = 0; i < Repetitions(2, 50); ++i) {
    std::this_thread::sleep_for(RandomMoment(50, 800));
    pair.second().Signal(SIGKILL);
    ASSERT_TRUE(pair.second().Wait(seconds(10)).has_value());
    EXPECT_TRUE(pair.rig().SoonReady()) << "the other one is not concerned";
    std::this_thread::sleep_for(RandomMoment(0, 500));
    pair.Launch();
    ASSERT_TRUE(pair.ReadyAgain(scenario));
    scenario.Repeated();
  }
  pair.FinishAndJudge(scenario);
}

TEST(SharedGroup, AStoppedOrCutOffMemberLosesNothingAndRepeatsNothing) {
  Scenario scenario("10", "shared group: one of two stopped (SIGSTOP), its link stalled");
  Pair pair;
  pair.rig().StartFleet(1000);
  const seconds lasting = FullCampaign() ? kBeyondKeepAlive : seconds(2);
  for (int i = 0; i < Repetitions(1, 10); ++i) {
    std::this_thread::sleep_for(RandomMoment(50, 500));
    pair.second().Signal(SIGSTOP);
    std::this_thread::sleep_for(lasting);
    EXPECT_TRUE(pair.rig().SoonReady()) << "the other one is not concerned";
    pair.second().Signal(SIGCONT);
    ASSERT_TRUE(pair.ReadyAgain(scenario));
    pair.second_line().Stall(true);
    std::this_thread::sleep_for(lasting);
    if (FullCampaign()) {
      EXPECT_TRUE(pair.SoonNotReady("broker: connection to the broker lost"));
    }
    EXPECT_TRUE(pair.rig().SoonReady()) << "the other one is not concerned";
    pair.second_line().Stall(false);
    ASSERT_TRUE(pair.ReadyAgain(scenario));
    scenario.Repeated();
  }
  pair.FinishAndJudge(scenario);
}

TEST(SharedGroup, ADrainedMemberStrandsNothing) {
  Scenario scenario("10", "shared group: one of two drained under load, and back");
  Pair pair;
  pair.rig().StartFleet(2000);
  const std::string said = pair.rig().stack().Path("drain");
  for (int i = 0; i < Repetitions(2, 20); ++i) {
    std::this_thread::sleep_for(RandomMoment(100, 800));
    const auto start = steady_clock::now();
    const auto drained =
        sluice::testing::Run({.argv = {BinaryPath("sluice"), "drain", "--timeout", "30s"},
                              .env = pair.second_env(),
                              .stdout_path = said,
                              .stderr_path = said});
    ASSERT_TRUE(drained.has_value() && drained->code == 0) << ReadFile(said);
    const auto ended = pair.second().Wait(seconds(30));
    ASSERT_TRUE(ended.has_value() && ended->code == 0);
    scenario.Recovered(steady_clock::now() - start);
    EXPECT_TRUE(pair.rig().SoonReady()) << "the other one takes over";
    std::this_thread::sleep_for(RandomMoment(0, 300));
    pair.Launch();
    ASSERT_TRUE(pair.SoonReady());
    EXPECT_EQ(pair.log().find("session_present=true"), std::string::npos)
        << "the broker still had the drained member's session";
    scenario.Repeated();
  }
  pair.FinishAndJudge(scenario);
}

}  // namespace
}  // namespace sluice::testing
