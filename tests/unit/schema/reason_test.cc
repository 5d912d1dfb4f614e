#include "schema/reason.h"

#include <gtest/gtest.h>

#include <set>

namespace sluice {
namespace {

TEST(Reason, EveryNameIsUniqueAndParsesBackToItsReason) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kReasonCount; ++i) {
    const auto reason = static_cast<Reason>(i);
    Reason parsed{};
    ASSERT_TRUE(ParseReason(ReasonName(reason), &parsed)) << i;
    EXPECT_EQ(parsed, reason);
    EXPECT_TRUE(names.insert(ReasonName(reason)).second) << ReasonName(reason);
  }
}

// Users have these in queries and alarms. A shifted table would still be unique.
TEST(Reason, NamesAreTheStableStrings) {
  EXPECT_EQ(ReasonName(Reason::kBadTopicFormat), "BAD_TOPIC_FORMAT");
  EXPECT_EQ(ReasonName(Reason::kInvalidJson), "INVALID_JSON");
  EXPECT_EQ(ReasonName(Reason::kTenantMismatch), "TENANT_MISMATCH_TOPIC_VS_PAYLOAD");
  EXPECT_EQ(ReasonName(Reason::kDeviceMismatch), "DEVICE_MISMATCH_TOPIC_VS_PAYLOAD");
  EXPECT_EQ(ReasonName(Reason::kMissingSiteId), "MISSING_SITE_ID");
  EXPECT_EQ(ReasonName(Reason::kMetricKeyInvalid), "METRIC_KEY_INVALID");
  EXPECT_EQ(ReasonName(Reason::kSeqInvalid), "SEQ_INVALID");
  EXPECT_EQ(ReasonName(Reason::kTimestampOutOfRange), "TIMESTAMP_OUT_OF_RANGE");
  EXPECT_EQ(ReasonName(Reason::kUnregisteredDevice), "UNREGISTERED_DEVICE");
  EXPECT_EQ(ReasonName(Reason::kDeviceRevoked), "DEVICE_REVOKED");
  EXPECT_EQ(ReasonName(Reason::kSiteMismatch), "SITE_MISMATCH_REGISTRY_VS_PAYLOAD");
  EXPECT_EQ(ReasonName(Reason::kIdentityMismatch), "IDENTITY_MISMATCH");
  EXPECT_EQ(ReasonName(Reason::kTokenNotSet), "TOKEN_NOT_SET_IN_REGISTRY");
  EXPECT_EQ(ReasonName(Reason::kTokenInvalid), "TOKEN_INVALID");
  EXPECT_EQ(ReasonName(Reason::kRateLimited), "RATE_LIMITED");
  EXPECT_EQ(ReasonName(Reason::kStorageRejected), "STORAGE_REJECTED");
}

TEST(Reason, RefusesNamesThatAreNone) {
  Reason reason{};
  for (const char* name : {"", "invalid_json", "INVALID_JSON ", "INVALID"}) {
    EXPECT_FALSE(ParseReason(name, &reason)) << name;
  }
}

}  // namespace
}  // namespace sluice
