#include "schema/reason_help.h"

#include <gmock/gmock.h>

#include <set>
#include <string>

namespace sluice {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(ReasonHelp, ExplainsEveryReasonInSentencesOfItsOwn) {
  std::set<std::string> explanations;
  for (size_t i = 0; i < kReasonCount; ++i) {
    const auto reason = static_cast<Reason>(i);
    const ReasonHelp help = HelpFor(reason);
    EXPECT_THAT(std::string(help.explanation), EndsWith(".")) << ReasonName(reason);
    EXPECT_THAT(std::string(help.remedy), EndsWith(".")) << ReasonName(reason);
    EXPECT_TRUE(explanations.insert(std::string(help.explanation)).second) << ReasonName(reason);
  }
}

// A table that slipped by one would still explain every reason.
TEST(ReasonHelp, ExplainsTheReasonThatWasAskedFor) {
  const std::pair<Reason, const char*> cases[] = {
      {Reason::kBadTopicFormat, "tenant/TENANT/device/DEVICE"},
      {Reason::kPayloadTooLarge, "MAX_PAYLOAD_BYTES"},
      {Reason::kDeviceMismatch, "another device than the topic"},
      {Reason::kSeqInvalid, "seq"},
      {Reason::kTimestampOutOfRange, "TS_MAX_AGE"},
      {Reason::kUnregisteredDevice, "no such device"},
      {Reason::kSubscriptionExpired, "EXPIRED"},
      {Reason::kSiteMismatch, "another site"},
      {Reason::kIdentityForged, "no key of this daemon"},
      {Reason::kCertNotActive, "certificates"},
      {Reason::kTokenMissing, "no provision_token"},
      {Reason::kTokenInvalid, "not the one of the registry"},
      {Reason::kRateLimited, "RATE_LIMIT_RPS"},
      {Reason::kStorageRejected, "PostgreSQL refused"},
  };
  for (const auto& [reason, part] : cases) {
    EXPECT_THAT(std::string(HelpFor(reason).explanation), HasSubstr(part)) << ReasonName(reason);
  }
}

}  // namespace
}  // namespace sluice
