// The main path through real servers: what goes in at the broker is found in PostgreSQL, as rows or
// in the quarantine, with the right reason, and is accounted for.
#include <gtest/gtest.h>

#include <libpq-fe.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "schema/reason.h"
#include "tests/integration/bad_messages.h"
#include "tests/support/publisher.h"
#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

void ExpectQuarantined(SluiceStack& stack, const Bad& bad) {
  const std::string where = "quarantine_events WHERE reason = '" + bad.reason + "'";
  ASSERT_TRUE(Eventually([&] { return stack.Count(where) > 0; }));
  EXPECT_EQ(stack.Value("SELECT topic FROM " + where + " LIMIT 1"), bad.topic);
  EXPECT_EQ(stack.Count(where + " AND payload_size = " + std::to_string(bad.payload.size())), 1);
  EXPECT_EQ(stack.Count(where + " AND length(payload_bytes) > 0"), 1);
  // What jsonb can hold is there as jsonb, too.
  const bool json = bad.reason != "INVALID_JSON" && bad.reason != "BAD_TOPIC_FORMAT";
  EXPECT_EQ(stack.Count(where + " AND jsonb_typeof(payload) = 'object'"), json ? 1 : 0);
}

TEST(MainPath, AGoodMessageBecomesARowAsTheDeviceWroteIt) {
  SluiceStack stack;
  stack.Register({});
  stack.Start();
  Publisher(stack.broker().port())
      .Publish(kTopic, R"({"site_id":"north","provision_token":"tok-apple","seq":7,)"
                       R"("ts":")" +
                           stack.Value("SELECT to_char(now() AT TIME ZONE 'UTC', "
                                       "'YYYY-MM-DD\"T\"HH24:MI:00.25Z')") +
                           R"(","metrics":{"heat":21.5,"on":true,"name":"a\"b"}})");
  ASSERT_TRUE(Eventually([&] { return stack.Count("telemetry") == 1; }));
  EXPECT_EQ(stack.Value("SELECT tenant_id || '/' || device_id || '/' || site_id || '/' || msg_type "
                        "|| '/' || seq FROM telemetry"),
            "orchard/probe-7/north/telemetry/7");
  EXPECT_EQ(stack.Value("SELECT metrics = '{\"heat\":21.5,\"on\":true,\"name\":\"a\\\"b\"}'::jsonb "
                        "FROM telemetry"),
            "t");
  EXPECT_EQ(stack.Value("SELECT extract(microseconds FROM time) FROM telemetry"), "250000");
  EXPECT_EQ(
      stack.Count("telemetry WHERE received_at BETWEEN now() - interval '1 minute' AND now()"), 1);
}

TEST(MainPath, EveryReasonIsProducedAndKeptWithItsPayloadAndNoTokenLands) {
  SluiceStack stack(Env{{"RATE_LIMIT_RPS", "0"},
                        {"RATE_LIMIT_BURST", "3"},
                        {"MQTT_TOPIC", "tenant/#"},
                        {"LOG_LEVEL", "debug"}});
  RegisterFleet(stack);
  stack.Sql("ALTER TABLE telemetry ADD CONSTRAINT no_poison CHECK (NOT metrics ? 'poison')");
  stack.Start();
  Publisher publisher(stack.broker().port());
  for (int i = 0; i < 3; ++i) publisher.Publish("tenant/orchard/device/chatty/telemetry", Good());
  ASSERT_TRUE(Eventually([&] { return stack.Count("telemetry") == 3; }));

  std::set<std::string> produced;
  for (const Bad& bad : BadWithTokens()) {
    SCOPED_TRACE(bad.reason);
    publisher.Publish(bad.topic, bad.payload);
    ExpectQuarantined(stack, bad);
    produced.insert(bad.reason);
  }
  EXPECT_EQ(stack.Count("telemetry"), 3);

  EXPECT_EQ(stack.Value("SELECT count(*) FROM quarantine_events q WHERE q::text LIKE '%tok-apple%' "
                        "OR q::text LIKE '%tok-pear%' "
                        "OR position('tok-apple'::bytea IN payload_bytes) > 0 "
                        "OR position('tok-pear'::bytea IN payload_bytes) > 0"),
            "0");
  EXPECT_EQ(stack.log().find("tok-"), std::string::npos);
  // A replay can still be checked: the token's hash was kept.
  EXPECT_EQ(stack.Count("quarantine_events WHERE reason = 'SITE_MISMATCH_REGISTRY_VS_PAYLOAD' AND "
                        "token_hash = encode(sha256('tok-apple'), 'hex')"),
            1);

  // With what the other tests of this file produce, every reason but those of stamps is covered.
  for (const char* elsewhere : {"NO_SUBSCRIPTION_CAPACITY", "CERT_NOT_ACTIVE", "AUTH_FAILED",
                                "IDENTITY_MISSING", "IDENTITY_FORGED", "IDENTITY_MISMATCH"}) {
    produced.insert(elsewhere);
  }
  EXPECT_EQ(produced.size(), kReasonCount);
}

TEST(MainPath, CertificatesProveWhenTokensAreNotRequired) {
  SluiceStack stack(
      Env{{"CERT_AUTH_ENABLED", "1"}, {"IDENTITY_MODE", "topic"}, {"REQUIRE_TOKEN", "0"}});
  for (const char* device : {"certified", "lapsed", "bare"}) {
    stack.Register({.device = device, .token = ""});
  }
  for (const auto& [device, status] :
       {std::pair("certified", "ACTIVE"), std::pair("lapsed", "REVOKED")}) {
    stack.Sql(
        "INSERT INTO device_certificates (tenant_id, device_id, cert_pem, fingerprint_sha256, "
        "common_name, issuer, serial_number, status, not_before, not_after) VALUES "
        "('orchard', '" +
        std::string(device) + "', '', '" + device + "', 'cn', 'ca', '01', '" + status +
        "', now() - interval '1 day', now() + interval '1 day')");
  }
  stack.Start();
  Publisher publisher(stack.broker().port());
  for (const char* device : {"certified", "lapsed", "bare"}) {
    publisher.Publish("tenant/orchard/device/" + std::string(device) + "/telemetry",
                      R"({"site_id":"north"})");
  }
  ASSERT_TRUE(
      Eventually([&] { return stack.Count("telemetry") + stack.Count("quarantine_events") == 3; }));
  EXPECT_EQ(stack.Value("SELECT device_id FROM telemetry"), "certified");
  EXPECT_EQ(stack.Value("SELECT reason FROM quarantine_events WHERE device_id = 'lapsed'"),
            "CERT_NOT_ACTIVE");
  EXPECT_EQ(stack.Value("SELECT reason FROM quarantine_events WHERE device_id = 'bare'"),
            "AUTH_FAILED");
  EXPECT_NE(stack.log().find("identity_from_topic"), std::string::npos);
}

TEST(MainPath, AutoProvisionAddsDevicesWhileTheSubscriptionHasRoom) {
  SluiceStack stack(Env{{"AUTO_PROVISION", "1"}, {"REQUIRE_TOKEN", "0"}});
  stack.Sql(
      "INSERT INTO subscriptions (subscription_id, tenant_id, status, subscription_type, "
      "device_limit, active_device_count) VALUES ('s', 'orchard', 'ACTIVE', 'MAIN', 2, 1)");
  stack.Start();
  Publisher publisher(stack.broker().port());
  publisher.Publish("tenant/orchard/device/first/telemetry", Good());
  ASSERT_TRUE(Eventually([&] { return stack.Count("telemetry") == 1; }));
  publisher.Publish("tenant/orchard/device/second/telemetry", Good());
  ASSERT_TRUE(Eventually([&] { return stack.Count("quarantine_events") == 1; }));
  EXPECT_EQ(stack.Value("SELECT device_id || ' ' || reason FROM quarantine_events"),
            "second NO_SUBSCRIPTION_CAPACITY");
  EXPECT_EQ(stack.Value("SELECT site_id || ' ' || subscription_id FROM device_registry"),
            "north s");
  EXPECT_EQ(stack.Value("SELECT active_device_count FROM subscriptions"), "2");
}

TEST(MainPath, ReadingsBecomeARowEachAndShareOneVerdict) {
  SluiceStack stack;
  stack.Register({});
  stack.Start();
  Publisher publisher(stack.broker().port());
  publisher.Publish(kTopic,
                    R"({"site_id":"north","provision_token":"tok-apple","readings":[)"
                    R"({"seq":1,"metrics":{"a":1}},{"seq":2},{"seq":3,"metrics":{"a":3}}]})");
  publisher.Publish(kTopic, R"({"site_id":"north","provision_token":"tok-apple","readings":[)"
                            R"({"seq":4},{"seq":"x"}]})");
  ASSERT_TRUE(Eventually([&] { return stack.Count("quarantine_events") == 1; }));
  EXPECT_EQ(stack.Value("SELECT string_agg(seq || metrics::text, ' ' ORDER BY seq) FROM telemetry"),
            "1{\"a\": 1} 2{} 3{\"a\": 3}");
  EXPECT_EQ(stack.Metric("sluice_stored_messages_total"), 1);
  EXPECT_EQ(stack.Metric("sluice_stored_rows_total"), 3);
}

TEST(MainPath, ADevicesPlaceFollowsItUnlessAnOperatorSetIt) {
  SluiceStack stack;
  stack.Register({});
  stack.Register({.device = "fixed"});
  stack.Sql(
      "UPDATE device_registry SET location_source = 'manual', latitude = 1, longitude = 2 "
      "WHERE device_id = 'fixed'");
  stack.Start();
  Publisher publisher(stack.broker().port());
  publisher.Publish(kTopic, Good(",\"latitude\":45.5,\"longitude\":7.25"));
  publisher.Publish("tenant/orchard/device/fixed/telemetry", Good(",\"lat\":45.5,\"lng\":7.25"));
  ASSERT_TRUE(Eventually([&] { return stack.Count("telemetry") == 2; }));
  EXPECT_EQ(stack.Value("SELECT string_agg(latitude || ',' || longitude, ' ' ORDER BY device_id) "
                        "FROM device_registry"),
            "1,2 45.5,7.25");
}

TEST(MainPath, EachTransactionNotifiesItsTenants) {
  SluiceStack stack;
  stack.Register({});
  stack.Start();
  auto listener = stack.server().Connect(stack.database());
  ASSERT_TRUE(listener->Exec("LISTEN telemetry_inserted").ok());
  Publisher(stack.broker().port()).Publish(kTopic, Good());
  std::string payload;
  EXPECT_TRUE(Eventually([&] {
    PQconsumeInput(listener->native());
    PGnotify* notice = PQnotifies(listener->native());
    if (notice != nullptr) payload = notice->extra;
    PQfreemem(notice);
    return !payload.empty();
  }));
  EXPECT_EQ(payload, R"({"tenant_ids":["orchard"]})");
}

TEST(MainPath, OtherChannelsAreIgnoredAndCountedAndNeverQuarantined) {
  SluiceStack stack(Env{{"MQTT_TOPIC", "tenant/+/device/+/+,tenant/+/device/+/shadow/#"}});
  stack.Register({});
  stack.Start();
  Publisher publisher(stack.broker().port());
  publisher.Publish("tenant/orchard/device/probe-7/commands", "{}");
  publisher.Publish("tenant/orchard/device/probe-7/shadow/desired", "{}");
  publisher.Publish("tenant/orchard/device/probe-7/heartbeat", Good());
  ASSERT_TRUE(
      Eventually([&] { return stack.Count("telemetry WHERE msg_type = 'heartbeat'") == 1; }));
  EXPECT_EQ(stack.Metric("sluice_ignored_messages_total"), 2);
  EXPECT_EQ(stack.Metric("sluice_received_messages_total"), 1);
  EXPECT_EQ(stack.Count("quarantine_events"), 0);
}

TEST(MainPath, AShoutingDeviceIsCountedWholeAndKeptInPart) {
  SluiceStack stack(Env{{"QUARANTINE_PER_DEVICE_PER_MINUTE", "5"}});
  stack.Register({});
  stack.Start();
  Publisher publisher(stack.broker().port());
  for (int i = 0; i < 30; ++i) publisher.Publish(kTopic, R"({"site_id":"north"})");
  ASSERT_TRUE(Eventually([&] {
    return stack.Metric("sluice_quarantined_messages_total{reason=\"TOKEN_MISSING\"}") == 30;
  }));
  // A minute may have begun in between.
  EXPECT_LE(stack.Count("quarantine_events"), 10);
  EXPECT_GE(stack.Count("quarantine_events"), 5);
  EXPECT_EQ(
      stack.Value("SELECT sum(cnt) FROM quarantine_counters_minute WHERE tenant_id = 'orchard' "
                  "AND reason = 'TOKEN_MISSING'"),
      "30");
}

TEST(MainPath, AStoredPayloadIsBoundedInBytes) {
  SluiceStack stack(Env{{"QUARANTINE_PAYLOAD_MAX_BYTES", "1024"}});
  stack.Register({});
  stack.Start();
  Publisher(stack.broker().port())
      .Publish(kTopic, R"({"pad":")" + std::string(5000, 'x') + R"("})");
  ASSERT_TRUE(Eventually([&] { return stack.Count("quarantine_events") == 1; }));
  EXPECT_EQ(stack.Value("SELECT length(payload_bytes) || ' ' || payload_truncated || ' ' || "
                        "payload_size || ' ' || payload::text FROM quarantine_events"),
            "1024 true 5010 null");
}

TEST(MainPath, AChoreThatIsRefusedAgainAndAgainIsSaidOnce) {
  SluiceStack stack(Env{{"SETTINGS_POLL_SECONDS", "100ms"}});
  stack.Start();
  stack.Sql("ALTER TABLE app_settings RENAME TO away");
  const auto said = [&stack] {
    const std::string log = stack.log();
    int times = 0;
    for (size_t at = 0; (at = log.find("housekeeping_refused", at)) != std::string::npos; ++at) {
      ++times;
    }
    return times;
  };
  ASSERT_TRUE(Eventually([&] { return said() > 0; }));
  std::this_thread::sleep_for(std::chrono::seconds(2));  // some more polls
  EXPECT_EQ(said(), 1);
}

TEST(MainPath, AppSettingsTakeEffectWhileRunningAndGiveWayWhenDeleted) {
  SluiceStack stack;
  stack.Register({});
  stack.Start();
  Publisher publisher(stack.broker().port());
  const std::string big = Good(",\"pad\":\"" + std::string(500, 'x') + "\"");
  stack.Sql("INSERT INTO app_settings (key, value) VALUES ('MAX_PAYLOAD_BYTES', '400')");
  int published = 0;
  EXPECT_TRUE(Eventually([&] {
    publisher.Publish(kTopic, big);
    ++published;
    return stack.Count("quarantine_events WHERE reason = 'PAYLOAD_TOO_LARGE'") > 0;
  }));
  // Both are read together.
  stack.Sql(
      "INSERT INTO app_settings (key, value) VALUES ('MAX_PAYLOAD_BYTES', 'many'), "
      "('STORE_REJECTS', '0') ON CONFLICT (key) DO UPDATE SET value = excluded.value");
  EXPECT_TRUE(
      Eventually([&] { return stack.log().find("app_setting_ignored") != std::string::npos; }));
  EXPECT_TRUE(Eventually([&] {
    return stack.Metric("sluice_stored_messages_total") +
               stack.Metric("sluice_quarantined_messages_total{reason=\"PAYLOAD_TOO_LARGE\"}") ==
           published;
  }));
  const int64_t stored = stack.Count("telemetry");
  publisher.Publish(kTopic, big);
  EXPECT_TRUE(Eventually([&] { return stack.Count("telemetry") == stored + 1; }));
  stack.Sql("DELETE FROM quarantine_events");
  publisher.Publish(kTopic, "{");
  EXPECT_TRUE(Eventually([&] {
    return stack.Metric("sluice_quarantined_messages_total{reason=\"INVALID_JSON\"}") == 1;
  }));
  EXPECT_EQ(stack.Count("quarantine_events"), 0);
}

TEST(MainPath, OneGuiltyRowAmongManyIsFoundAndTheRestIsStored) {
  SluiceStack stack(Env{{"FLUSH_INTERVAL_MS", "2000"}, {"INGEST_WORKER_COUNT", "1"}});
  stack.Register({});
  stack.Sql("ALTER TABLE telemetry ADD CONSTRAINT no_poison CHECK (NOT metrics ? 'poison')");
  stack.Start();
  Publisher publisher(stack.broker().port());
  for (int i = 0; i < 200; ++i) {
    const bool poison = i % 50 == 17;
    publisher.Publish(kTopic, R"({"site_id":"north","provision_token":"tok-apple","seq":)" +
                                  std::to_string(i) + R"(,"metrics":{")" +
                                  (poison ? "poison" : "heat") + R"(":1}})");
  }
  ASSERT_TRUE(Eventually(
      [&] { return stack.Count("telemetry") + stack.Count("quarantine_events") == 200; }));
  EXPECT_EQ(stack.Value("SELECT count(*) || ' ' || min(reason) FROM quarantine_events"),
            "4 STORAGE_REJECTED");
  EXPECT_EQ(stack.Count("telemetry WHERE metrics ? 'poison'"), 0);
}

TEST(MainPath, ATableThatRefusesEveryRowPausesInsteadOfQuarantining) {
  SluiceStack stack;
  stack.Register({});
  stack.Sql("ALTER TABLE telemetry ADD CONSTRAINT nothing CHECK (false) NOT VALID");
  stack.Start();
  Publisher publisher(stack.broker().port());
  for (int i = 0; i < 5; ++i) publisher.Publish(kTopic, Good());
  int status = 0;
  ASSERT_TRUE(Eventually([&] { return stack.Http("/ready", &status), status == 503; }));
  EXPECT_NE(stack.Http("/ready").find("every row is refused"), std::string::npos);
  EXPECT_EQ(stack.Count("quarantine_events"), 0);
  stack.Sql("ALTER TABLE telemetry DROP CONSTRAINT nothing");
  EXPECT_TRUE(Eventually([&] { return stack.Count("telemetry") == 5; }));
  EXPECT_TRUE(Eventually([&] { return stack.Http("/ready", &status), status == 200; }));
  EXPECT_EQ(stack.Count("quarantine_events"), 0);
}

TEST(MainPath, TheOldServicesHealthAndMetricNamesAreThere) {
  SluiceStack stack(Env{{"SERVICE_NAME", "ingest-a"}});
  stack.Register({});
  stack.Start();
  Publisher(stack.broker().port()).Publish(kTopic, Good());
  ASSERT_TRUE(Eventually([&] { return stack.Count("telemetry") == 1; }));
  ASSERT_TRUE(Eventually([&] { return stack.Metric("sluice_stored_messages_total") == 1; }));
  EXPECT_EQ(stack.Metric("pulse_ingest_messages_total{tenant_id=\"orchard\",result=\"accepted\"}"),
            1);
  EXPECT_EQ(stack.Metric("pulse_ingest_queue_depth"), 0);
  EXPECT_EQ(stack.Metric("sluice_accounting_gap_messages"), 0);
  const auto health = nlohmann::json::parse(stack.Http("/health"));
  EXPECT_EQ(health["status"], "healthy");
  EXPECT_EQ(health["service"], "ingest-a");
  EXPECT_EQ(health["counters"]["messages_received"], 1);
  EXPECT_EQ(health["counters"]["messages_written"], 1);
  EXPECT_TRUE(health["last_write_at"].is_string());
}

TEST(MainPath, TheOldServicesDatabaseIsTakenOverAndItsSettingsApply) {
  PostgresServer& server = SharedPostgres();
  SluiceStack stack;
  // The stack's own database is new; this one has lived with the old service.
  const std::string old = server.CreateDatabase();
  const std::string log = stack.Path("legacy.log");
  ASSERT_EQ(sluice::testing::Run(
                {.argv = {"psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", server.Url(old), "-f",
                          std::string(SLUICE_SOURCE_DIR) + "/tests/support/legacy_schema.sql"},
                 .stdout_path = log,
                 .stderr_path = log})
                ->code,
            0)
      << ReadFile(log);
  stack.env()["DATABASE_URL"] = server.Url(old);
  ASSERT_EQ(sluice::testing::Run({.argv = {BinaryPath("sluice"), "migrate"},
                                  .env = stack.env(),
                                  .stdout_path = log,
                                  .stderr_path = log})
                ->code,
            0)
      << ReadFile(log);
  auto db = server.Connect(old);
  const auto count = [&] { return db->Exec("SELECT count(*) FROM telemetry")->Int(0, 0); };
  ASSERT_TRUE(db->Exec("INSERT INTO device_registry (tenant_id, device_id, site_id, status, "
                       "provision_token_hash) VALUES ('orchard', 'probe-7', 'north', 'ACTIVE', "
                       "encode(sha256('tok-apple'), 'hex'))")
                  .ok());
  const int64_t before = count();
  stack.Start();
  Publisher(stack.broker().port()).Publish(kTopic, Good());
  EXPECT_TRUE(Eventually([&] { return count() == before + 1; }));
}

}  // namespace
}  // namespace sluice::testing
