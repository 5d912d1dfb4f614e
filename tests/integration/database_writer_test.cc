// DatabaseWriter on a real PostgreSQL: what one transaction holds, and what becomes of a commit
// whose answer is lost.
#include "ingest/database_writer.h"

#include <gmock/gmock.h>
#include <libpq-fe.h>

#include <nlohmann/json.hpp>
#include <set>

#include "ingest/database_health.h"
#include "tests/integration/database_writer_fixture.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::TcpProxy;

TEST_F(DatabaseWriterTest, CommitsRowsQuarantineCountersAndLedgerTogether) {
  TestChunk chunk(41);
  chunk.Add(R"({"site_id":"north","seq":7,"metrics":{"heat":21.5},"provision_token":"tok-apple"})");
  chunk.Add(R"({"provision_token":"tok-apple","x":1})");
  chunk.Add("provision_token=tok-apple \xff", std::string("tenant/\xff", 8));
  Batch batch = parts_.Judge(chunk);
  const CommitReport report = MustCommit(&batch);
  EXPECT_EQ(report.accepted, 1U);
  EXPECT_EQ(report.rows, 1U);
  EXPECT_FALSE(report.already);
  EXPECT_EQ(Value("SELECT concat_ws('|', time AT TIME ZONE 'UTC', tenant_id, device_id, site_id,"
                  " msg_type, seq, metrics, received_at = time) FROM telemetry"),
            "2026-03-01 10:00:25|orchard|probe-7|north|telemetry|7|{\"heat\": 21.5}|t");
  EXPECT_EQ(Value("SELECT concat_ws('|', tenant_id, device_id, payload, spool_id, spool_seq, "
                  "token_hash) FROM quarantine_events WHERE reason = 'MISSING_SITE_ID'"),
            "orchard|probe-7|{\"x\": 1, \"provision_token\": \"(cut)\"}|" + std::string(kSpool) +
                "|42|" + DigestToHex(Sha256("tok-apple")));
  EXPECT_EQ(Value("SELECT concat_ws('|', topic, tenant_id IS NULL, payload, "
                  "encode(payload_bytes, 'escape')) "
                  "FROM quarantine_events WHERE reason = 'BAD_TOPIC_FORMAT'"),
            "tenant/\\ufffd|t|null|provision_token=\"(cut)\" \\377");
  EXPECT_EQ(Count("quarantine_events WHERE payload_bytes LIKE '%tok-apple%'::bytea"), 0);
  EXPECT_EQ(Value("SELECT string_agg(concat_ws('|', bucket_minute AT TIME ZONE 'UTC', tenant_id, "
                  "reason, cnt), ' ' ORDER BY tenant_id) FROM quarantine_counters_minute"),
            "2026-03-01 10:00:00||BAD_TOPIC_FORMAT|1 "
            "2026-03-01 10:00:00|orchard|MISSING_SITE_ID|1");
  EXPECT_EQ(Value("SELECT concat_ws('|', spool_id, first_seq, last_seq, messages, rows, "
                  "quarantined, damaged) FROM ingest_ledger"),
            std::string(kSpool) + "|41|43|3|1|2|0");
}

TEST_F(DatabaseWriterTest, CommitsAChunkOfNothingButItsLedgerRow) {
  TestChunk chunk(5);
  chunk.chunk().last_seq = 9;
  chunk.chunk().damaged = 5;
  Batch batch = parts_.Judge(chunk);
  EXPECT_EQ(MustCommit(&batch).accepted, 0U);
  EXPECT_EQ(Count("ingest_ledger WHERE first_seq = 5 AND last_seq = 9 AND damaged = 5"), 1);
}

TEST_F(DatabaseWriterTest, AddsToTheCountersOfTheMinute) {
  for (const uint64_t first : {1, 3}) {
    TestChunk chunk(first);
    chunk.Add("junk").Add("junk");
    Batch batch = parts_.Judge(chunk);
    MustCommit(&batch);
  }
  EXPECT_EQ(Value("SELECT string_agg(cnt::text, ' ') FROM quarantine_counters_minute"), "4");
}

TEST_F(DatabaseWriterTest, CountsWhatItDoesNotKeep) {
  parts_.runtime.store_rejects = false;
  TestChunk chunk;
  chunk.Add("junk");
  Batch batch = parts_.Judge(chunk);
  MustCommit(&batch);
  EXPECT_EQ(Count("quarantine_events"), 0);
  EXPECT_EQ(Count("quarantine_counters_minute"), 1);
}

TEST_F(DatabaseWriterTest, MakesThePartitionOfEveryDay) {
  TestChunk chunk;
  chunk.Add(kGood).Add(kGood, kTopic, kReceived + PipelineParts::kDay).Add(kGood, kTopic, -1);
  Batch batch = parts_.Judge(chunk);
  MustCommit(&batch);
  EXPECT_EQ(Count("telemetry_p20260301"), 1);
  EXPECT_EQ(Count("telemetry_p20260302"), 1);
  EXPECT_EQ(Count("telemetry_default WHERE time = '1969-12-31 23:59:59.999999+00'"), 1);
}

TEST_F(DatabaseWriterTest, NotifiesEveryTenantInPayloadsThatPostgresTakes) {
  TestChunk chunk;
  std::set<std::string> tenants;
  for (int i = 0; i < 200; ++i) {
    const std::string tenant = std::string(124, 't') + std::to_string(1000 + i);
    tenants.insert(tenant);
    parts_.store.Add(tenant, "d");
    chunk.Add(kGood, "tenant/" + tenant + "/device/d/telemetry");
  }
  chunk.Add("junk", "tenant/of-a-rejected-one/device/d/telemetry");
  Batch batch = parts_.Judge(chunk);
  Sql("LISTEN telemetry_inserted");
  EXPECT_EQ(MustCommit(&batch).accepted, tenants.size()) << Verdict(batch.messages.front());
  std::set<std::string> notified;
  int notifications = 0;
  EXPECT_TRUE(Soon([&] {
    PQconsumeInput(admin_->native());
    while (PGnotify* notify = PQnotifies(admin_->native())) {
      ++notifications;
      const auto payload = nlohmann::json::parse(notify->extra);
      PQfreemem(notify);
      for (const auto& tenant : payload.at("tenant_ids")) notified.insert(tenant);
    }
    return notified.size() >= tenants.size();
  }));
  EXPECT_EQ(notified, tenants);
  EXPECT_EQ(notifications, 4);
}

class DeviceLocations : public DatabaseWriterTest {
 protected:
  // Registers probe-7 at (1, 2), for the cache and in the table.
  void Place(const std::string& source, bool follows) {
    Sql("DELETE FROM device_registry; INSERT INTO device_registry (tenant_id, device_id, site_id, "
        "latitude, longitude, location_source, updated_at) VALUES ('orchard', 'probe-7', 'north', "
        "1, 2, " +
        source + ", '2020-01-01')");
    DeviceRecord record = GoodDevice();
    record.latitude = 1;
    record.longitude = 2;
    record.location_follows_device = follows;
    parts_.store.Add("orchard", "probe-7", record);
    parts_.directory.ForgetAll();
  }
  // Where it is after messages that name these places; and "moved" when the row was written.
  std::string After(const std::vector<std::string>& places, const std::string& more = "") {
    TestChunk chunk(next_seq_);
    for (const std::string& place : places) {
      chunk.Add(std::string(R"({"site_id":"north","provision_token":"tok-apple",)")
                    .append(more)
                    .append(place)
                    .append("}"));
    }
    next_seq_ = chunk.chunk().last_seq + 1;
    Batch batch = parts_.Judge(chunk);
    MustCommit(&batch);
    return Value(
        "SELECT concat_ws(' ', latitude, longitude, CASE WHEN updated_at > '2020-01-01' "
        "THEN 'moved' END) FROM device_registry");
  }

 private:
  uint64_t next_seq_ = 1;
};

TEST_F(DeviceLocations, FollowTheLastAcceptedMessage) {
  Place("NULL", true);
  EXPECT_EQ(After({R"("lat":3,"lng":4)", R"("lat":45.123456789012345,"lng":-7.5)"}),
            "45.123456789012344 -7.5 moved");
  EXPECT_EQ(parts_.directory.stats().devices, 0U) << "the cache knows the old place";
  Place("'auto'", true);
  EXPECT_EQ(After({R"("lat":3,"lng":4)"}), "3 4 moved");
}

TEST_F(DeviceLocations, StayWhereTheLastMessageSaysTheyAre) {
  Place("NULL", true);
  EXPECT_EQ(After({R"("lat":1,"lng":2)"}), "1 2") << "nothing to write";
  EXPECT_EQ(After({R"("lat":3,"lng":4)", R"("lat":1,"lng":2)"}), "1 2") << "there and back";
}

TEST_F(DeviceLocations, AreNotMovedFromWhereAPersonPutThem) {
  Place("'manual'", false);
  EXPECT_EQ(After({R"("lat":3,"lng":4)"}), "1 2");
  Place("'manual'", true);  // the cache is behind
  EXPECT_EQ(After({R"("lat":3,"lng":4)"}), "1 2");
}

TEST_F(DeviceLocations, AreNotMovedByARejectedMessage) {
  RefusePoison();
  Place("NULL", true);
  EXPECT_EQ(After({R"("lat":3,"lng":4)"}, R"("metrics":{"poison":1},)"), "1 2");
  EXPECT_EQ(After({R"("lat":3,"lng":4)"}, R"("tenant_id":"meadow",)"), "1 2");
}

TEST_F(DatabaseWriterTest, LeavesTheChunkWhenARightIsMissingAndGoesOnWhenItIsBack) {
  TestChunk chunk;
  chunk.Add(kGood).Add("junk");
  Batch batch = parts_.Judge(chunk);
  Sql("REVOKE INSERT ON ingest_ledger FROM " + std::string(kRole));
  auto refused = writer_->Commit(&batch);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().sqlstate, "42501");
  ExpectNothingWritten();
  Sql("GRANT INSERT ON ingest_ledger TO " + std::string(kRole));
  EXPECT_EQ(MustCommit(&batch).accepted, 1U);
}

TEST_F(DatabaseWriterTest, WritesOnceWhenTheAnswerToACommitWasLost) {
  TestChunk chunk;
  chunk.Add(kGood).Add("junk");
  Batch batch = parts_.Judge(chunk);
  proxy_.CutAt("); COMMIT", TcpProxy::Cut::kBeforeAnswer);
  auto lost = writer_->Commit(&batch);
  ASSERT_FALSE(lost.ok());
  EXPECT_TRUE(lost.error().connection_lost);
  EXPECT_EQ(Classify(lost.error()), Failure::kRetry);
  EXPECT_EQ(Count("telemetry"), 1) << "it had committed";

  EXPECT_TRUE(MustCommit(&batch).already);
  EXPECT_EQ(Count("telemetry"), 1);
  EXPECT_EQ(Count("quarantine_events"), 1);
  EXPECT_EQ(Count("ingest_ledger"), 1);
  EXPECT_EQ(Value("SELECT sum(cnt) FROM quarantine_counters_minute"), "1");

  TestChunk next(3);
  next.Add(kGood);
  Batch after = parts_.Judge(next);
  EXPECT_FALSE(MustCommit(&after).already);
  EXPECT_EQ(Count("telemetry"), 2);
}

TEST_F(DatabaseWriterTest, WritesAfterACommitThatNeverArrived) {
  TestChunk chunk;
  chunk.Add(kGood).Add("junk");
  Batch batch = parts_.Judge(chunk);
  proxy_.CutAt("); COMMIT", TcpProxy::Cut::kBeforeRequest);
  ASSERT_FALSE(writer_->Commit(&batch).ok());
  ExpectNothingWritten();
  EXPECT_FALSE(MustCommit(&batch).already);
  EXPECT_EQ(Count("telemetry"), 1);
  EXPECT_EQ(Count("quarantine_events"), 1);
}

TEST_F(DatabaseWriterTest, DoesNotForgetThatItDoesNotKnowWhenTheQuestionIsLostToo) {
  TestChunk chunk;
  chunk.Add(kGood);
  Batch batch = parts_.Judge(chunk);
  proxy_.CutAt("); COMMIT", TcpProxy::Cut::kBeforeAnswer);
  ASSERT_FALSE(writer_->Commit(&batch).ok());
  proxy_.CutAt("FROM ingest_ledger", TcpProxy::Cut::kBeforeAnswer);
  ASSERT_FALSE(writer_->Commit(&batch).ok());
  EXPECT_EQ(proxy_.cuts(), 2);
  EXPECT_TRUE(MustCommit(&batch).already);
  EXPECT_EQ(Count("telemetry"), 1);
}

// Or it would hold its locks, and its place among the connections, when we have long given up.
TEST_F(DatabaseWriterTest, LetsTheServerEndAStatementThatTakesTooLong) {
  Sql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(20);"
      " RETURN NULL; END $$;"
      "CREATE TRIGGER slow AFTER INSERT ON ingest_ledger EXECUTE FUNCTION slow()");
  TestChunk chunk;
  chunk.Add(kGood);
  Batch batch = parts_.Judge(chunk);
  Connect(milliseconds(3000));
  auto report = writer_->Commit(&batch);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().sqlstate, "57014");
  ExpectNothingWritten();
  Sql("DROP TRIGGER slow ON ingest_ledger");
  EXPECT_FALSE(MustCommit(&batch).already);
  EXPECT_EQ(Count("telemetry"), 1);
}

TEST_F(DatabaseWriterTest, WritesOnceWhateverStatementTheLineBreaksAt) {
  RefusePoison();
  uint64_t first = 1;
  for (const char* marker :
       {"sluice_ensure_partition", "COPY telemetry", "PGCOPY", "SAVEPOINT part", "ROLLBACK TO part",
        "SAVEPOINT probe", "COPY quarantine_events", "INSERT INTO ingest_ledger"}) {
    for (const auto when : {TcpProxy::Cut::kBeforeRequest, TcpProxy::Cut::kBeforeAnswer}) {
      Sql("TRUNCATE telemetry, quarantine_events, quarantine_counters_minute, ingest_ledger");
      Connect(seconds(10));
      TestChunk chunk(first);
      chunk.Add(kPoison).Add(kGood).Add("junk");
      first = chunk.chunk().last_seq + 1;
      Batch batch = parts_.Judge(chunk);
      const int before = proxy_.cuts();
      proxy_.CutAt(marker, when);
      ASSERT_FALSE(writer_->Commit(&batch).ok()) << marker;
      ASSERT_EQ(proxy_.cuts(), before + 1) << marker;
      MustCommit(&batch);
      EXPECT_EQ(Count("telemetry"), 1) << marker;
      EXPECT_EQ(Count("quarantine_events"), 2) << marker;
      EXPECT_EQ(Value("SELECT sum(cnt) FROM quarantine_counters_minute"), "2") << marker;
      EXPECT_EQ(Count("ingest_ledger"), 1) << marker;
    }
  }
}

}  // namespace
}  // namespace sluice
