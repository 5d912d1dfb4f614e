// What becomes of a chunk when a table other than telemetry refuses what is written to it.
#include <gmock/gmock.h>

#include "auth/registry_store.h"
#include "ingest/database_health.h"
#include "tests/integration/database_writer_fixture.h"

namespace sluice {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

// The tables' owner refuses rows that are not to his liking.
class RefusedWrites : public DatabaseWriterTest {
 protected:
  void ExpectPausedFor(const std::string& table, Batch* batch) {
    const auto refused = writer_->Commit(batch);
    ASSERT_FALSE(refused.ok());
    DatabaseHealth health;
    health.Failed(DatabaseHealth::Seen::kByCommit, refused.error());
    EXPECT_EQ(health.view().state, DatabaseState::kPaused);
    EXPECT_THAT(health.view().reason, HasSubstr(table));
    ExpectNothingWritten();
  }
  void Place(double latitude) {
    Sql("INSERT INTO device_registry (tenant_id, device_id, site_id, latitude, longitude) VALUES "
        "('orchard', 'probe-7', 'north', " +
        std::to_string(latitude) + ", 2)");
    DeviceRecord record = GoodDevice();
    record.location_follows_device = true;
    parts_.store.Add("orchard", "probe-7", record);
    parts_.directory.ForgetAll();
  }
  static constexpr char kMoving[] =
      R"({"site_id":"north","provision_token":"tok-apple","lat":3,"lng":4})";
};

TEST_F(RefusedWrites, OfAPlaceKeepTheDeviceWhereItIsAndStoreItsMessages) {
  Place(1);
  Sql("ALTER TABLE device_registry ADD CONSTRAINT fenced CHECK (latitude < 2)");
  TestChunk chunk;
  chunk.Add(kMoving).Add("junk");
  Batch batch = parts_.Judge(chunk);
  const CommitReport report = MustCommit(&batch);
  EXPECT_EQ(report.accepted, 1U);
  EXPECT_EQ(report.places_refused, 1U);
  EXPECT_EQ(Count("telemetry"), 1);
  EXPECT_EQ(Count("quarantine_events"), 1);
  EXPECT_EQ(Value("SELECT sum(cnt) FROM quarantine_counters_minute"), "1");
  EXPECT_EQ(Value("SELECT latitude FROM device_registry"), "1");

  Sql("ALTER TABLE device_registry DROP CONSTRAINT fenced");
  TestChunk next(3);
  next.Add(kMoving);
  Batch after = parts_.Judge(next);
  EXPECT_EQ(MustCommit(&after).places_refused, 0U);
  EXPECT_EQ(Value("SELECT latitude FROM device_registry"), "3");
}

TEST_F(RefusedWrites, OfAPlaceDoNotHideWhatElseIsRefused) {
  Place(1);
  Sql("ALTER TABLE ingest_ledger ADD CONSTRAINT none CHECK (first_seq > 1)");
  TestChunk chunk;
  chunk.Add(kMoving);
  Batch batch = parts_.Judge(chunk);
  ExpectPausedFor("ingest_ledger", &batch);
  Sql("ALTER TABLE ingest_ledger DROP CONSTRAINT none");
  EXPECT_EQ(MustCommit(&batch).accepted, 1U);
  EXPECT_EQ(Value("SELECT latitude FROM device_registry"), "3");
}

TEST_F(RefusedWrites, OfTheQuarantinePauseAndGoOnWhenItIsMended) {
  Sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "RAISE EXCEPTION 'no' USING ERRCODE = '23514'; END $$;"
      "CREATE TRIGGER refuse AFTER INSERT ON quarantine_events EXECUTE FUNCTION refuse()");
  TestChunk chunk;
  chunk.Add(kGood).Add("junk");
  Batch batch = parts_.Judge(chunk);
  ExpectPausedFor("quarantine_events", &batch);
  Sql("DROP TRIGGER refuse ON quarantine_events");
  EXPECT_EQ(MustCommit(&batch).accepted, 1U);
  EXPECT_EQ(Count("quarantine_events"), 1);
}

TEST_F(RefusedWrites, OfACounterPauseAndGoOnWhenItIsMended) {
  Sql("ALTER TABLE quarantine_counters_minute ADD CONSTRAINT none CHECK (cnt = 0)");
  TestChunk chunk;
  chunk.Add(kGood).Add("junk");
  Batch batch = parts_.Judge(chunk);
  ExpectPausedFor("quarantine_counters_minute", &batch);
  Sql("ALTER TABLE quarantine_counters_minute DROP CONSTRAINT none");
  EXPECT_EQ(MustCommit(&batch).accepted, 1U);
}

TEST_F(RefusedWrites, OfANewDeviceQuarantineItsMessagesOnly) {
  Sql("INSERT INTO subscriptions (subscription_id, tenant_id, device_limit) VALUES "
      "('s', 'orchard', 5);"
      "ALTER TABLE device_registry ADD CONSTRAINT known CHECK (site_id <> 'nowhere')");
  PipelineParts parts(PipelineOptions{.decode = {.ts_max_age_us = PipelineParts::kDay},
                                      .auth = {.require_token = false},
                                      .auto_provision = true});
  RegistryStore store(*session_);
  TestChunk chunk;
  chunk.Add(R"({"site_id":"nowhere"})", "tenant/orchard/device/a/telemetry")
      .Add(R"({"site_id":"north"})", "tenant/orchard/device/b/telemetry");
  Batch batch;
  Pipeline pipeline(parts.shared, store);
  pipeline.Decode(chunk.chunk(), &batch);
  const auto resolved = pipeline.Resolve(&batch);
  ASSERT_TRUE(resolved.ok()) << resolved.error().Describe();
  pipeline.Decide(&batch);
  EXPECT_EQ(Verdict(batch.messages[0]), "STORAGE_REJECTED");
  EXPECT_THAT(batch.messages[0].rejection->detail, HasSubstr("device_registry"));
  EXPECT_EQ(Verdict(batch.messages[1]), "accepted");
  EXPECT_EQ(Value("SELECT active_device_count FROM subscriptions"), "1");
}

TEST_F(RefusedWrites, OfTheRegistryNameIt) {
  Sql("REVOKE SELECT ON device_certificates FROM " + std::string(kRole));
  RegistryStore store(*session_);
  const DeviceKeyView key{"orchard", "probe-7"};
  const auto refused = store.Lookup({&key, 1});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(Classify(refused.error()), Failure::kOperator);
  EXPECT_THAT(refused.error().Describe(),
              HasSubstr("looking devices up (device_registry, subscriptions, device_certificates): "
                        "42501: permission denied for table device_certificates"));
}

// A day that cannot have a partition, or a function that is refused, is no reason not to store.
TEST_F(RefusedWrites, OfAPartitionSendRowsToTheDefaultOne) {
  Sql("INSERT INTO telemetry (time, tenant_id, device_id, site_id) VALUES "
      "('2026-03-01 01:00:00+00', 'orchard', 'probe-7', 'north')");
  TestChunk chunk;
  chunk.Add(kGood);
  Batch batch = parts_.Judge(chunk);
  EXPECT_EQ(MustCommit(&batch).accepted, 1U);
  EXPECT_EQ(Count("telemetry_default"), 2);

  Sql("REVOKE EXECUTE ON FUNCTION sluice_ensure_partition(date) FROM " + std::string(kRole));
  Connect(seconds(10));
  TestChunk next(2);
  next.Add(kGood);
  Batch after = parts_.Judge(next);
  EXPECT_EQ(MustCommit(&after).accepted, 1U);
  EXPECT_EQ(Count("telemetry_default"), 3);
}

}  // namespace
}  // namespace sluice
