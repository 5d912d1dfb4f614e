// Floods: what they may cost the daemon, PostgreSQL, and a tenant that does nothing wrong.
//
// SLUICE_FLOOD_IDS is how many devices are invented, SLUICE_FLOOD_SECONDS how long one device
// shouts.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/abuse/abuse_rig.h"
#include "tests/fault/fault_rig.h"

namespace sluice::testing {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr int kMostCached = 5000;
constexpr int kKeptPerMinute = 2000;
constexpr int kBadPerSecond = 10'000;
constexpr int kGoodPerSecond = 200;

int FromEnv(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::stoi(text);
}

class Floods : public ::testing::Test {
 protected:
  // A device of another tenant that publishes at its steady rate until the test ends.
  void StartTheGoodOne() {
    good_ = std::jthread([this](const std::stop_token& stop) {
      auto client = rig_.Enter(Door::kToken, steady_);
      const auto begin = Clock::now();
      for (int i = 0; !stop.stop_requested(); ++i) {
        std::this_thread::sleep_until(begin + microseconds(1'000'000LL / kGoodPerSecond) * i);
        if (client->Publish({TelemetryOf(steady_.identity), GoodPayload()}) != 0) return;
      }
    });
    EXPECT_TRUE(Eventually([this] { return GoodRows() > 0; }));
  }
  int64_t GoodRows() { return rig_.stack.Count("telemetry WHERE device_id = 'steady'"); }
  // Rows a second while `run` runs.
  template <typename Function>
  double GoodRateDuring(Function run) {
    const int64_t rows = GoodRows();
    const auto begin = Clock::now();
    run();
    const int64_t now = GoodRows();
    return static_cast<double>(now - rows) /
           std::chrono::duration<double>(Clock::now() - begin).count();
  }
  // Calls `flood` with the daemon's memory and the good tenant's rate watched.
  template <typename Function>
  void Watch(Scenario& scenario, Function flood) {
    StartTheGoodOne();
    const double alone =
        GoodRateDuring([] { std::this_thread::sleep_for(seconds(Repetitions(1, 10))); });
    rig_.EnterAsService()->Publish({TelemetryOf("un/known"), BadPayload()});
    rig_.Settle();
    const size_t series = Series();
    const pid_t pid = rig_.stack.daemon().pid();
    const int64_t before = ResidentKilobytes(pid);
    std::atomic<int64_t> most{before};
    std::jthread watching([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        most = std::max<int64_t>(most, ResidentKilobytes(pid));
        std::this_thread::sleep_for(milliseconds(50));
      }
    });
    const double during = GoodRateDuring(flood);
    rig_.Settle();
    watching = {};
    good_ = {};
    const double kept = during / alone;
    if (FullCampaign()) {
      EXPECT_GE(kept, 0.9);
    }
    EXPECT_EQ(Series(), series) << "a flood must not add series to /metrics";
    char said[160];
    std::snprintf(
        said, sizeof said, "a good tenant keeps %.0f %% of its %.0f messages/s; RSS %.1f → %.1f MB",
        100 * kept, alone, static_cast<double>(before) / 1024, static_cast<double>(most) / 1024);
    scenario.Say(said);
  }
  // Without what the broker says every ten seconds.
  size_t Series() {
    std::istringstream page(rig_.stack.Http("/metrics"));
    size_t series = 0;
    for (std::string line; std::getline(page, line);) {
      if (line.find("sluice_broker_dropped") == std::string::npos) ++series;
    }
    return series;
  }
  void ExpectBounded(Scenario& scenario, Clock::time_point begin) {
    auto& stack = rig_.stack;
    EXPECT_LE(stack.Metric("sluice_cached_devices{registered=\"yes\"}"), kMostCached);
    EXPECT_LE(stack.Metric("sluice_cached_devices{registered=\"no\"}"), kMostCached);
    EXPECT_LE(stack.Metric("sluice_rate_limit_buckets"), 3);
    const double queries = stack.Metric("sluice_registry_queries_total");
    EXPECT_LE(queries, stack.Metric("sluice_chunk_messages_count")) << "one query a chunk";
    const int64_t kept = stack.Count("quarantine_events");
    const auto minutes = std::chrono::ceil<std::chrono::minutes>(Clock::now() - begin).count() + 1;
    EXPECT_LE(kept, kKeptPerMinute * minutes);
    scenario.Say(
        std::to_string(static_cast<int64_t>(queries)) + " queries for " +
        std::to_string(static_cast<int64_t>(stack.Metric("sluice_cache_misses_total"))) +
        " devices asked about, " + std::to_string(kept) + " messages kept, " +
        std::to_string(static_cast<int64_t>(stack.Metric("sluice_quarantine_withheld_total"))) +
        " counted only");
  }
  // W; the rest of the row is said already.
  void Judge(Scenario& scenario, size_t messages) {
    Judgement judgement;
    judgement.acknowledged = messages;
    judgement.wrongly_accepted =
        static_cast<size_t>(rig_.stack.Count("telemetry WHERE seq = " + std::to_string(kBadSeq)));
    scenario.Judged(judgement);
  }

  AbuseRig rig_{{{"AUTH_CACHE_MAX_SIZE", std::to_string(kMostCached)},
                 {"QUARANTINE_PER_MINUTE", std::to_string(kKeptPerMinute)},
                 {"QUARANTINE_PER_DEVICE_PER_MINUTE", "60"},
                 {"INGEST_WORKER_COUNT", "2"}}};
  const AbuseRig::Device steady_ = rig_.Add("good/steady");
  std::jthread good_;
};

TEST_F(Floods, InventedDevicesFillNothing) {
  const int count = FromEnv("SLUICE_FLOOD_IDS", Repetitions(20'000, 1'000'000));
  Scenario scenario("11", "invented device ids");
  const auto begin = Clock::now();
  Watch(scenario, [&] {
    auto service = rig_.EnterAsService();
    for (int first = 0; first < count; first += 1000) {
      std::vector<RawPublish> some;
      for (int i = first; i < std::min(count, first + 1000); ++i) {
        some.push_back(
            {TelemetryOf("t" + std::to_string(i % 1000) + "/i" + std::to_string(i)), BadPayload()});
      }
      ASSERT_EQ(service->PublishAll(some), some.size()) << rig_.broker.Log();
    }
    EXPECT_TRUE(Eventually(
        [&] {
          return rig_.stack.Metric(
                     "sluice_quarantined_messages_total{reason=\"UNREGISTERED_DEVICE\"}") >= count;
        },
        std::chrono::minutes(5)));
  });
  scenario.Repeated(count);
  scenario.Say(
      std::to_string(
          count /
          std::max<int64_t>(1, std::chrono::duration_cast<seconds>(Clock::now() - begin).count())) +
      " a second");
  ExpectBounded(scenario, begin);
  Judge(scenario, static_cast<size_t>(count));
}

TEST_F(Floods, OneShoutingDeviceDrownsNobody) {
  const int for_seconds = FromEnv("SLUICE_FLOOD_SECONDS", Repetitions(2, 60));
  Scenario scenario("11", "bad messages from one device, 10,000 a second");
  const auto shouting = rig_.Add("orchard/shouting");
  const auto begin = Clock::now();
  size_t sent = 0;
  double rate = 0;
  Watch(scenario, [&] {
    const std::string topic = TelemetryOf(shouting.identity);
    auto client = rig_.Enter(Door::kCertificate, shouting);
    std::vector<RawPublish> some;
    for (int i = 0; i < kBadPerSecond / 20; ++i) {
      some.push_back({topic, i % 2 == 0 ? BadPayload(R"(,"metrics":7)") : "{" + BadPayload()});
    }
    const auto first = Clock::now();
    for (int i = 0; i < 20 * for_seconds; ++i) {
      std::this_thread::sleep_until(first + milliseconds(50) * i);
      ASSERT_EQ(client->PublishAll(some), some.size()) << rig_.broker.Log();
      sent += some.size();
    }
    rate = static_cast<double>(sent) / std::chrono::duration<double>(Clock::now() - first).count();
  });
  scenario.Repeated(static_cast<int>(sent));
  scenario.Say(std::to_string(static_cast<int>(rate)) + " a second");
  ExpectBounded(scenario, begin);
  Judge(scenario, sent);
}

}  // namespace
}  // namespace sluice::testing
