// Replaying what the daemon's writer has quarantined, on a real PostgreSQL, as the daemon's role.
#include "ingest/replayer.h"

#include <gmock/gmock.h>

#include <future>
#include <vector>

#include "tests/integration/database_writer_fixture.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using testing::SharedPostgres;

constexpr char kWrongSite[] =
    R"({"site_id":"south","seq":4,"provision_token":"tok-apple","metrics":{"heat":21.5}})";

class ReplayerTest : public DatabaseWriterTest {
 protected:
  void SetUp() override {
    DatabaseWriterTest::SetUp();
    auto loaded = LoadSettings([](const char*) { return nullptr; }, SettingsFor::kTool);
    ASSERT_TRUE(loaded.ok()) << loaded.message();
    settings_ = *loaded;
    settings_.database_url = SharedPostgres().Conninfo(database_, kRole);
    Sql("INSERT INTO device_registry (tenant_id, device_id, site_id, provision_token_hash) "
        "VALUES ('orchard', 'probe-7', 'north', encode(sha256('tok-apple'), 'hex'))");
  }

  // As the daemon does.
  void Quarantine(TestChunk& chunk) {
    Batch batch = parts_.Judge(chunk);
    for (const Message& message : batch.messages) ASSERT_FALSE(message.accepted());
    MustCommit(&batch);
  }
  void Quarantine(const std::string& payload, const std::string& topic = kTopic, int times = 1) {
    TestChunk chunk(next_seq_);
    for (int i = 0; i < times; ++i) chunk.Add(payload, topic);
    next_seq_ = chunk.chunk().last_seq + 1;
    Quarantine(chunk);
  }
  // Many messages without the writer: flood control would not keep them all.
  void QuarantineMany(int messages) {
    Sql("INSERT INTO quarantine_events (topic, tenant_id, device_id, msg_type, reason, payload, "
        "payload_bytes, payload_size, received_at, token_hash) SELECT "
        "'tenant/orchard/device/probe-7/telemetry', 'orchard', 'probe-7', 'telemetry', "
        "'SITE_MISMATCH_REGISTRY_VS_PAYLOAD', p::jsonb, p::bytea, length(p), "
        "'2026-03-01 10:00:00+00', encode(sha256('tok-apple'), 'hex') FROM (SELECT "
        "'{\"site_id\":\"south\",\"provision_token\":\"(cut)\",\"seq\":' || n || '}' AS p "
        "FROM generate_series(1, " +
        std::to_string(messages) + ") n) AS m");
  }
  void MoveTo(const std::string& site) {
    Sql("UPDATE device_registry SET site_id = '" + site + "'");
  }

  ReplayTotals Replay(const QuarantineFilter& filter = {}) {
    ReplayQueue queue(filter);
    return Replay(queue);
  }
  ReplayTotals Replay(ReplayQueue& queue) {
    Replayer replayer(settings_, queue, "ann");
    const Status ready = replayer.Prepare();
    EXPECT_TRUE(ready.ok()) << ready.message();
    for (bool more = true; more;) {
      auto stepped = replayer.Step();
      EXPECT_TRUE(stepped.ok()) << stepped.error().Describe();
      more = stepped.ok() && *stepped;
    }
    return replayer.totals();
  }
  std::string States() {
    return Value(
        "SELECT string_agg(replay_state || ' ' || reason, ', ' ORDER BY id) FROM "
        "quarantine_events");
  }

  Settings settings_;
  uint64_t next_seq_ = 1;
};

TEST_F(ReplayerTest, StoresAMessageOnceTheRegistryIsMended) {
  Quarantine(kWrongSite);
  MoveTo("south");
  const ReplayTotals totals = Replay();
  EXPECT_EQ(totals.replayed, 1U);
  EXPECT_EQ(totals.rows, 1U);
  EXPECT_EQ(Value("SELECT concat_ws('|', time AT TIME ZONE 'UTC', tenant_id, device_id, site_id,"
                  " msg_type, seq, metrics, received_at = time) FROM telemetry"),
            "2026-03-01 10:00:25|orchard|probe-7|south|telemetry|4|{\"heat\": 21.5}|t");
  EXPECT_EQ(Value("SELECT concat_ws('|', replay_state, reason, replayed_by, first_reason, "
                  "replayed_at > now() - interval '1 minute') FROM quarantine_events"),
            "REPLAYED|SITE_MISMATCH_REGISTRY_VS_PAYLOAD|ann|t");
  EXPECT_EQ(Count("quarantine_open"), 0);
}

TEST_F(ReplayerTest, StoresItOnceHoweverOftenItIsReplayed) {
  Quarantine(kWrongSite);
  MoveTo("south");
  Replay();
  EXPECT_EQ(Replay().messages, 0U);
  EXPECT_EQ(Replay({.ids = {1}}).messages, 0U);
  EXPECT_EQ(Count("telemetry"), 1);
}

TEST_F(ReplayerTest, KeepsWhatIsRefusedAgainWithTheReasonOfToday) {
  Quarantine(kWrongSite);
  MoveTo("south");
  Sql("UPDATE device_registry SET status = 'SUSPENDED'");
  const ReplayTotals totals = Replay();
  EXPECT_EQ(totals.refused, 1U);
  EXPECT_THAT(totals.reasons, ElementsAre(Pair(Reason::kDeviceRevoked, 1U)));
  EXPECT_EQ(Value("SELECT concat_ws('|', replay_state, reason, first_reason, replayed_by) "
                  "FROM quarantine_events"),
            "NEW|DEVICE_REVOKED|SITE_MISMATCH_REGISTRY_VS_PAYLOAD|ann");
  EXPECT_EQ(Value("SELECT reason FROM quarantine_open"), "DEVICE_REVOKED");
  Sql("UPDATE device_registry SET status = 'ACTIVE', site_id = 'north'");
  Replay();
  EXPECT_EQ(Value("SELECT reason || ' ' || first_reason FROM quarantine_events"),
            "SITE_MISMATCH_REGISTRY_VS_PAYLOAD SITE_MISMATCH_REGISTRY_VS_PAYLOAD");
}

TEST_F(ReplayerTest, LeavesAMessageAsItWasThatFailsInTheSameWay) {
  Quarantine(kWrongSite);
  EXPECT_EQ(Replay().refused, 1U);
  EXPECT_EQ(Count("quarantine_events WHERE replayed_at IS NULL AND replay_state = 'NEW'"), 1);
}

TEST_F(ReplayerTest, RenewsTheDetailOfAMessageThatFailsForTheSameReason) {
  Quarantine(kWrongSite);
  Sql("UPDATE quarantine_events SET detail = 'of another day'");
  EXPECT_EQ(Replay().refused, 1U);
  EXPECT_EQ(Count("quarantine_events WHERE detail LIKE '%south%' AND replayed_by = 'ann' AND "
                  "first_reason IS NULL"),
            1);
}

TEST_F(ReplayerTest, ComparesTheTokenThatCameByItsHash) {
  parts_.store.Remove("orchard", "probe-7");
  parts_.directory.ForgetAll();
  Quarantine(kGood);
  Quarantine(R"({"site_id":"north","provision_token":"tok-pear"})");
  Quarantine(R"({"site_id":"north"})");
  Replay();
  EXPECT_EQ(States(), "REPLAYED UNREGISTERED_DEVICE, NEW TOKEN_INVALID, NEW TOKEN_MISSING");
}

TEST_F(ReplayerTest, JudgesByTheTimeOfArrival) {
  parts_.store.Remove("orchard", "probe-7");
  parts_.directory.ForgetAll();
  Quarantine(R"({"site_id":"north","provision_token":"tok-apple","ts":"2026-03-01T10:00:00Z"})");
  settings_.ts_max_age = std::chrono::minutes(1);
  EXPECT_EQ(Replay().replayed, 1U);
}

TEST_F(ReplayerTest, NeitherSpendsARateNorCountsAgain) {
  parts_.store.Remove("orchard", "probe-7");
  parts_.directory.ForgetAll();
  Quarantine(kGood, kTopic, 50);
  const std::string counters = Value("SELECT sum(cnt) FROM quarantine_counters_minute");
  settings_.rate_limit_burst = 1;
  Sql("INSERT INTO app_settings (key, value) VALUES ('RATE_LIMIT_BURST', '2')");
  EXPECT_EQ(Replay().replayed, 50U);
  EXPECT_EQ(Value("SELECT sum(cnt) FROM quarantine_counters_minute"), counters);
}

TEST_F(ReplayerTest, MovesNoDevice) {
  Quarantine(R"({"site_id":"south","provision_token":"tok-apple","lat":3,"lng":4})");
  MoveTo("south");
  EXPECT_EQ(Replay().replayed, 1U);
  EXPECT_EQ(Count("device_registry WHERE latitude IS NULL"), 1);
}

TEST_F(ReplayerTest, HeedsAppSettings) {
  parts_.runtime.max_payload_bytes = 50;
  Quarantine(kGood);
  Sql("UPDATE quarantine_events SET token_hash = encode(sha256('tok-apple'), 'hex');"
      "INSERT INTO app_settings (key, value) VALUES ('MAX_PAYLOAD_BYTES', '60')");
  Replay();
  EXPECT_EQ(States(), "NEW PAYLOAD_TOO_LARGE");
  Sql("UPDATE app_settings SET value = '100'");
  Replay();
  EXPECT_EQ(States(), "REPLAYED PAYLOAD_TOO_LARGE");
}

TEST_F(ReplayerTest, SaysWhatItCannotReplayBecauseItIsNotThere) {
  Quarantine(kWrongSite, kTopic, 3);
  Sql("UPDATE quarantine_events SET payload_truncated = true WHERE id = 1");
  Sql("UPDATE quarantine_events SET payload_bytes = NULL, payload = 'null' WHERE id = 2");
  MoveTo("south");
  const ReplayTotals totals = Replay();
  EXPECT_EQ(totals.not_kept, 2U);
  EXPECT_EQ(totals.replayed, 1U);
  EXPECT_EQ(totals.messages, 3U);
  EXPECT_EQ(Count("quarantine_events WHERE replay_state = 'NEW'"), 2);
}

TEST_F(ReplayerTest, TakesAMessageOfTheOldServiceFromItsDocumentWithItsToken) {
  Sql("INSERT INTO quarantine_events (topic, tenant_id, device_id, msg_type, reason, payload, "
      "ingested_at) VALUES ('tenant/orchard/device/probe-7/telemetry', 'orchard', 'probe-7', "
      "'telemetry', 'SITE_MISMATCH_REGISTRY_VS_PAYLOAD', "
      "'{\"site_id\":\"north\",\"provision_token\":\"tok-apple\",\"seq\":9}', '2026-01-01')");
  EXPECT_EQ(Replay().replayed, 1U);
  EXPECT_EQ(Count("telemetry WHERE seq = 9 AND received_at = '2026-01-01'"), 1);
}

TEST_F(ReplayerTest, TakesWhatTheFilterSaysAndNoMore) {
  Quarantine(kWrongSite, kTopic, 5);
  MoveTo("south");
  EXPECT_EQ(Replay({.tenant = "meadow"}).messages, 0U);
  EXPECT_EQ(Replay({.reason = "TOKEN_INVALID"}).messages, 0U);
  EXPECT_EQ(Replay({.ids = {2}}).replayed, 1U);
  EXPECT_EQ(Replay({.device = "probe-7", .limit = 3}).replayed, 3U);
  EXPECT_EQ(Count("telemetry"), 4);
  EXPECT_EQ(Value("SELECT id FROM quarantine_events WHERE replay_state = 'NEW'"), "5");
}

TEST_F(ReplayerTest, GoesOnBeyondAStepPastWhatStays) {
  QuarantineMany(9000);
  Sql("UPDATE quarantine_events SET token_hash = NULL WHERE id % 3 = 0");
  MoveTo("south");
  const ReplayTotals totals = Replay();
  EXPECT_EQ(totals.messages, 9000U);
  EXPECT_EQ(totals.replayed, 6000U);
  EXPECT_THAT(totals.reasons, ElementsAre(Pair(Reason::kTokenMissing, 3000U)));
  EXPECT_EQ(Count("telemetry"), 6000);
}

TEST_F(ReplayerTest, SeveralAtOnceStoreEveryMessageOnce) {
  QuarantineMany(30000);
  MoveTo("south");
  std::vector<std::future<ReplayTotals>> replays;
  for (int i = 0; i < 3; ++i) {
    replays.push_back(std::async(std::launch::async, [this] { return Replay(); }));
  }
  uint64_t replayed = 0;
  for (auto& replay : replays) replayed += replay.get().replayed;
  EXPECT_EQ(replayed, 30000U);
  EXPECT_EQ(Count("telemetry"), 30000);
  EXPECT_EQ(Value("SELECT count(DISTINCT seq) FROM telemetry"), "30000");
  EXPECT_EQ(Count("quarantine_events WHERE replay_state = 'NEW'"), 0);
  EXPECT_EQ(Count("quarantine_open"), 0);
}

TEST_F(ReplayerTest, SeveralOnOneQueueLookAtEveryMessageOnce) {
  QuarantineMany(30000);
  ReplayQueue queue({});
  std::vector<std::future<ReplayTotals>> replays;
  for (int i = 0; i < 3; ++i) {
    replays.push_back(std::async(std::launch::async, [&] { return Replay(queue); }));
  }
  ReplayTotals totals;
  for (auto& replay : replays) totals.Add(replay.get());
  EXPECT_EQ(totals.messages, 30000U);
  EXPECT_EQ(totals.refused, 30000U);
}

TEST_F(ReplayerTest, GoesOnAfterTheLastOneThatALimitedReplayLookedAt) {
  Quarantine(kWrongSite, kTopic, 5);
  ReplayQueue first({.limit = 3});
  EXPECT_EQ(Replay(first).refused, 3U);
  EXPECT_FALSE(first.empty());
  MoveTo("south");
  ReplayQueue second({.limit = 3}, first.last());
  EXPECT_EQ(Replay(second).replayed, 2U);
  EXPECT_TRUE(second.empty());
  EXPECT_EQ(Count("quarantine_events WHERE replay_state = 'NEW' AND id <= 3"), 3);
}

TEST_F(ReplayerTest, QuarantinesRowsThatTheTableRefusesAndStoresTheOthers) {
  Quarantine(kWrongSite, kTopic, 3);
  Quarantine(R"({"site_id":"south","provision_token":"tok-apple","metrics":{"poison":1}})");
  RefusePoison();
  MoveTo("south");
  const ReplayTotals totals = Replay();
  EXPECT_EQ(totals.replayed, 3U);
  EXPECT_THAT(totals.reasons, ElementsAre(Pair(Reason::kStorageRejected, 1U)));
  EXPECT_EQ(Count("telemetry"), 3);
  EXPECT_EQ(Count("quarantine_events WHERE reason = 'STORAGE_REJECTED' AND replay_state = 'NEW' "
                  "AND detail LIKE '%no_poison%'"),
            1);
}

TEST_F(ReplayerTest, ChangesNothingWhenTheTableRefusesEveryRow) {
  Quarantine(kWrongSite, kTopic, 3);
  MoveTo("south");
  Sql("ALTER TABLE telemetry ADD CONSTRAINT none CHECK (seq < 0)");
  ReplayQueue queue({});
  Replayer replayer(settings_, queue, "ann");
  ASSERT_TRUE(replayer.Prepare().ok());
  EXPECT_FALSE(replayer.Step().ok());
  EXPECT_EQ(Count("quarantine_events WHERE reason = 'SITE_MISMATCH_REGISTRY_VS_PAYLOAD' AND "
                  "replay_state = 'NEW'"),
            3);
  Sql("ALTER TABLE telemetry DROP CONSTRAINT none");
  EXPECT_EQ(replayer.totals().messages, 0U);
  EXPECT_EQ(Replay().replayed, 3U);
}

TEST_F(ReplayerTest, AStepWhoseConnectionIsLostHasHappenedWhollyOrNotAtAll) {
  QuarantineMany(100);
  MoveTo("south");
  auto holder = SharedPostgres().Connect(database_);
  ASSERT_TRUE(holder->Exec("BEGIN; LOCK TABLE telemetry IN ACCESS EXCLUSIVE MODE").ok());
  ReplayQueue queue({});
  Replayer replayer(settings_, queue, "ann");
  ASSERT_TRUE(replayer.Prepare().ok());
  auto step = std::async(std::launch::async, [&replayer] { return replayer.Step().ok(); });
  ASSERT_TRUE(Soon([this] {
    return Sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" +
               std::string(kRole) + "' AND wait_event_type = 'Lock'")
               .size() > 0;
  }));
  EXPECT_FALSE(step.get());
  ASSERT_TRUE(holder->Exec("COMMIT").ok());
  EXPECT_EQ(Count("telemetry"), 0);
  EXPECT_EQ(Count("quarantine_events WHERE replay_state = 'NEW'"), 100);
  EXPECT_EQ(Replay().replayed, 100U);
  EXPECT_EQ(Value("SELECT count(DISTINCT seq) || ' of ' || count(*) FROM telemetry"), "100 of 100");
}

TEST_F(ReplayerTest, AddsADeviceWhereTheDaemonWould) {
  parts_.store.Remove("orchard", "probe-7");
  parts_.directory.ForgetAll();
  Quarantine(R"({"site_id":"north"})");
  Sql("DELETE FROM device_registry; INSERT INTO subscriptions (subscription_id, tenant_id, "
      "device_limit) VALUES ('S', 'orchard', 5)");
  settings_.auto_provision = true;
  settings_.require_token = false;
  EXPECT_EQ(Replay().replayed, 1U);
  EXPECT_EQ(Count("device_registry WHERE device_id = 'probe-7' AND site_id = 'north'"), 1);
}

TEST_F(ReplayerTest, WantsTheSchemaOfItsOwnVersion) {
  Sql("INSERT INTO sluice_schema_migrations VALUES (9000, 'from_the_future', now(), '')");
  ReplayQueue queue({});
  EXPECT_FALSE(Replayer(settings_, queue, "ann").Prepare().ok());
}

}  // namespace
}  // namespace sluice
