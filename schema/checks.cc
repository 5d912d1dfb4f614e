#include "schema/checks.h"

#include <algorithm>
#include <array>

namespace sluice {
namespace {

constexpr std::array<Check, kCheckCount> kChecks = {{
    {1, "topic is tenant/T/device/D/TYPE", Reason::kBadTopicFormat, Reason::kBadTopicFormat},
    {2, "payload is not too large", Reason::kPayloadTooLarge, Reason::kPayloadTooLarge},
    {3, "payload is one JSON object", Reason::kInvalidJson, Reason::kInvalidJson},
    {4, "version is 1 or absent", Reason::kUnsupportedEnvelopeVersion,
     Reason::kUnsupportedEnvelopeVersion},
    {5, "payload names nobody but the topic's device", Reason::kTenantMismatch,
     Reason::kDeviceMismatch},
    {6, "site_id is there", Reason::kMissingSiteId, Reason::kMissingSiteId},
    {7, "metrics and seq are well-formed", Reason::kMetricsInvalid, Reason::kSeqInvalid},
    {8, "ts is a time in range", Reason::kTimestampInvalid, Reason::kTimestampOutOfRange},
    {9, "device is registered", Reason::kUnregisteredDevice, Reason::kNoSubscriptionCapacity},
    {10, "its subscription is not ended", Reason::kSubscriptionSuspended,
     Reason::kSubscriptionExpired},
    {11, "its status is ACTIVE", Reason::kDeviceRevoked, Reason::kDeviceRevoked},
    {12, "its site is the payload's", Reason::kSiteMismatch, Reason::kSiteMismatch},
    {13, "the broker's stamp names it", Reason::kIdentityMissing, Reason::kIdentityMismatch},
    {14, "a certificate or token proves it", Reason::kCertNotActive, Reason::kAuthFailed},
    {15, "it keeps to its rate", Reason::kRateLimited, Reason::kRateLimited},
    {16, "PostgreSQL takes the rows", Reason::kStorageRejected, Reason::kStorageRejected},
}};

// Every reason belongs to one check, in the order of the enumeration.
constexpr bool CoversAllReasons() {
  size_t next = 0;
  for (const Check& check : kChecks) {
    if (static_cast<size_t>(check.first) != next || check.last < check.first) return false;
    next = static_cast<size_t>(check.last) + 1;
  }
  return next == kReasonCount;
}
static_assert(CoversAllReasons());

}  // namespace

std::span<const Check, kCheckCount> AllChecks() {
  return kChecks;
}

const Check& CheckOf(Reason reason) {
  return *std::find_if(kChecks.begin(), kChecks.end(),
                       [reason](const Check& check) { return reason <= check.last; });
}

}  // namespace sluice
