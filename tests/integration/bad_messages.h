// A message for each reason that tokens, the registry and the message itself can give.
#pragma once

#include <string>
#include <vector>

#include "tests/support/sluice_stack.h"

namespace sluice::testing {

inline constexpr const char* kTopic = "tenant/orchard/device/probe-7/telemetry";

inline std::string Good(const std::string& extra = "") {
  return R"({"site_id":"north","provision_token":"tok-apple","seq":4,"metrics":{"heat":21.5})" +
         extra + "}";
}

// One message that earns one reason, and the daemon's environment it needs.
struct Bad {
  std::string reason;
  std::string topic;
  std::string payload;
};

inline std::vector<Bad> BadWithTokens() {
  std::string keys;
  for (int i = 0; i < 51; ++i) keys += (i ? "," : "") + ("\"m" + std::to_string(i) + "\":1");
  const std::string head = R"({"site_id":"north","provision_token":"tok-apple")";
  return {
      {"BAD_TOPIC_FORMAT", "tenant/orchard/devices/probe-7/telemetry", Good()},
      {"PAYLOAD_TOO_LARGE", kTopic, Good(",\"pad\":\"" + std::string(9000, 'x') + "\"")},
      {"INVALID_JSON", kTopic, R"({"provision_token":"tok-apple","site_id":"north",})"},
      {"UNSUPPORTED_ENVELOPE_VERSION", kTopic, Good(",\"version\":\"2\"")},
      {"TENANT_MISMATCH_TOPIC_VS_PAYLOAD", kTopic, Good(",\"tenant_id\":\"meadow\"")},
      {"DEVICE_MISMATCH_TOPIC_VS_PAYLOAD", kTopic, Good(",\"device_id\":\"probe-8\"")},
      {"MISSING_SITE_ID", kTopic, R"({"provision_token":"tok-apple"})"},
      {"METRICS_INVALID", kTopic, head + R"(,"metrics":[1]})"},
      {"TOO_MANY_METRICS", kTopic, head + ",\"metrics\":{" + keys + "}}"},
      {"METRIC_KEY_TOO_LONG", kTopic, head + ",\"metrics\":{\"" + std::string(129, 'k') + "\":1}}"},
      {"METRIC_KEY_INVALID", kTopic, head + R"(,"metrics":{"a\tb":1}})"},
      {"SEQ_INVALID", kTopic, head + R"(,"seq":"abc"})"},
      {"TIMESTAMP_INVALID", kTopic, Good(",\"ts\":\"yesterday\"")},
      {"TIMESTAMP_OUT_OF_RANGE", kTopic, Good(",\"ts\":\"1999-01-01T00:00:00Z\"")},
      {"UNREGISTERED_DEVICE", "tenant/orchard/device/nobody/telemetry", Good()},
      {"SUBSCRIPTION_SUSPENDED", "tenant/orchard/device/suspended/telemetry", Good()},
      {"SUBSCRIPTION_EXPIRED", "tenant/orchard/device/expired/telemetry", Good()},
      {"DEVICE_REVOKED", "tenant/orchard/device/revoked/telemetry", Good()},
      {"SITE_MISMATCH_REGISTRY_VS_PAYLOAD", kTopic,
       R"({"site_id":"south","provision_token":"tok-apple"})"},
      {"TOKEN_NOT_SET_IN_REGISTRY", "tenant/orchard/device/tokenless/telemetry", Good()},
      {"TOKEN_MISSING", kTopic, R"({"site_id":"north"})"},
      {"TOKEN_INVALID", kTopic, R"({"site_id":"north","provision_token":"tok-pear"})"},
      {"RATE_LIMITED", "tenant/orchard/device/chatty/telemetry", Good()},
      {"STORAGE_REJECTED", kTopic, head + R"(,"metrics":{"poison":1}})"},
  };
}

inline void RegisterFleet(SluiceStack& stack) {
  stack.Register({});
  stack.Register({.device = "suspended", .subscription = "sub-suspended"});
  stack.Register({.device = "expired", .subscription = "sub-expired"});
  stack.Sql(
      "UPDATE subscriptions SET status = 'SUSPENDED' WHERE subscription_id = 'sub-suspended'");
  stack.Sql("UPDATE subscriptions SET status = 'EXPIRED' WHERE subscription_id = 'sub-expired'");
  stack.Register({.device = "revoked", .status = "REVOKED"});
  stack.Register({.device = "tokenless", .token = ""});
  stack.Register({.device = "chatty"});
}

}  // namespace sluice::testing
