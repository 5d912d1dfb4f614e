#include "auth/broker_plugin/gate.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "tests/support/temp_dir.h"

namespace sluice {
namespace {

constexpr int64_t kNow = 1'000'000'000;
constexpr Sha256Digest kFingerprint = {1, 2, 3};
constexpr const char* kRules =
    "device publish tenant/{tenant}/device/{device}/telemetry\n"
    "device subscribe tenant/{tenant}/device/{device}/commands\n"
    "account svc subscribe tenant/#\n";

ClientFacts Named(std::string_view user) {
  return {.username = user};
}
ClientFacts Certified(std::string_view name) {
  return {
      .has_certificate = true, .common_name = name, .fingerprint = kFingerprint, .username = name};
}

class GateTest : public ::testing::Test {
 protected:
  static StampKeys Keys() {
    const testing::TempDir directory;
    testing::WriteFile(directory.Path("key"), std::string(64, 'a'));
    chmod(directory.Path("key").c_str(), 0600);
    return *StampKeys::Load(directory.Path("key"));
  }

  DeviceRoster roster_;
  const StampKeys keys_ = Keys();
  Gate gate_{*Rules::Parse(kRules, "rules"), keys_, &roster_};
  Gate without_registry_{*Rules::Parse(kRules, "rules"), keys_, nullptr};
};

TEST_F(GateTest, KnowsClientsByHowTheyProvedThemselves) {
  const auto by_certificate = gate_.WhoIs(Certified("t/d"));
  ASSERT_TRUE(by_certificate.has_value());
  EXPECT_EQ(by_certificate->method, StampMethod::kCert);
  EXPECT_EQ(by_certificate->identity, "t/d");
  EXPECT_EQ(by_certificate->certificate, kFingerprint);
  EXPECT_EQ(gate_.WhoIs(Named("t/d"))->method, StampMethod::kToken);
  EXPECT_EQ(gate_.WhoIs(Named("svc"))->method, StampMethod::kAccount);
}

TEST_F(GateTest, LetsNobodyInWhoseNameIsNotProven) {
  EXPECT_FALSE(gate_.WhoIs({}).has_value());
  EXPECT_FALSE(gate_.WhoIs(Named("")).has_value());
  EXPECT_FALSE(gate_.WhoIs(Named("stranger")).has_value());
  EXPECT_FALSE(gate_.WhoIs(Named("a/b/c")).has_value());
  // A certificate speaks for a device only, and only for the one it names.
  EXPECT_FALSE(gate_.WhoIs(Certified("svc")).has_value());
  EXPECT_FALSE(gate_.WhoIs(Certified("+/+")).has_value());
  EXPECT_FALSE(gate_.WhoIs({.has_certificate = true, .username = "t/d"}).has_value());
  EXPECT_FALSE(
      gate_.WhoIs({.has_certificate = true, .common_name = "t/d", .username = "t/e"}).has_value());
  EXPECT_FALSE(
      gate_.WhoIs({.has_certificate = true, .common_name = "t/d", .username = "svc"}).has_value());
  EXPECT_FALSE(gate_.WhoIs({.has_certificate = true, .common_name = "t/d"}).has_value());
}

TEST_F(GateTest, LogsADeviceInOnceItsTokenIsKnown) {
  EXPECT_EQ(gate_.Login(Named("t/d"), "secret", kNow), LoginVerdict::kTryLater);
  roster_.Answer("t/d", DeviceFacts{.active = true, .token_hash = Sha256("secret")}, kNow);
  EXPECT_EQ(gate_.Login(Named("t/d"), "secret", kNow), LoginVerdict::kAccept);
  EXPECT_EQ(gate_.Login(Named("t/d"), "wrong", kNow), LoginVerdict::kRefuse);
  EXPECT_EQ(gate_.Login(Named("t/d"), "", kNow), LoginVerdict::kRefuse);
  EXPECT_EQ(gate_.Login(Named("t/d"), std::nullopt, kNow), LoginVerdict::kRefuse);
}

TEST_F(GateTest, LeavesServicesToThePasswordFileAndRefusesOthers) {
  EXPECT_EQ(gate_.Login(Named("svc"), "x", kNow), LoginVerdict::kAskPasswordFile);
  EXPECT_EQ(gate_.Login(Named("other"), "x", kNow), LoginVerdict::kRefuse);
  EXPECT_EQ(gate_.Login({}, std::nullopt, kNow), LoginVerdict::kRefuse);
}

TEST_F(GateTest, LogsACertificateInUnlessTheRegistrySaysNo) {
  EXPECT_EQ(gate_.Login(Certified("t/d"), std::nullopt, kNow), LoginVerdict::kAccept);
  roster_.Answer("t/d", DeviceFacts{.active = true, .certificates = {kFingerprint}}, kNow);
  EXPECT_EQ(gate_.Login(Certified("t/d"), std::nullopt, kNow), LoginVerdict::kAccept);
  roster_.Answer("t/d", DeviceFacts{.active = true}, kNow);
  EXPECT_EQ(gate_.Login(Certified("t/d"), std::nullopt, kNow), LoginVerdict::kRefuse);
  EXPECT_FALSE(gate_.SessionStands(*gate_.WhoIs(Certified("t/d")), kNow));
}

TEST_F(GateTest, WithoutARegistryTakesCertificatesAndNoTokens) {
  EXPECT_EQ(without_registry_.Login(Named("t/d"), "x", kNow), LoginVerdict::kRefuse);
  EXPECT_EQ(without_registry_.Login(Certified("t/d"), std::nullopt, kNow), LoginVerdict::kAccept);
}

TEST_F(GateTest, JudgesTopicsByTheRulesOfTheClient) {
  const Principal device{StampMethod::kToken, "t/d"};
  const Principal service{StampMethod::kAccount, "svc"};
  EXPECT_TRUE(gate_.May(device, Access::kPublish, "tenant/t/device/d/telemetry"));
  EXPECT_FALSE(gate_.May(device, Access::kPublish, "tenant/t/device/e/telemetry"));
  EXPECT_FALSE(gate_.May(device, Access::kSubscribe, "tenant/#"));
  EXPECT_TRUE(gate_.May(service, Access::kSubscribe, "tenant/#"));
  EXPECT_FALSE(gate_.May(service, Access::kPublish, "tenant/t/device/d/telemetry"));
}

TEST_F(GateTest, StampsInTheNameOfTheClient) {
  const auto stamp = gate_.Stamp({StampMethod::kToken, "t/d"}, "topic", "payload");
  ASSERT_TRUE(stamp.has_value());
  const auto claim = keys_.Verify("topic", "payload", *stamp);
  ASSERT_TRUE(claim.has_value());
  EXPECT_EQ(claim->method, StampMethod::kToken);
  EXPECT_EQ(claim->identity, "t/d");
}

}  // namespace
}  // namespace sluice
