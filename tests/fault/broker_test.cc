// The broker is restarted, killed, stopped, forgets; the line to it fails in every way lines do.
#include <gtest/gtest.h>
#include <signal.h>

#include <list>
#include <thread>

#include "tests/fault/fault_rig.h"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds kPromised(30);  // to be connected and subscribed again
constexpr const char* kShortKeepAlive = "5";
constexpr const char* kConnects = "sluice_mqtt_connects_total";
constexpr const char* kPuback = "\x40\x02";  // how a PUBACK without a reason code begins

// The waits that are shipped, not those of tests.
Env ShippedBackoff(Env env = {}) {
  env["MQTT_RECONNECT_MIN"] = "500ms";
  env["MQTT_RECONNECT_MAX"] = "10s";
  return env;
}

void ExpectNothingDropped(FaultRig& rig) {
  // The broker brings its figure up to date every 10 seconds.
  if (FullCampaign()) std::this_thread::sleep_for(seconds(11));
  EXPECT_TRUE(
      Eventually([&] { return rig.stack().Metric("sluice_broker_dropped_messages") == 0; }));
}

void FinishAndJudge(FaultRig& rig, Scenario& scenario) {
  rig.FinishFleet();
  scenario.Judged(rig.Settle());
  ExpectNothingDropped(rig);
  const auto again = static_cast<double>(rig.tap().redeliveries());
  const double recognised = rig.stack().Metric("sluice_duplicate_messages_total");
  EXPECT_LE(recognised, again) << "a message was taken for a duplicate that was none";
  scenario.Say(std::to_string(rig.tap().redeliveries()) + " delivered again");
}

TEST(BrokerOutage, AnOrderlyRestartLosesNothingAndRepeatsNothing) {
  Scenario scenario("9", "broker: stopped and started again");
  FaultRig rig(ShippedBackoff());
  rig.stack().Start();
  rig.StartFleet(2000);
  for (int i = 0; i < Repetitions(1, 20); ++i) {
    std::this_thread::sleep_for(RandomMoment(200, 1500));
    rig.broker().Stop();
    EXPECT_TRUE(rig.SoonNotReady("broker: "));
    std::this_thread::sleep_for(RandomMoment(0, FullCampaign() ? 15'000 : 500));
    rig.broker().Start();
    ASSERT_TRUE(rig.ReadyAgain(scenario, kPromised)) << rig.stack().Http("/ready");
    scenario.Repeated();
  }
  FinishAndJudge(rig, scenario);
}

// What the broker acknowledged to a publisher and forgot before the daemon acknowledged it is
// nobody's to bring back; it is counted apart.
std::string TakeOutForgotten(const FaultRig& rig, Judgement* judgement) {
  const auto delivered = rig.tap().delivered();
  const auto acknowledged = rig.tap().acknowledged();
  size_t on_the_line = 0;
  size_t forgotten = 0;
  for (const std::string& id : judgement->lost_ids) {
    if (acknowledged.contains(id)) continue;
    ++(delivered.contains(id) ? on_the_line : forgotten);
  }
  judgement->lost -= forgotten + on_the_line;
  return "forgotten by the broker: " + std::to_string(forgotten) + " never handed over, " +
         std::to_string(on_the_line) + " on the line when it died";
}

TEST(BrokerOutage, AKillLosesAndRepeatsNothingThatTheDaemonHasAcknowledged) {
  Scenario scenario("9", "broker: kill -9 and started again");
  FaultRig rig(ShippedBackoff());
  rig.stack().Start();
  rig.broker().Restart();  // an orderly stop saves the daemon's session
  ASSERT_TRUE(rig.SoonReady(kPromised));
  rig.StartFleet(3000);
  for (int i = 0; i < Repetitions(1, 20); ++i) {
    // Longer than it is between two of the broker's snapshots, so that what it goes back to is one
    // taken under load.
    std::this_thread::sleep_for(RandomMoment(6000, FullCampaign() ? 12'000 : 7000));
    rig.broker().Kill();
    EXPECT_TRUE(rig.SoonNotReady("broker: "));
    rig.broker().Start();
    ASSERT_TRUE(rig.ReadyAgain(scenario, kPromised)) << rig.stack().Http("/ready");
    scenario.Repeated();
  }
  rig.FinishFleet();
  Judgement judgement = rig.Settle();
  scenario.Say(TakeOutForgotten(rig, &judgement));
  scenario.Judged(judgement);
  ExpectNothingDropped(rig);
  scenario.Say(std::to_string(rig.tap().redeliveries()) + " delivered again");
}

TEST(BrokerOutage, ALostSessionIsSaidAndTheDaemonGoesOn) {
  Scenario scenario("9", "broker: comes back without what it had saved");
  FaultRig rig(ShippedBackoff());
  rig.stack().Start();
  for (int i = 0; i < Repetitions(1, 5); ++i) {
    rig.Publish(500, 2000);
    rig.Settle();
    rig.broker().Stop();
    EXPECT_TRUE(rig.SoonNotReady("broker: "));
    rig.broker().Forget();
    rig.broker().Start();
    ASSERT_TRUE(rig.ReadyAgain(scenario, kPromised)) << rig.stack().Http("/ready");
    EXPECT_NE(rig.stack().log().find("mqtt_session_lost"), std::string::npos);
    scenario.Repeated();
  }
  rig.StartFleet(2000);
  std::this_thread::sleep_for(milliseconds(500));
  FinishAndJudge(rig, scenario);
}

// A fault that only a deadline ends, and a rig to inflict it on.
struct SlowFault {
  SlowFault(const std::string& name, const char* words, void (*to_inflict)(FaultRig&),
            void (*to_relieve)(FaultRig&))
      : scenario("9", name), says(words), inflict(to_inflict), relieve(to_relieve) {}

  Scenario scenario;
  const char* says;  // by /ready while it lasts; nullptr when the daemon cannot answer
  void (*inflict)(FaultRig& rig);
  void (*relieve)(FaultRig& rig);
  FaultRig rig{ShippedBackoff(Env{{"MQTT_KEEPALIVE_SECONDS", kShortKeepAlive}})};
  double connects = 0;  // before it
};

void Suffer(std::list<SlowFault>& faults, milliseconds lasting) {
  std::this_thread::sleep_for(RandomMoment(200, 800));
  const auto until = steady_clock::now() + lasting;
  for (SlowFault& fault : faults) {
    fault.connects = fault.rig.stack().Metric(kConnects);
    fault.inflict(fault.rig);
  }
  for (SlowFault& fault : faults) {
    if (fault.says == nullptr) continue;
    EXPECT_TRUE(fault.rig.SoonNotReady(fault.says));
  }
  std::this_thread::sleep_until(until);
  for (SlowFault& fault : faults) fault.relieve(fault.rig);
  const auto relieved = steady_clock::now();
  for (SlowFault& fault : faults) {
    // Ready may still be the word of before.
    EXPECT_TRUE(Eventually([&] { return fault.rig.stack().Metric(kConnects) > fault.connects; },
                           kPromised));
    ASSERT_TRUE(fault.rig.SoonReady(kPromised)) << fault.rig.stack().Http("/ready");
    fault.scenario.Recovered(steady_clock::now() - relieved);
    fault.scenario.Repeated();
  }
}

// All at once, because each takes its time.
TEST(SlowFaults, OfTheBrokerTheLinkAndTheDaemonLoseNothingAndRepeatNothing) {
  const seconds lasting(Repetitions(11, 60));  // a connect may take 10, the keep-alive 7.5
  const std::string time = " for " + std::to_string(lasting.count()) + " s";
  std::list<SlowFault> faults;
  // First, as this one is over soon after it was noticed.
  faults.emplace_back(
      "link to the broker: half open, keep-alive 5 s", "broker: connection to the broker lost",
      [](FaultRig& rig) { rig.broker_line().HalfOpenAll(); }, [](FaultRig&) {});
  // Its kernel takes connections, and nobody answers.
  faults.emplace_back(
      "broker: stopped (SIGSTOP)" + time, "broker: connect: ",
      [](FaultRig& rig) {
        rig.broker().Signal(SIGSTOP);
        rig.broker_line().CutAll();
      },
      [](FaultRig& rig) { rig.broker().Signal(SIGCONT); });
  faults.emplace_back(
      "daemon: stopped (SIGSTOP)" + time, nullptr,
      [](FaultRig& rig) { rig.stack().daemon().Signal(SIGSTOP); },
      [](FaultRig& rig) {
        // The broker looks at who is silent when it comes to it.
        EXPECT_TRUE(Eventually(
            [&] { return rig.broker().Log().find("exceeded timeout") != std::string::npos; }));
        rig.stack().daemon().Signal(SIGCONT);
      });
  faults.emplace_back(
      "link to the broker: stalled" + time + ", keep-alive 5 s",
      "broker: connection to the broker lost", [](FaultRig& rig) { rig.broker_line().Stall(true); },
      [](FaultRig& rig) { rig.broker_line().Stall(false); });
  for (SlowFault& fault : faults) {
    fault.rig.stack().Start();
    fault.rig.StartFleet(300);
  }
  for (int i = 0; i < Repetitions(1, 5); ++i) Suffer(faults, lasting);
  for (SlowFault& fault : faults) fault.rig.FinishFleet();
  for (SlowFault& fault : faults) {
    fault.scenario.Judged(fault.rig.Settle());
    ExpectNothingDropped(fault.rig);
  }
}

TEST(BrokerLine, ResetOrSlowLosesNothingAndRepeatsNothing) {
  Scenario scenario("9", "link to the broker: reset, slow");
  FaultRig rig(ShippedBackoff());
  rig.stack().Start();
  rig.StartFleet(1000);
  TcpProxy& line = rig.broker_line();
  for (int i = 0; i < Repetitions(2, 20); ++i) {
    std::this_thread::sleep_for(RandomMoment(50, 300));
    line.ResetAll();
    EXPECT_TRUE(rig.SoonNotReady("broker: "));
    ASSERT_TRUE(rig.ReadyAgain(scenario, kPromised)) << rig.stack().Http("/ready");
    line.LimitTo(50'000);
    std::this_thread::sleep_for(RandomMoment(500, 1000));
    line.LimitTo(0);
    ASSERT_TRUE(rig.ReadyAgain(scenario, kPromised)) << rig.stack().Http("/ready");
    scenario.Repeated();
  }
  FinishAndJudge(rig, scenario);
}

TEST(BrokerLine, CutAnywhereLosesNothingAndRepeatsNothing) {
  Scenario scenario("9", "link to the broker: cut anywhere, in a PUBLISH, before a PUBACK");
  FaultRig rig;
  rig.stack().Start();
  rig.StartFleet(3000);
  TcpProxy& line = rig.broker_line();
  for (int i = 0; i < Repetitions(3, 100); ++i) {
    std::this_thread::sleep_for(RandomMoment(50, 500));
    const double connects = rig.stack().Metric(kConnects);
    if (i % 3 == 0) line.CutAll();
    if (i % 3 == 1) line.CutInNextAnswer();
    if (i % 3 == 2) line.CutAt(kPuback, TcpProxy::Cut::kBeforeRequest);
    const auto start = steady_clock::now();
    ASSERT_TRUE(Eventually([&] { return rig.stack().Metric(kConnects) > connects; }, kPromised));
    ASSERT_TRUE(rig.SoonReady(kPromised));
    scenario.Recovered(steady_clock::now() - start);
    scenario.Repeated();
  }
  FinishAndJudge(rig, scenario);
  EXPECT_GT(rig.tap().redeliveries(), 0U);
}

}  // namespace
}  // namespace sluice::testing
