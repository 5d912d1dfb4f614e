#include "ingest/status_screen.h"

#include <gmock/gmock.h>

namespace sluice {
namespace {

using testing::AllOf;
using testing::DoubleNear;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kJson =
    R"({"version":"1.2.3","now":"2026-03-01T10:00:25.000000Z","uptime_seconds":10,"actions":false,
        "ready":true,"reason":"","stage":"working","broker":{"connected":true},
        "database":{"healthy":true,"reason":""},
        "accounting":{"received":1000,"stored":900,"quarantined":60,"duplicates":30,"spooled":10,
                      "damaged":0,"gap":0},
        "backlog":{"messages":10,"bytes":2048,"oldest_seconds":0.25},
        "latency":{"buckets":[[0.01,0],[0.02,100],[0.05,200]],"count":200,"sum":4},
        "reasons":{"TOKEN_INVALID":50,"INVALID_JSON":10},
        "process":{"cpu_seconds":1,"rss_bytes":25165824}})";

StatusSample Sample() {
  const Result<StatusSample> sample = ParseStatusSample(kJson);
  EXPECT_TRUE(sample.ok());
  return sample.ok() ? *sample : StatusSample();
}

TEST(StatusScreen, ShowsWhatTheDaemonSays) {
  const std::string screen = StatusScreen(Sample(), nullptr);
  EXPECT_THAT(screen, StartsWith("sluice 1.2.3  working  up 10.0 s  2026-03-01T10:00:25.000000Z"));
  EXPECT_THAT(screen, HasSubstr("ready       yes\n"));
  EXPECT_THAT(screen, HasSubstr("broker      connected\n"));
  EXPECT_THAT(screen, HasSubstr("database    up\n"));
  EXPECT_THAT(screen, HasSubstr("1000 received = 900 stored + 60 quarantined + 30 duplicates + 10 "
                                "spooled\n"));
  EXPECT_THAT(screen, HasSubstr("backlog     10 messages, 2.0 KiB, the oldest 250 ms\n"));
  EXPECT_THAT(screen, HasSubstr("latency     p50 20 ms  p99 49 ms  since the start\n"));
  EXPECT_THAT(screen, HasSubstr("process     24.0 MiB\n"));
  EXPECT_LT(screen.find("50  TOKEN_INVALID"), screen.find("10  INVALID_JSON"));
  EXPECT_THAT(screen, Not(HasSubstr("/s")));
}

TEST(StatusScreen, TellsRatesAndLatenciesOfTheTimeBetweenTwoLooks) {
  const StatusSample before = Sample();
  StatusSample now = before;
  now.uptime_seconds += 2;
  now.received += 50;
  now.stored += 20;
  now.reasons["TOKEN_INVALID"] += 4;
  now.reasons["RATE_LIMITED"] = 3;
  now.latency[2].second += 20;  // all of them took 20 to 50 ms
  now.latency_count += 20;
  now.cpu_seconds += 0.5;
  const std::string screen = StatusScreen(now, &before);
  EXPECT_THAT(screen, HasSubstr("received            25.0/s              1050\n"));
  EXPECT_THAT(screen, HasSubstr("stored              10.0/s               920\n"));
  EXPECT_THAT(screen, HasSubstr("duplicates           0.0/s                30\n"));
  EXPECT_THAT(screen, HasSubstr("2.0/s                54  TOKEN_INVALID\n"));
  EXPECT_THAT(screen, HasSubstr("1.5/s                 3  RATE_LIMITED\n"));
  EXPECT_THAT(screen, HasSubstr("p50 35 ms  p99 50 ms\n"));
  EXPECT_THAT(screen, HasSubstr("24.0 MiB, 25 % of a core\n"));
}

TEST(StatusScreen, SaysHowManyReasonsItLeavesOut) {
  StatusSample sample = Sample();
  for (const char* name : {"A", "B", "C", "D", "E", "F", "G", "H"}) sample.reasons[name] = 5;
  EXPECT_THAT(StatusScreen(sample, nullptr), EndsWith("5  H\n")) << "ten";
  sample.reasons["I"] = 4;
  EXPECT_THAT(StatusScreen(sample, nullptr), EndsWith("  … and 1 more reason (4 messages)\n"));
  sample.reasons["J"] = 1;
  EXPECT_THAT(StatusScreen(sample, nullptr), EndsWith("  … and 2 more reasons (5 messages)\n"));
}

TEST(StatusScreen, TakesADaemonThatWasStartedAnewForAnother) {
  const StatusSample before = Sample();
  StatusSample now = before;
  now.uptime_seconds = 1;
  now.received = 5;
  EXPECT_THAT(StatusScreen(now, &before),
              AllOf(HasSubstr("since the start"), Not(HasSubstr("/s"))));
}

TEST(StatusScreen, SaysWhatIsWrong) {
  StatusSample sample = Sample();
  sample.ready = sample.broker_connected = sample.database_healthy = false;
  sample.reason = "broker: away";
  sample.database_reason = "paused: 42501";
  sample.gap = -3;
  sample.damaged = 7;
  const std::string screen = StatusScreen(sample, nullptr);
  EXPECT_THAT(screen, HasSubstr("NO: broker: away\n"));
  EXPECT_THAT(screen, HasSubstr("broker      AWAY\n"));
  EXPECT_THAT(screen, HasSubstr("NOT UP: paused: 42501\n"));
  EXPECT_THAT(screen, HasSubstr("+ 7 damaged  GAP -3\n"));
}

TEST(StatusScreen, ShowsTextOnlyWhateverTheAnswerHolds) {
  StatusSample sample = Sample();
  sample.ready = sample.database_healthy = false;
  sample.version = sample.now = sample.stage = sample.reason = sample.database_reason =
      "\x1b[2J\xc2\x9b\xe2\x80\xae\xff\r";
  sample.reasons["\x1b]0;evil\x07"] = 99;
  for (const char c : StatusScreen(sample, nullptr)) {
    EXPECT_TRUE(c == '\n' || (c >= ' ' && c < 0x7f)) << static_cast<int>(c);
  }
}

TEST(StatusScreen, IsNoStatusThatLacksSomething) {
  for (const char* text : {"", "{}", "[]", "not json", R"({"version":"1"})"}) {
    EXPECT_FALSE(ParseStatusSample(text).ok()) << text;
  }
  std::string text = kJson;
  text.replace(text.find("\"gap\":0"), 7, "\"gap\":\"x\"");
  EXPECT_FALSE(ParseStatusSample(text).ok());
}

TEST(LatencyQuantile, IsWithinTheBucketThatHoldsIt) {
  StatusSample now;
  now.latency = {{0.1, 50}, {0.2, 100}};
  now.latency_count = 100;
  EXPECT_THAT(LatencyQuantile(now, {}, 0.5), DoubleNear(0.1, 1e-9));
  EXPECT_THAT(LatencyQuantile(now, {}, 0.75), DoubleNear(0.15, 1e-9));
  EXPECT_THAT(LatencyQuantile(now, {}, 0.25), DoubleNear(0.05, 1e-9));
  EXPECT_EQ(LatencyQuantile(now, now, 0.5), -1) << "nothing since";
  now.latency_count = 1000;
  EXPECT_THAT(LatencyQuantile(now, {}, 0.99), DoubleNear(0.2, 1e-9)) << "beyond the buckets";
}

}  // namespace
}  // namespace sluice
