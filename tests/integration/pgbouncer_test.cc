// The daemon and the commands through a real PgBouncer in transaction mode: statements of one
// client go to any of a few connections that all clients share.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/pgbouncer_server.h"
#include "tests/support/publisher.h"
#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr const char* kTopic = "tenant/orchard/device/probe-7/telemetry";
constexpr int kPoolSize = 2;  // fewer than the daemon has workers

std::string Payload(int seq, const std::string& token = "tok-apple") {
  return R"({"site_id":"north","provision_token":")" + token + R"(","seq":)" + std::to_string(seq) +
         R"(,"metrics":{"heat":21.5}})";
}

class ThroughPgBouncer : public ::testing::Test {
 protected:
  ThroughPgBouncer() {
    stack_.env()["DATABASE_URL"] = Pooled();
    stack_.env()["LISTEN_DATABASE_URL"] = SharedPostgres().Url(stack_.database(), "sluice_ingest");
    stack_.env()["INGEST_WORKER_COUNT"] = "4";
    // Only the listener can tell of a change.
    stack_.env()["AUTH_CACHE_TTL_SECONDS"] = "3600";
    stack_.env()["SETTINGS_POLL_SECONDS"] = "3600";
    stack_.Register({});
  }
  ~ThroughPgBouncer() override {
    if (HasFailure()) std::fprintf(stderr, "--- PgBouncer\n%s---\n", pooler_.Log().c_str());
  }

  // The daemon's own figures at its end, for who runs this to see.
  std::string Accounting() {
    std::printf("through PgBouncer: %s\n", stack_.accounting().c_str());
    return stack_.accounting();
  }
  std::string Pooled() { return pooler_.Url(stack_.database(), "sluice_ingest"); }
  bool SoonHearing() {
    return Eventually([this] { return stack_.Metric("sluice_listener_up") == 1; });
  }
  std::string Sluice(const std::vector<std::string>& arguments, const Env& env, int code = 0) {
    std::vector<std::string> argv = {BinaryPath("sluice")};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    const std::string out = stack_.Path("command" + std::to_string(++commands_));
    const auto ended = sluice::testing::Run(
        {.argv = argv, .env = env, .clear_env = true, .stdout_path = out, .stderr_path = out});
    EXPECT_TRUE(ended && ended->code == code) << arguments.front() << ": " << ReadFile(out);
    return ReadFile(out);
  }

  PgBouncerServer pooler_{SharedPostgres(), kPoolSize};
  SluiceStack stack_;
  int commands_ = 0;
};

TEST_F(ThroughPgBouncer, EveryMessageIsAccountedForAndARevocationIsHeeded) {
  stack_.Start();
  ASSERT_TRUE(SoonHearing());
  Publisher publisher(stack_.broker().port());
  for (int i = 0; i < 300; ++i) publisher.Publish(kTopic, Payload(i));
  for (int i = 0; i < 20; ++i) publisher.Publish(kTopic, Payload(i, "tok-pear"));
  ASSERT_TRUE(Eventually([&] { return stack_.Count("telemetry") == 300; }));
  ASSERT_TRUE(Eventually([&] { return stack_.Count("quarantine_events") == 20; }));
  EXPECT_LE(stack_.Count("pg_stat_activity WHERE usename = 'sluice_ingest' AND "
                         "datname = current_database()"),
            kPoolSize + 1)
      << "one more is the listener's own";

  stack_.Sql("UPDATE device_registry SET status = 'REVOKED'");
  int more = 0;
  ASSERT_TRUE(Eventually([&] {
    publisher.Publish(kTopic, Payload(1000 + more++));
    return stack_.Count("quarantine_events WHERE reason = 'DEVICE_REVOKED'") > 0;
  }));
  ASSERT_TRUE(stack_.Stop().has_value());
  const int64_t stored = stack_.Count("telemetry");
  const int64_t quarantined = stack_.Count("quarantine_events");
  EXPECT_EQ(stored + quarantined, 320 + more);
  EXPECT_EQ(Accounting(),
            "received=" + std::to_string(320 + more) + " stored=" + std::to_string(stored) +
                " quarantined=" + std::to_string(quarantined) + " duplicates=0 spooled=0");
}

TEST_F(ThroughPgBouncer, ADaemonThatListensThroughItIsDeafSaysSoAndStores) {
  stack_.env().erase("LISTEN_DATABASE_URL");
  stack_.env()["LISTEN_HEARTBEAT"] = "500ms";
  stack_.Start();
  EXPECT_TRUE(Eventually([this] {
    return stack_.Http("/ready").find("has not come in time") != std::string::npos;
  })) << stack_.Http("/ready");
  Publisher publisher(stack_.broker().port());
  for (int i = 0; i < 50; ++i) publisher.Publish(kTopic, Payload(i));
  EXPECT_TRUE(Eventually([&] { return stack_.Count("telemetry") == 50; }));
  int status = 0;
  stack_.Http("/ready", &status);
  EXPECT_EQ(status, 200);
  EXPECT_EQ(stack_.Metric("sluice_listener_up"), 0);
  EXPECT_THAT(
      Sluice({"doctor"}, stack_.env(), 1),
      HasSubstr("FAIL     notifications: a notification that was sent has not come in time"));
}

TEST_F(ThroughPgBouncer, NothingIsLostOrTwiceWhenItDiesUnderLoad) {
  stack_.Start();
  std::atomic<bool> enough = false;
  int published = 0;
  std::thread load([&] {
    Publisher publisher(stack_.broker().port());
    while (!enough) publisher.Publish(kTopic, Payload(++published));
  });
  for (int i = 0; i < 5; ++i) {
    const int64_t before = stack_.Count("telemetry");
    EXPECT_TRUE(Eventually([&] { return stack_.Count("telemetry") > before + 50; }));
    pooler_.Kill();
    std::this_thread::sleep_for(milliseconds(100));
    pooler_.Start();
  }
  enough = true;
  load.join();
  EXPECT_TRUE(Eventually([&] { return stack_.Count("telemetry") >= published; }));
  EXPECT_EQ(stack_.Value("SELECT count(*) || ' ' || count(DISTINCT seq) FROM telemetry"),
            std::to_string(published) + " " + std::to_string(published));
  ASSERT_TRUE(stack_.Stop().has_value());
  EXPECT_EQ(Accounting(), "received=" + std::to_string(published) + " stored=" +
                              std::to_string(published) + " quarantined=0 duplicates=0 spooled=0");
}

TEST_F(ThroughPgBouncer, TheCommandsOfAnOperatorWork) {
  const std::string fresh = SharedPostgres().CreateDatabase();
  EXPECT_THAT(Sluice({"migrate"}, {{"DATABASE_URL", pooler_.Url(fresh)}}),
              HasSubstr("brought up to date"));

  stack_.Start();
  ASSERT_TRUE(SoonHearing());
  Publisher(stack_.broker().port()).Publish(kTopic, Payload(1, "tok-pear"));
  ASSERT_TRUE(Eventually([&] { return stack_.Count("quarantine_events") == 1; }));
  stack_.Sql("UPDATE device_registry SET provision_token_hash = encode(sha256('tok-pear'), 'hex')");
  Sluice({"quarantine", "replay", "--all"}, stack_.env());
  EXPECT_EQ(stack_.Count("telemetry WHERE seq = 1"), 1);
  EXPECT_THAT(Sluice({"doctor"}, stack_.env()), HasSubstr("notifications: they arrive"));
}

}  // namespace
}  // namespace sluice::testing
