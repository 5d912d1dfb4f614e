// What /ready says while the daemon cannot begin, or cannot go on, and that it needs no restart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/support/publisher.h"
#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;

constexpr char kTopic[] = "tenant/orchard/device/probe-7/telemetry";

std::string Message(int seq) {
  return R"({"site_id":"north","provision_token":"tok-apple","seq":)" + std::to_string(seq) + "}";
}

class StartTest : public ::testing::Test {
 protected:
  StartTest() { stack_.Register({}); }

  bool ReadySays(const std::string& text) {
    return Eventually([&] {
      int status = 0;
      ready_ = stack_.Http("/ready", &status);
      return status == 503 && ready_.find(text) != std::string::npos;
    });
  }
  bool BecomesReady() {
    return Eventually([this] {
      int status = 0;
      ready_ = stack_.Http("/ready", &status);
      return status == 200;
    });
  }
  void PublishAndAwait(int seq) {
    Publisher publisher(stack_.broker().port());
    publisher.Publish(kTopic, Message(seq));
    EXPECT_TRUE(Eventually([&] {
      return stack_.Count("telemetry WHERE seq = " + std::to_string(seq)) == 1;
    })) << seq;
  }

  SluiceStack stack_;
  std::string ready_;
};

TEST_F(StartTest, SaysThatItMayNotReadAppSettingsAndGoesOnWhenItMay) {
  stack_.Sql("REVOKE SELECT ON app_settings FROM sluice_ingest");
  stack_.Launch();
  EXPECT_TRUE(ReadySays("database paused: reading app_settings: 42501")) << ready_;
  stack_.Sql("GRANT SELECT ON app_settings TO sluice_ingest");
  EXPECT_TRUE(BecomesReady()) << ready_;
}

TEST_F(StartTest, SaysThatItWaitsForADeadProcessesTransaction) {
  stack_.Start();
  PublishAndAwait(1);
  stack_.Kill();
  const std::string spool = stack_.Value("SELECT spool_id FROM ingest_ledger LIMIT 1");
  // The daemon's key: the first eight bytes of the spool's id.
  const std::string key = "('x' || left(replace('" + spool + "', '-', ''), 16))::bit(64)::bigint";
  stack_.Sql("BEGIN; SELECT pg_advisory_xact_lock_shared(" + key + ")");
  stack_.Launch();
  EXPECT_TRUE(
      ReadySays("waiting for a transaction that an earlier process of this spool left open"))
      << ready_;
  stack_.Sql("ROLLBACK");
  EXPECT_TRUE(BecomesReady()) << ready_;
}

TEST_F(StartTest, SaysThatTheRegistryDoesNotAnswerAndTakesNobodyForUnregistered) {
  stack_.Start();
  stack_.Sql("REVOKE SELECT ON device_registry FROM sluice_ingest");
  Publisher publisher(stack_.broker().port());
  publisher.Publish(kTopic, Message(1));
  EXPECT_TRUE(ReadySays("database paused: looking devices up")) << ready_;
  EXPECT_THAT(ready_, HasSubstr("permission denied for table device_registry"));
  stack_.Sql("GRANT SELECT ON device_registry TO sluice_ingest");
  EXPECT_TRUE(BecomesReady()) << ready_;
  EXPECT_EQ(stack_.Count("telemetry"), 1);
  EXPECT_EQ(stack_.Count("quarantine_events"), 0);
}

TEST_F(StartTest, DeliversToAnOlderDatabaseWhatTheSpoolStillHolds) {
  stack_.Start();
  PublishAndAwait(1);
  PublishAndAwait(2);
  ASSERT_TRUE(stack_.Stop().has_value());
  stack_.Sql("DELETE FROM telemetry WHERE seq = 2; DELETE FROM ingest_ledger WHERE last_seq = 2");
  stack_.Start();
  EXPECT_THAT(stack_.log(), HasSubstr("database_older_than_spool"));
  EXPECT_EQ(stack_.Metric("sluice_forgotten_messages{spool=\"held\"}"), 1);
  EXPECT_TRUE(Eventually([this] { return stack_.Count("telemetry") == 2; }));
  EXPECT_EQ(stack_.Count("telemetry WHERE seq = 1"), 1);
  EXPECT_EQ(stack_.Metric("sluice_accounting_gap_messages"), 0);
}

TEST_F(StartTest, NotesADatabaseThatIsSetBackUnderIt) {
  stack_.Start();
  PublishAndAwait(1);
  PublishAndAwait(2);
  stack_.Sql("DELETE FROM telemetry WHERE seq = 2");
  // It looks every five seconds, and must have seen the row that goes.
  std::this_thread::sleep_for(std::chrono::seconds(6));
  stack_.Sql("DELETE FROM ingest_ledger");
  EXPECT_TRUE(Eventually([this] {
    return stack_.Metric("sluice_database_concern{concern=\"database_restored\"}") == 1;
  }));
  PublishAndAwait(3);
  EXPECT_TRUE(BecomesReady()) << "it stores what comes";
  EXPECT_THAT(ready_, HasSubstr("restart to deliver again what the spool still holds"));
}

}  // namespace
}  // namespace sluice::testing
