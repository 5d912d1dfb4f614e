// Reason: why a message was not accepted. The strings are stable API: metrics label and SQL
// value. reason_help.h explains them.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace sluice {

// In the order of the checks. kSeqInvalid and kDeviceMismatch are additions to the old service's
// strings: it lost a whole batch to a seq that is no integer, and never looked at device_id.
enum class Reason : unsigned char {
  kBadTopicFormat,
  kPayloadTooLarge,
  kInvalidJson,
  kUnsupportedEnvelopeVersion,
  kTenantMismatch,
  kDeviceMismatch,
  kMissingSiteId,
  kMetricsInvalid,
  kTooManyMetrics,
  kMetricKeyTooLong,
  kMetricKeyInvalid,
  kSeqInvalid,
  kTimestampInvalid,
  kTimestampOutOfRange,
  kUnregisteredDevice,
  kNoSubscriptionCapacity,
  kSubscriptionSuspended,
  kSubscriptionExpired,
  kDeviceRevoked,
  kSiteMismatch,
  kIdentityMissing,
  kIdentityForged,
  kIdentityMismatch,
  kCertNotActive,
  kTokenNotSet,
  kTokenMissing,
  kTokenInvalid,
  kAuthFailed,
  kRateLimited,
  kStorageRejected,
};
inline constexpr size_t kReasonCount = static_cast<size_t>(Reason::kStorageRejected) + 1;

// E.g. "TENANT_MISMATCH_TOPIC_VS_PAYLOAD". The view lives as long as the program.
std::string_view ReasonName(Reason reason);
// The reason with that name, or false.
bool ParseReason(std::string_view name, Reason* reason);

}  // namespace sluice
