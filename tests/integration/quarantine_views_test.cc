// What reviewers read of the quarantine, and how it expires, on a real PostgreSQL.
#include <gmock/gmock.h>

#include <future>
#include <nlohmann/json.hpp>

#include "ingest/housekeeper.h"
#include "tests/integration/database_writer_fixture.h"

namespace sluice {
namespace {

using testing::SharedPostgres;

// What the counts ought to be, by counting; and what they are.
constexpr const char* kTrueCounts =
    "SELECT string_agg(t::text, ' ' ORDER BY t::text COLLATE \"C\") FROM (SELECT "
    "coalesce(tenant_id, '') AS tenant_id, coalesce(device_id, '') AS device_id, reason, count(*) "
    "FROM quarantine_events WHERE replay_state = 'NEW' GROUP BY 1, 2, 3) AS t";
constexpr const char* kKeptCounts =
    "SELECT string_agg(t::text, ' ' ORDER BY t::text COLLATE \"C\") FROM (SELECT tenant_id, "
    "device_id, reason, messages FROM quarantine_open) AS t";

class QuarantineViews : public DatabaseWriterTest {
 protected:
  // As the daemon does: so many messages of orchard's devices d1, d2 … that it does not know, and
  // one that has no topic to speak of.
  void Quarantine(int devices, int messages_each) {
    TestChunk chunk(next_seq_);
    for (int message = 0; message < messages_each; ++message) {
      for (int device = 1; device <= devices; ++device) {
        chunk.Add(kGood, "tenant/orchard/device/d" + std::to_string(device) + "/telemetry");
      }
    }
    chunk.Add("junk", "junk");
    next_seq_ = chunk.chunk().last_seq + 1;
    Batch batch = parts_.Judge(chunk);
    MustCommit(&batch);
  }
  void ExpectTrueCounts() { EXPECT_EQ(Value(kKeptCounts), Value(kTrueCounts)); }

  uint64_t next_seq_ = 1;
};

TEST_F(QuarantineViews, TheOldServicesReviewQueriesWorkUnchanged) {
  Quarantine(2, 3);
  const PgRows rows = Sql(
      "SELECT ingested_at, tenant_id, site_id, device_id, msg_type, reason FROM quarantine_events "
      "WHERE ingested_at > now() - 60 * interval '1 minute' ORDER BY ingested_at DESC LIMIT 100");
  EXPECT_EQ(rows.size(), 7);
  Sql("UPDATE quarantine_counters_minute SET bucket_minute = date_trunc('minute', now())");
  EXPECT_EQ(Value("SELECT string_agg(c::text, ' ' ORDER BY c::text) FROM (SELECT tenant_id, "
                  "reason, sum(cnt) FROM quarantine_counters_minute WHERE bucket_minute >= now() - "
                  "24 * interval '1 hour' GROUP BY tenant_id, reason) AS c"),
            "(\"\",BAD_TOPIC_FORMAT,1) (orchard,UNREGISTERED_DEVICE,6)");
}

TEST_F(QuarantineViews, RecentHasWhatIsNewNewestFirstWithoutPayloads) {
  Quarantine(1, 1);
  Quarantine(2, 1);
  Sql("UPDATE quarantine_events SET replay_state = 'DISCARDED' WHERE device_id = 'd2'");
  EXPECT_EQ(Value("SELECT string_agg(coalesce(device_id, '?'), ' ') FROM quarantine_recent"),
            "? d1 ? d1");
  EXPECT_EQ(Value("SELECT string_agg(id::text, ' ') FROM quarantine_recent"), "5 3 2 1");
  EXPECT_EQ(Value("SELECT count(*) FROM information_schema.columns WHERE table_name = "
                  "'quarantine_recent' AND column_name IN ('payload', 'payload_bytes', "
                  "'token_hash')"),
            "0");
}

TEST_F(QuarantineViews, SummaryCountsDevicesAndMessagesByTenantAndReason) {
  parts_.store.Add("orchard", "d3");
  Quarantine(3, 2);
  Sql("UPDATE quarantine_counters_minute SET bucket_minute = date_trunc('minute', now()), "
      "withheld = 3, cnt = cnt + 3 WHERE tenant_id = 'orchard'");
  EXPECT_EQ(Value("SELECT concat_ws('|', tenant_id, reason, devices, stored, counted_24h, "
                  "withheld_24h, first_seen AT TIME ZONE 'UTC', first_seen = last_seen) "
                  "FROM quarantine_summary WHERE tenant_id = 'orchard'"),
            "orchard|UNREGISTERED_DEVICE|2|4|7|3|2026-03-01 10:00:25|t");
  EXPECT_EQ(Value("SELECT concat_ws('|', reason, devices, stored, counted_24h) "
                  "FROM quarantine_summary WHERE tenant_id = ''"),
            "BAD_TOPIC_FORMAT|0|1|0");
}

TEST_F(QuarantineViews, SummaryHasWhatWasOnlyCounted) {
  parts_.runtime.store_rejects = false;
  Quarantine(1, 5);
  Sql("UPDATE quarantine_counters_minute SET bucket_minute = date_trunc('minute', now())");
  EXPECT_EQ(Value("SELECT concat_ws('|', devices, stored, counted_24h, withheld_24h) "
                  "FROM quarantine_summary WHERE reason = 'UNREGISTERED_DEVICE'"),
            "0|0|5|5");
}

TEST_F(QuarantineViews, ByDeviceSaysWhichDevicesAreToBeMended) {
  Quarantine(2, 3);
  Sql("UPDATE quarantine_events SET reason = 'TOKEN_INVALID' WHERE id = 1");
  EXPECT_EQ(Value("SELECT string_agg(concat_ws('|', device_id, reason, stored), ' ' ORDER BY "
                  "device_id, reason) FROM quarantine_by_device WHERE tenant_id = 'orchard'"),
            "d1|TOKEN_INVALID|1 d1|UNREGISTERED_DEVICE|2 d2|UNREGISTERED_DEVICE|3");
}

TEST_F(QuarantineViews, CountsFollowEveryChangeWhoeverMakesIt) {
  Quarantine(3, 4);
  ExpectTrueCounts();
  Sql("UPDATE quarantine_events SET replay_state = 'REPLAYED' WHERE device_id = 'd1'");
  ExpectTrueCounts();
  Sql("UPDATE quarantine_events SET reason = 'TOKEN_INVALID', tenant_id = 'harbour' "
      "WHERE device_id = 'd2' AND id % 2 = 0");
  ExpectTrueCounts();
  Sql("UPDATE quarantine_events SET replay_state = 'NEW'");
  ExpectTrueCounts();
  Sql("DELETE FROM quarantine_events WHERE device_id = 'd3' OR tenant_id IS NULL");
  ExpectTrueCounts();
  Quarantine(2, 1);
  ExpectTrueCounts();
  EXPECT_EQ(Count("quarantine_open WHERE messages = 0"), 0);
  Sql("TRUNCATE quarantine_events");
  EXPECT_EQ(Count("quarantine_open"), 0);
}

TEST_F(QuarantineViews, CountsAreMadeAnewAfterAChangePastTheTriggers) {
  Quarantine(2, 2);
  Sql("SET session_replication_role = replica; DELETE FROM quarantine_events WHERE id < 3;"
      "RESET session_replication_role");
  EXPECT_NE(Value(kKeptCounts), Value(kTrueCounts));
  Sql("SELECT sluice_recount_quarantine()");
  ExpectTrueCounts();
}

TEST_F(QuarantineViews, ADeviceIsFoundWithoutReadingTheOthersWithItsTenantOrWithout) {
  Sql("INSERT INTO quarantine_events (tenant_id, device_id, reason, payload) SELECT 't' || n % 50, "
      "'d' || n % 2000, 'TOKEN_INVALID', '{}' FROM generate_series(1, 20000) n");
  Sql("VACUUM (ANALYZE) quarantine_events");
  for (const char* tenant : {"", "tenant_id = 't7' AND "}) {
    const auto plan = nlohmann::json::parse(
        Value(std::string("EXPLAIN (ANALYZE, BUFFERS, FORMAT json) SELECT * FROM quarantine_recent "
                          "WHERE ") +
              tenant + "device_id = 'd7' LIMIT 100"))[0]["Plan"];
    EXPECT_EQ(plan["Actual Rows"], 10);
    EXPECT_LT(plan["Shared Hit Blocks"].get<int>() + plan["Shared Read Blocks"].get<int>(), 40)
        << plan.dump();
  }
}

// Each wants the other's rows next; they are locked in one order.
TEST_F(QuarantineViews, WritersOfTheSameDevicesDoNotDeadlock) {
  Quarantine(20, 1);
  std::vector<std::future<bool>> writers;
  for (const char* order : {"ASC", "DESC", "ASC", "DESC"}) {
    writers.push_back(std::async(std::launch::async, [this, order] {
      auto db = SharedPostgres().Connect(database_);
      for (int i = 0; i < 50; ++i) {
        auto done = db->Exec(
            std::string("INSERT INTO quarantine_events (tenant_id, device_id, reason, payload) "
                        "SELECT 'orchard', 'd' || n, 'UNREGISTERED_DEVICE', 'null' "
                        "FROM generate_series(1, 20) n ORDER BY n ") +
            order);
        if (!done.ok()) return false;
      }
      return true;
    }));
  }
  for (auto& writer : writers) EXPECT_TRUE(writer.get());
  ExpectTrueCounts();
  EXPECT_EQ(Count("quarantine_open WHERE messages = 201"), 20);
}

TEST_F(QuarantineViews, ATenantsReaderSeesItsOwnAndAnOperatorsAll) {
  Quarantine(1, 2);
  Sql("INSERT INTO quarantine_events (tenant_id, device_id, reason, payload) "
      "VALUES ('harbour', 'crane', 'TOKEN_INVALID', 'null')");
  Sql("ALTER ROLE pulse_app LOGIN; ALTER ROLE pulse_operator LOGIN");
  const auto tenants = [](PgConnection& reader, const std::string& view) {
    auto rows =
        reader.Exec("SELECT string_agg(DISTINCT coalesce(tenant_id, ''), ' ') FROM " + view);
    return rows.ok() ? std::string(rows->Text(0, 0)) : rows.error().Describe();
  };
  auto tenant = SharedPostgres().Connect(database_, "pulse_app");
  ASSERT_TRUE(tenant->Exec("SET app.tenant_id = 'harbour'").ok());
  auto op = SharedPostgres().Connect(database_, "pulse_operator");
  auto daemon = SharedPostgres().Connect(database_, kRole);
  for (const char* view : {"quarantine_recent", "quarantine_summary", "quarantine_by_device"}) {
    EXPECT_EQ(tenants(*tenant, view), "harbour") << view;
    EXPECT_EQ(tenants(*op, view), " harbour orchard") << view;
    EXPECT_EQ(tenants(*daemon, view), " harbour orchard") << view;
  }
}

class QuarantineExpiry : public QuarantineViews {
 protected:
  std::string Expire(const std::string& before, int at_most) {
    return Value("SELECT sluice_expire_quarantine(" + before + ", " + std::to_string(at_most) +
                 ")");
  }
};

TEST_F(QuarantineExpiry, DeletesTheOldestAPageAtATime) {
  Quarantine(5, 2);
  Sql("UPDATE quarantine_events SET ingested_at = now() - id * interval '1 day'");
  EXPECT_EQ(Expire("now() - interval '5 days 1 hour'", 4), "4");
  EXPECT_EQ(Value("SELECT string_agg(id::text, ' ' ORDER BY id) FROM quarantine_events"),
            "1 2 3 4 5 6 7");
  EXPECT_EQ(Expire("now() - interval '5 days 1 hour'", 4), "2");
  EXPECT_EQ(Expire("now() - interval '5 days 1 hour'", 4), "0");
  EXPECT_EQ(Count("quarantine_events"), 5);
  ExpectTrueCounts();
}

TEST_F(QuarantineExpiry, DeletesOldMinutesAndKeepsTheOthers) {
  Quarantine(1, 1);
  Sql("INSERT INTO quarantine_counters_minute (bucket_minute, tenant_id, reason, cnt) "
      "VALUES (now(), 'orchard', 'TOKEN_INVALID', 1)");
  Expire("'2026-03-01 10:01:00+00'", 100);
  EXPECT_EQ(Value("SELECT string_agg(reason, ' ') FROM quarantine_counters_minute"),
            "TOKEN_INVALID");
}

TEST_F(QuarantineExpiry, LeavesWhatAReplayWorksOnForTheNextTime) {
  Quarantine(2, 1);
  auto replay = SharedPostgres().Connect(database_);
  ASSERT_TRUE(replay->Exec("BEGIN; SELECT FROM quarantine_events WHERE id = 1 FOR UPDATE").ok());
  EXPECT_EQ(Expire("now() + interval '1 day'", 100), "2");
  ASSERT_TRUE(replay->Exec("COMMIT").ok());
  EXPECT_EQ(Expire("now() + interval '1 day'", 100), "1");
}

TEST_F(QuarantineExpiry, IsTheHousekeepersWorkWithTheDaemonsRights) {
  Quarantine(3, 1);
  Sql("UPDATE quarantine_events SET ingested_at = now() - interval '31 days' WHERE id <= 2");
  auto settings = LoadSettings([](const char*) { return nullptr; }, SettingsFor::kTool);
  ASSERT_TRUE(settings.ok()) << settings.message();
  settings->database_url = SharedPostgres().Conninfo(database_, kRole);
  TestSpool spool;
  RuntimeSettings runtime;
  RateLimiter limiter;
  DatabaseHealth health;
  Housekeeper housekeeper(*settings, *spool.spool, runtime, limiter, health, SystemClock());
  const PgStatus expired = housekeeper.ExpireQuarantine();
  ASSERT_TRUE(expired.ok()) << expired.error().Describe();
  EXPECT_EQ(Count("quarantine_events"), 2);
}

}  // namespace
}  // namespace sluice
