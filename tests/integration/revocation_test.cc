// "Revoked means revoked within a second": with caches that would keep everything for an hour, a
// change in the database decides about messages that arrive a second after its commit, or later.
// Broker, daemon, database and publishers read the same clock here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <deque>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "tests/fault/campaign.h"
#include "tests/support/publisher.h"
#include "tests/support/sluice_stack.h"
#include "tests/support/tcp_proxy.h"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kSecond = 1'000'000;  // microseconds
const Env kHourLongCaches = {{"AUTH_CACHE_TTL_SECONDS", "3600"},
                             {"AUTH_CACHE_NEGATIVE_TTL_SECONDS", "3600"},
                             {"SETTINGS_POLL_SECONDS", "3600"}};

std::string Payload(const std::string& token, int seq = 0, const std::string& site = "north") {
  return R"({"site_id":")" + site + R"(","provision_token":")" + token + R"(","seq":)" +
         std::to_string(seq) + R"(,"metrics":{"heat":21.5}})";
}

// A device that publishes its payloads in turn, some hundreds a second, until it goes.
class Stream {
 public:
  Stream(SluiceStack& stack, const std::string& device,
         const std::vector<std::string>& payloads = {Payload("tok-apple")})
      : thread_([this, &stack, device, payloads] {
          Publisher publisher(stack.broker().port());
          while (!stopping_) {
            for (const std::string& payload : payloads) {
              publisher.Publish("tenant/orchard/device/" + device + "/telemetry", payload);
              std::this_thread::sleep_for(milliseconds(3));
            }
          }
        }) {}
  ~Stream() {
    stopping_ = true;
    thread_.join();
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

 private:
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

class Revocation : public ::testing::Test {
 protected:
  void Start() {
    stack_.Start();
    ASSERT_TRUE(SoonHearing());
  }
  bool SoonHearing(bool hearing = true) {
    return Eventually([&] { return stack_.Metric("sluice_listener_up") == (hearing ? 1 : 0); });
  }
  static std::string Rows(const std::string& device, int seq = 0) {
    return "telemetry WHERE device_id = '" + device + "' AND seq = " + std::to_string(seq);
  }
  static std::string Rejects(const std::string& device, const std::string& reason) {
    return "quarantine_events WHERE device_id = '" + device + "' AND reason = '" + reason + "'";
  }
  bool SoonSome(const std::string& from_where, int64_t count = 1) {
    return Eventually([&] { return stack_.Count(from_where) >= count; });
  }
  // When the first or last of the accepted ones arrived.
  int64_t Arrived(const std::string& which, const std::string& device, int seq = 0) {
    return std::stoll("0" +
                      stack_.Value("SELECT (extract(epoch FROM " + which +
                                   "(received_at)) * 1000000)::bigint FROM " + Rows(device, seq)));
  }
  // The time before the change, which is before its commit.
  UnixMicros Change(const std::string& sql) {
    const UnixMicros before = SystemClock().Now();
    stack_.Sql(sql);
    return before;
  }
  UnixMicros SetStatus(const std::string& device, const std::string& status) {
    return Change("UPDATE device_registry SET status = '" + status + "' WHERE device_id = '" +
                  device + "'");
  }
  static void SayWhen(Scenario& scenario, const std::string& what, int64_t after) {
    char said[120];
    std::snprintf(said, sizeof said, "%s %+.1f ms after the change was sent", what.c_str(),
                  static_cast<double>(after) / 1e3);
    scenario.Say(said);
  }
  // What was published a moment ago is committed, and more than the promised second has passed.
  void Settle() {
    std::this_thread::sleep_for(milliseconds(1500));
    EXPECT_TRUE(Eventually([this] { return stack_.Metric("sluice_spool_backlog_records") < 100; }));
  }
  void ExpectRevokedWithinASecond(const std::string& device) {
    const UnixMicros changed = SetStatus(device, "REVOKED");
    Settle();
    EXPECT_TRUE(SoonSome(Rejects(device, "DEVICE_REVOKED")));
    EXPECT_LE(Arrived("max", device) - changed, kSecond);
  }

  SluiceStack stack_{kHourLongCaches};
};

TEST_F(Revocation, OfADeviceThatPublishesIsHeededWithinASecond) {
  Scenario scenario("10", "a device publishes on after its revocation");
  Start();
  constexpr int kAtOnce = 10;
  const int rounds = Repetitions(1, 10);
  // Below 0: even what arrived shortly before the change was judged after it.
  int64_t latest = std::numeric_limits<int64_t>::min();
  int64_t rows = 0;
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::string> devices;
    std::deque<Stream> streams;
    std::vector<UnixMicros> revoked;
    for (int i = 0; i < kAtOnce; ++i) {
      devices.push_back("r" + std::to_string(round) + "-" + std::to_string(i));
      stack_.Register({.device = devices.back()});
      streams.emplace_back(stack_, devices.back());
    }
    for (const std::string& device : devices) ASSERT_TRUE(SoonSome(Rows(device), 100));
    for (const std::string& device : devices) {
      std::this_thread::sleep_for(RandomMoment(0, 100));
      revoked.push_back(SetStatus(device, "REVOKED"));
    }
    Settle();
    streams.clear();
    for (int i = 0; i < kAtOnce; ++i) {
      EXPECT_TRUE(SoonSome(Rejects(devices[i], "DEVICE_REVOKED")));
      latest = std::max(latest, Arrived("max", devices[i]) - revoked[i]);
      rows += stack_.Count(Rows(devices[i]));
    }
    EXPECT_LE(latest, kSecond);
  }
  scenario.Repeated(rounds * kAtOnce);
  Judgement judgement;
  judgement.acknowledged = static_cast<size_t>(rows);
  scenario.Judged(judgement);
  SayWhen(scenario, "the last accepted message", latest);
}

TEST_F(Revocation, AnotherTokenTakesTheOldOnesPlaceWithinASecond) {
  Scenario scenario("10", "the old token after a rotation; the new one at once");
  stack_.Register({.device = "rotated"});
  Start();
  Stream device(stack_, "rotated", {Payload("tok-apple", 1), Payload("tok-pear", 2)});
  ASSERT_TRUE(SoonSome(Rows("rotated", 1), 50));
  EXPECT_EQ(stack_.Count(Rows("rotated", 2)), 0);
  const UnixMicros changed =
      Change("UPDATE device_registry SET provision_token_hash = encode(sha256('tok-pear'), 'hex')");
  Settle();
  EXPECT_LE(Arrived("max", "rotated", 1) - changed, kSecond);
  ASSERT_TRUE(SoonSome(Rows("rotated", 2)));
  EXPECT_LE(Arrived("min", "rotated", 2) - changed, kSecond);
  scenario.Repeated();
  SayWhen(scenario, "the old one's last message", Arrived("max", "rotated", 1) - changed);
  SayWhen(scenario, "the new one's first", Arrived("min", "rotated", 2) - changed);
}

TEST_F(Revocation, ANewDeviceIsKnownWithinASecondThoughItWasUnknownBefore) {
  Scenario scenario("10", "a device that was refused before is registered");
  Start();
  Stream device(stack_, "late");
  ASSERT_TRUE(SoonSome(Rejects("late", "UNREGISTERED_DEVICE")));
  const UnixMicros before = SystemClock().Now();
  stack_.Register({.device = "late"});
  ASSERT_TRUE(SoonSome(Rows("late")));
  EXPECT_LE(Arrived("min", "late") - before, kSecond);
  scenario.Repeated();
  SayWhen(scenario, "its first message", Arrived("min", "late") - before);
}

TEST_F(Revocation, ASuspendedSubscriptionStopsItsDevicesWithinASecond) {
  stack_.Register({.device = "tenant", .subscription = "SUB"});
  Start();
  Stream device(stack_, "tenant");
  ASSERT_TRUE(SoonSome(Rows("tenant"), 50));
  const UnixMicros suspended = Change("UPDATE subscriptions SET status = 'SUSPENDED'");
  Settle();
  EXPECT_TRUE(SoonSome(Rejects("tenant", "SUBSCRIPTION_SUSPENDED")));
  EXPECT_LE(Arrived("max", "tenant") - suspended, kSecond);
  stack_.Sql("DELETE FROM telemetry");
  const UnixMicros resumed = Change("UPDATE subscriptions SET status = 'ACTIVE'");
  ASSERT_TRUE(SoonSome(Rows("tenant")));
  EXPECT_LE(Arrived("min", "tenant") - resumed, kSecond);
}

TEST_F(Revocation, SettingsOfTheDatabaseAreAppliedWithinASecond) {
  stack_.Register({.device = "wordy"});
  Start();
  Stream device(stack_, "wordy");
  ASSERT_TRUE(SoonSome(Rows("wordy"), 50));
  const UnixMicros changed =
      Change("INSERT INTO app_settings (key, value) VALUES ('MAX_PAYLOAD_BYTES', '20')");
  Settle();
  EXPECT_TRUE(SoonSome(Rejects("wordy", "PAYLOAD_TOO_LARGE")));
  EXPECT_LE(Arrived("max", "wordy") - changed, kSecond);
}

TEST_F(Revocation, PositionsThatTheDaemonWritesForgetNoDeviceButTheMovedOne) {
  for (const char* name : {"moving", "still"}) stack_.Register({.device = name});
  Start();
  Publisher publisher(stack_.broker().port());
  const std::string begin =
      R"({"site_id":"north","provision_token":"tok-apple","metrics":{},"lat":)";
  for (int i = 0; i < 5; ++i) {
    publisher.Publish("tenant/orchard/device/moving/telemetry",
                      begin + std::to_string(i) + R"(,"lng":7})");
    ASSERT_TRUE(Eventually([&] {
      return stack_.Count("device_registry WHERE latitude = " + std::to_string(i)) == 1;
    }));
  }
  EXPECT_EQ(stack_.Metric("sluice_cache_invalidations_total{scope=\"device\"}"), 0);
  EXPECT_EQ(stack_.Metric("sluice_cache_invalidations_total{scope=\"all\"}"), 1) << "the start";
}

// The listener goes through a proxy, everything else does not.
class DeafDaemon : public Revocation {
 protected:
  DeafDaemon() {
    stack_.env()["LISTEN_DATABASE_URL"] =
        "postgresql://sluice_ingest@127.0.0.1:" + std::to_string(line_.port()) + "/" +
        stack_.database();
    stack_.env()["PG_CONNECT_TIMEOUT"] = "1s";
    stack_.env()["LISTEN_HEARTBEAT"] = "1s";
  }
  void ExpectSaidSo() {
    ASSERT_TRUE(SoonHearing(false));
    ASSERT_TRUE(Eventually([this] {
      return stack_.Metric("sluice_database_concern{concern=\"changes_unheard\"}") == 1;
    }));
    int status = 0;
    EXPECT_THAT(stack_.Http("/ready", &status), HasSubstr("changes of the registry are not heard"));
    EXPECT_EQ(status, 200) << "messages are stored";
  }
  void ExpectOver() {
    ASSERT_TRUE(SoonHearing());
    EXPECT_EQ(stack_.Metric("sluice_database_concern{concern=\"changes_unheard\"}"), 0);
    EXPECT_THAT(stack_.Http("/ready"), Not(HasSubstr("changes of the registry")));
  }
  double Dropped() { return stack_.Metric("sluice_cache_invalidations_total{scope=\"all\"}"); }

  TcpProxy line_{SharedPostgres().port()};
};

TEST_F(DeafDaemon, HeedsARevocationWhileNotificationsDoNotArriveAndAfterwards) {
  for (const char* name : {"during", "after"}) stack_.Register({.device = name});
  Start();
  const double before = Dropped();
  Stream during(stack_, "during");
  Stream after(stack_, "after");
  ASSERT_TRUE(SoonSome(Rows("during"), 50));
  ASSERT_TRUE(SoonSome(Rows("after"), 50));
  line_.Stall(true);
  ExpectSaidSo();
  ExpectRevokedWithinASecond("during");
  line_.Stall(false);
  ExpectOver();
  EXPECT_GT(Dropped(), before) << "everything was forgotten when it came back";
  ExpectRevokedWithinASecond("after");
}

TEST_F(DeafDaemon, NoticesALineThatIsHalfOpenOrCutAndComesBackByItself) {
  stack_.Register({.device = "probe"});
  Start();
  Stream device(stack_, "probe");
  ASSERT_TRUE(SoonSome(Rows("probe"), 50));
  const std::vector<std::function<void()>> ways = {
      [this] { line_.HalfOpenAll(); }, [this] { line_.CutAll(); }, [this] { line_.ResetAll(); }};
  for (const auto& breaking : ways) {
    const double before = stack_.Metric("sluice_listener_connects_total");
    line_.Refuse(true);
    breaking();
    ExpectSaidSo();
    line_.Refuse(false);
    ExpectOver();
    EXPECT_GT(stack_.Metric("sluice_listener_connects_total"), before);
  }
  ExpectRevokedWithinASecond("probe");
}

TEST_F(DeafDaemon, IsToldOncePerEpisode) {
  Start();
  const size_t said_before = stack_.log().size();
  line_.Refuse(true);
  line_.CutAll();
  ExpectSaidSo();
  std::this_thread::sleep_for(milliseconds(1500));  // some attempts to connect
  line_.Refuse(false);
  ExpectOver();
  const std::string log = stack_.log().substr(said_before);
  EXPECT_LE(TimesIn(log, "changes_unheard"), 3U)
      << log;  // the loss, why it cannot come back, that it is over
  EXPECT_THAT(log, HasSubstr("changes_unheard state=\"over\""));
}

// What a pooler does that shares connections: LISTEN succeeds there, and nothing comes.
TEST_F(Revocation, IsHeededWithinASecondWhereNotificationsNeverArrive) {
  SluiceStack other;
  stack_.env()["LISTEN_DATABASE_URL"] = SharedPostgres().Url(other.database(), "sluice_ingest");
  stack_.env()["LISTEN_HEARTBEAT"] = "1s";
  stack_.Register({.device = "probe"});
  stack_.Start();
  ASSERT_TRUE(Eventually([this] {
    return stack_.Metric("sluice_database_concern{concern=\"changes_unheard\"}") == 1;
  }));
  Stream device(stack_, "probe");
  ASSERT_TRUE(SoonSome(Rows("probe"), 50));
  ExpectRevokedWithinASecond("probe");
}

}  // namespace
}  // namespace sluice::testing
