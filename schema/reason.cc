#include "schema/reason.h"

namespace sluice {
namespace {

// In the order of the enumeration.
constexpr std::array<std::string_view, kReasonCount> kNames = {
    "BAD_TOPIC_FORMAT",
    "PAYLOAD_TOO_LARGE",
    "INVALID_JSON",
    "UNSUPPORTED_ENVELOPE_VERSION",
    "TENANT_MISMATCH_TOPIC_VS_PAYLOAD",
    "DEVICE_MISMATCH_TOPIC_VS_PAYLOAD",
    "MISSING_SITE_ID",
    "METRICS_INVALID",
    "TOO_MANY_METRICS",
    "METRIC_KEY_TOO_LONG",
    "METRIC_KEY_INVALID",
    "SEQ_INVALID",
    "TIMESTAMP_INVALID",
    "TIMESTAMP_OUT_OF_RANGE",
    "UNREGISTERED_DEVICE",
    "NO_SUBSCRIPTION_CAPACITY",
    "SUBSCRIPTION_SUSPENDED",
    "SUBSCRIPTION_EXPIRED",
    "DEVICE_REVOKED",
    "SITE_MISMATCH_REGISTRY_VS_PAYLOAD",
    "IDENTITY_MISSING",
    "IDENTITY_FORGED",
    "IDENTITY_MISMATCH",
    "CERT_NOT_ACTIVE",
    "TOKEN_NOT_SET_IN_REGISTRY",
    "TOKEN_MISSING",
    "TOKEN_INVALID",
    "AUTH_FAILED",
    "RATE_LIMITED",
    "STORAGE_REJECTED",
};
static_assert(!kNames.back().empty(), "a reason has no name");

}  // namespace

std::string_view ReasonName(Reason reason) {
  return kNames[static_cast<size_t>(reason)];
}

bool ParseReason(std::string_view name, Reason* reason) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) {
      *reason = static_cast<Reason>(i);
      return true;
    }
  }
  return false;
}

}  // namespace sluice
