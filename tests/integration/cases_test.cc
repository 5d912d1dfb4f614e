// The verdicts of the old service, case by case, through the real broker and database.
//
// tests/cases/opsconductor.jsonl holds what the old service does; where we decide otherwise,
// kDifferences says what and why.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "schema/timestamp.h"
#include "schema/topic.h"
#include "tests/support/publisher.h"
#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

using Json = nlohmann::json;

struct Difference {
  const char* reason;  // ours; nullptr: accepted
  const char* why;
};

const std::map<std::string, Difference> kDifferences = {
    {"ops-013",
     {"DEVICE_MISMATCH_TOPIC_VS_PAYLOAD", "a payload that names another device is not believed"}},
    {"ops-025", {"BAD_TOPIC_FORMAT", "an empty topic segment is no tenant"}},
    {"ops-049",
     {"TOKEN_INVALID", "with the identity taken from the topic, a wrong token speaks against it"}},
    {"ops-094", {nullptr, "a place that is not on Earth is not a location; the row is stored"}},
    {"ops-103", {nullptr, "epoch numbers are timestamps; the old service took its own time"}},
    {"ops-106", {"SEQ_INVALID", "a seq that is no integer never becomes a zero"}},
    {"ops-109", {"INVALID_JSON", "NaN is not JSON; the old service lost the whole batch to it"}},
    {"ops-112", {"UNSUPPORTED_ENVELOPE_VERSION", "versions are checked on every path"}},
    {"ops-115", {"INVALID_JSON", "nothing is dropped without a trace: empty payload"}},
    {"ops-118", {"INVALID_JSON", "nothing is dropped without a trace: null"}},
    {"ops-121", {"INVALID_JSON", "nothing is dropped without a trace: not UTF-8"}},
    {"ops-124",
     {"BAD_TOPIC_FORMAT", "not a device's topic; the old service looked and ignored it"}},
};

std::vector<Json> LoadCases() {
  std::ifstream file(std::string(SLUICE_SOURCE_DIR) + "/tests/cases/opsconductor.jsonl");
  std::vector<Json> cases;
  for (std::string line; std::getline(file, line);) cases.push_back(Json::parse(line));
  return cases;
}

bool IsPipelineCase(const Json& c) {
  return c["kind"] == "ingest_pipeline" && !c["given"].contains("op") &&
         !c["given"].contains("stage");
}

bool IsStage(const Json& c, const char* stage) {
  return c["given"].value("stage", "") == stage;
}

// The daemon's environment for a case's settings.
Env EnvFor(const Json& given) {
  const Json settings = given.value("settings", Json::object());
  Env env = {{"INGEST_WORKER_COUNT", "1"},  // verdicts in the order of arrival
             {"TS_MAX_AGE", "3650d"},       // the cases' dates lie in the past
             {"IDENTITY_MODE", "topic"}};
  env["REQUIRE_TOKEN"] = settings.value("require_token", true) ? "1" : "0";
  env["CERT_AUTH_ENABLED"] = settings.value("cert_auth", false) ? "1" : "0";
  env["AUTO_PROVISION"] = settings.value("auto_provision", false) ? "1" : "0";
  env["RATE_LIMIT_RPS"] = std::to_string(settings.value("rps", 5.0));
  env["RATE_LIMIT_BURST"] = std::to_string(settings.value("burst", 20.0));
  return env;
}

std::string Text(const Json& object, const char* key, const char* fallback) {
  return object.value(key, std::string(fallback));
}

// Every case has a tenant of its own, so that no cache carries over from one to the next.
Json WithOwnTenant(const Json& c) {
  std::string text = c.dump();
  const std::string own = "orchard-" + c["id"].get<std::string>();
  for (size_t at = 0; (at = text.find("orchard", at)) != std::string::npos; at += own.size()) {
    text.replace(at, 7, own);
  }
  return Json::parse(text);
}

void FillRegistry(SluiceStack& stack, const Json& given) {
  for (const Json& s : given.value("subscriptions", Json::array())) {
    stack.Sql(
        "INSERT INTO subscriptions (subscription_id, tenant_id, status, subscription_type, "
        "device_limit, active_device_count) VALUES ('" +
        Text(s, "subscription_id", "") + "-" + Text(s, "tenant_id", "") + "', '" +
        Text(s, "tenant_id", "") + "', '" + Text(s, "status", "ACTIVE") + "', '" +
        Text(s, "subscription_type", "MAIN") + "', " + std::to_string(s.value("device_limit", 0)) +
        ", " + std::to_string(s.value("active_device_count", 0)) + ")");
  }
  for (const Json& d : given.value("registry", Json::array())) {
    const std::string subscription = Text(d, "subscription_id", "");
    stack.Register({.tenant = d["tenant_id"],
                    .device = d["device_id"],
                    .site = d["site_id"],
                    .token = Text(d, "provision_token", ""),
                    .status = Text(d, "status", "ACTIVE")});
    if (subscription.empty()) continue;
    stack.Sql("UPDATE device_registry SET subscription_id = '" + subscription + "-" +
              Text(d, "tenant_id", "") + "' WHERE tenant_id = '" + Text(d, "tenant_id", "") + "'");
  }
  for (const Json& k : given.value("certificates", Json::array())) {
    // A certificate may name a device that the case does not register.
    stack.Sql("INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('" +
              Text(k, "tenant_id", "") + "', '" + Text(k, "device_id", "") +
              "', 'north') ON CONFLICT DO NOTHING");
    stack.Sql(
        "INSERT INTO device_certificates (tenant_id, device_id, cert_pem, fingerprint_sha256, "
        "common_name, issuer, serial_number, status, not_before, not_after) VALUES ('" +
        Text(k, "tenant_id", "") + "', '" + Text(k, "device_id", "") +
        "', '', gen_random_uuid()::text, 'cn', 'ca', '01', '" + Text(k, "status", "ACTIVE") +
        "', now() - interval '1 day', now() + interval '1 day')");
  }
}

struct Seen {
  std::string reason;  // "" when accepted
  std::string tenant, device;
  std::string row;  // as JSON, when accepted
};

// What became of the messages since the tables were emptied, in the order of arrival.
std::vector<Seen> Verdicts(SluiceStack& stack) {
  const PgRows rows = stack.Sql(R"sql(
    SELECT received_at, '' AS reason, tenant_id, device_id,
           jsonb_build_object('time', to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"'),
             'msg_type', msg_type, 'seq', seq, 'site_id', site_id, 'metrics', metrics)::text
    FROM telemetry
    UNION ALL
    SELECT received_at, reason, tenant_id, device_id, NULL FROM quarantine_events
    ORDER BY 1)sql");
  std::vector<Seen> seen;
  for (int i = 0; i < rows.size(); ++i) {
    seen.push_back({std::string(rows.Text(i, 1)), std::string(rows.Text(i, 2)),
                    std::string(rows.Text(i, 3)), std::string(rows.Text(i, 4))});
  }
  return seen;
}

void EmptyTables(SluiceStack& stack) {
  stack.Sql("TRUNCATE telemetry; TRUNCATE quarantine_events");
}

std::vector<Seen> PublishAndSee(SluiceStack& stack, Publisher& publisher,
                                const std::vector<std::pair<std::string, std::string>>& messages) {
  EmptyTables(stack);
  for (const auto& [topic, payload] : messages) publisher.Publish(topic, payload);
  std::vector<Seen> seen;
  Eventually([&] {
    seen = Verdicts(stack);
    return seen.size() >= messages.size();
  });
  return seen;
}

std::string PayloadOf(const Json& message) {
  return message.contains("payload_raw") ? message["payload_raw"].get<std::string>()
                                         : message["payload"].dump();
}

void CheckResult(const std::string& id, const Json& expected, const Seen& seen) {
  std::string reason = expected["reason"].is_null() ? "" : expected["reason"].get<std::string>();
  const auto difference = kDifferences.find(id);
  if (difference != kDifferences.end()) {
    reason = difference->second.reason == nullptr ? "" : difference->second.reason;
  }
  EXPECT_EQ(seen.reason, reason);
  if (difference != kDifferences.end()) return;
  if (expected.contains("quarantine_tenant")) {
    EXPECT_EQ(seen.tenant, expected["quarantine_tenant"].is_null()
                               ? ""
                               : expected["quarantine_tenant"].get<std::string>());
  }
  if (expected.contains("row")) {
    EXPECT_EQ(Json::parse(seen.row), expected["row"]);
  }
}

void CheckLocation(SluiceStack& stack, const Json& given, const Json& expected,
                   const std::string& id) {
  if (!expected.contains("location_update")) return;
  const std::string place =
      stack.Value("SELECT latitude || ' ' || longitude FROM device_registry WHERE tenant_id = '" +
                  given["registry"][0]["tenant_id"].get<std::string>() + "'");
  if (kDifferences.contains(id)) {
    EXPECT_EQ(place, "");
  } else {
    const Json& at = expected["location_update"];
    EXPECT_EQ(place, at[0].dump() + " " + at[1].dump());
  }
}

TEST(OldServiceCases, EveryPipelineCaseGetsItsVerdict) {
  std::vector<Json> cases;
  for (const Json& c : LoadCases()) {
    if (IsPipelineCase(c)) cases.push_back(WithOwnTenant(c));
  }
  ASSERT_FALSE(cases.empty());
  std::stable_sort(cases.begin(), cases.end(), [](const Json& a, const Json& b) {
    return EnvFor(a["given"]) < EnvFor(b["given"]);
  });

  SluiceStack stack(Env{{"MQTT_TOPIC", "#"}});
  Publisher publisher(stack.broker().port());
  std::optional<Env> running;
  for (const Json& c : cases) {
    SCOPED_TRACE(c["id"].get<std::string>() + " " + c.value("note", ""));
    const Json& given = c["given"];
    if (const Env wanted = EnvFor(given); running != wanted) {
      if (running) stack.Stop();
      for (const auto& [name, value] : wanted) stack.env()[name] = value;
      stack.Start();
      running = wanted;
    }
    FillRegistry(stack, given);
    std::vector<std::pair<std::string, std::string>> messages;
    for (const Json& m : given["messages"]) messages.emplace_back(m["topic"], PayloadOf(m));
    const std::vector<Seen> seen = PublishAndSee(stack, publisher, messages);
    const Json& results = c["expect"]["results"];
    ASSERT_EQ(seen.size(), results.size());
    for (size_t i = 0; i < seen.size(); ++i) {
      CheckResult(c["id"], results[i], seen[i]);
      CheckLocation(stack, given, results[i], c["id"]);
    }
  }
}

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

TEST(OldServiceCases, WhatItDroppedOrChokedOnIsQuarantinedWithAReason) {
  SluiceStack stack(Env{{"MQTT_TOPIC", "#"}});
  stack.Register({});
  stack.Start();
  Publisher publisher(stack.broker().port());
  int found = 0;
  for (const Json& c : LoadCases()) {
    if (!IsStage(c, "receive") && !IsStage(c, "dispatch")) continue;
    ++found;
    const std::string id = c["id"];
    SCOPED_TRACE(id);
    const Json& given = c["given"];
    const std::string payload = given.contains("raw_hex") ? FromHex(given["raw_hex"])
                                                          : given.value("raw", std::string("{}"));
    const auto seen = PublishAndSee(stack, publisher, {{given["topic"], payload}});
    ASSERT_EQ(seen.size(), 1U);
    ASSERT_TRUE(kDifferences.contains(id));
    EXPECT_EQ(seen[0].reason, kDifferences.at(id).reason);
  }
  EXPECT_GT(found, 0);
}

TEST(OldServiceCases, TopicsAreTakenApartAsItDid) {
  int found = 0;
  for (const Json& c : LoadCases()) {
    if (c["given"].value("op", "") != "topic_extract") continue;
    ++found;
    SCOPED_TRACE(c["id"].get<std::string>());
    Topic topic;
    const std::string text = c["given"]["topic"];
    const bool parsed = ParseTopic(text, &topic);
    const Json& expected = c["expect"];
    ASSERT_EQ(parsed, !expected["tenant"].is_null());
    if (!parsed) continue;
    EXPECT_EQ(topic.tenant, expected["tenant"].get<std::string>());
    EXPECT_EQ(topic.device, expected["device"].get<std::string>());
    EXPECT_EQ(topic.msg_type, expected["msg_type"].get<std::string>());
  }
  EXPECT_GT(found, 0);
}

TEST(OldServiceCases, TimestampsMeanWhatTheyMeant) {
  int found = 0;
  for (const Json& c : LoadCases()) {
    if (c["given"].value("op", "") != "parse_ts") continue;
    ++found;
    SCOPED_TRACE(c["id"].get<std::string>());
    const Json& value = c["given"]["value"];
    const auto parsed = value.is_string()   ? ParseIso8601(value.get<std::string>())
                        : value.is_number() ? ParseEpoch(value.dump())
                                            : std::nullopt;
    const Json& utc = c["expect"]["utc"];
    ASSERT_EQ(parsed.has_value(), !utc.is_null());
    if (parsed) {
      EXPECT_EQ(*parsed, ParseIso8601(utc.get<std::string>()));
    }
  }
  EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace sluice::testing
