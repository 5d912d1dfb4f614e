#include "auth/broker_plugin/device_roster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <string>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Verdict = DeviceRoster::Verdict;

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kNow = 1000 * kSecond;
constexpr Sha256Digest kCertificate = {1, 2, 3};

DeviceFacts Active(std::string_view token) {
  return {.active = true, .certificates = {kCertificate}, .token_hash = Sha256(token)};
}

// Questions that wait, without those that come by age.
std::vector<std::string> Asked(DeviceRoster& roster, size_t max = 100) {
  return roster.TakeQuestions(max, kNow, 0);
}

bool IsAwake(const DeviceRoster& roster) {
  pollfd watched{.fd = roster.wake_fd(), .events = POLLIN, .revents = 0};
  return poll(&watched, 1, 0) == 1;
}

TEST(DeviceRoster, KnowsNobodyAndAsks) {
  DeviceRoster roster;
  EXPECT_FALSE(IsAwake(roster));
  EXPECT_EQ(roster.JudgeToken("t/d", "secret", kNow), Verdict::kUnknown);
  EXPECT_TRUE(IsAwake(roster));
  EXPECT_THAT(Asked(roster), ElementsAre("t/d"));
  EXPECT_FALSE(IsAwake(roster));
}

TEST(DeviceRoster, AsksOnceUntilItIsAnswered) {
  DeviceRoster roster;
  for (int i = 0; i < 3; ++i) (void)roster.JudgeToken("t/d", "secret", kNow);
  EXPECT_THAT(Asked(roster), ElementsAre("t/d"));
  (void)roster.JudgeToken("t/d", "secret", kNow);
  EXPECT_THAT(Asked(roster), IsEmpty());
}

TEST(DeviceRoster, LetsTheRightTokenInAndNoOther) {
  DeviceRoster roster;
  roster.Answer("t/d", Active("secret"), kNow);
  EXPECT_EQ(roster.JudgeToken("t/d", "secret", kNow), Verdict::kGood);
  EXPECT_EQ(roster.JudgeToken("t/d", "Secret", kNow), Verdict::kBad);
  EXPECT_EQ(roster.JudgeToken("t/d", "", kNow), Verdict::kBad);
  EXPECT_EQ(roster.JudgeToken("t/d2", "secret", kNow), Verdict::kUnknown);
}

TEST(DeviceRoster, LetsNobodyInWhoIsInactiveOrHasNoToken) {
  DeviceRoster roster;
  roster.Answer("t/off", DeviceFacts{.token_hash = Sha256("secret")}, kNow);
  roster.Answer("t/none", DeviceFacts{.active = true, .certificates = {kCertificate}}, kNow);
  EXPECT_EQ(roster.JudgeToken("t/off", "secret", kNow), Verdict::kBad);
  EXPECT_EQ(roster.JudgeToken("t/none", "", kNow), Verdict::kBad);
}

TEST(DeviceRoster, DoesNotTrustOldFactsForALogin) {
  DeviceRoster roster({.token_trust_us = 60 * kSecond});
  roster.Answer("t/d", Active("secret"), kNow);
  EXPECT_EQ(roster.JudgeToken("t/d", "secret", kNow + 60 * kSecond), Verdict::kGood);
  EXPECT_EQ(roster.JudgeToken("t/d", "secret", kNow + 61 * kSecond), Verdict::kUnknown);
  EXPECT_THAT(Asked(roster), ElementsAre("t/d"));
  roster.GiveBack({"t/d"});
  EXPECT_EQ(roster.JudgeToken("t/d", "secret", kNow + 62 * kSecond), Verdict::kUnknown);
}

TEST(DeviceRoster, LetsAProvenDeviceGoOnUntilItKnowsBetter) {
  DeviceRoster roster;
  EXPECT_EQ(roster.JudgeSession("t/d", kCertificate, kNow), Verdict::kUnknown);
  roster.Answer("t/d", Active("secret"), kNow);
  EXPECT_EQ(roster.JudgeSession("t/d", kCertificate, kNow + 1000 * kSecond), Verdict::kGood);
  roster.Answer("t/d", DeviceFacts{.active = true}, kNow);
  EXPECT_EQ(roster.JudgeSession("t/d", kCertificate, kNow), Verdict::kBad);
  EXPECT_EQ(roster.JudgeSession("t/d", std::nullopt, kNow), Verdict::kGood);
  roster.Answer("t/d", std::nullopt, kNow);
  EXPECT_EQ(roster.JudgeSession("t/d", std::nullopt, kNow), Verdict::kBad);
}

TEST(DeviceRoster, KnowsACertificateFromAnotherOfTheSameDevice) {
  constexpr Sha256Digest kOther = {4, 5, 6};
  DeviceRoster roster;
  roster.Answer("t/d", DeviceFacts{.active = true, .certificates = {kCertificate, kOther}}, kNow);
  EXPECT_EQ(roster.JudgeSession("t/d", kOther, kNow), Verdict::kGood);
  roster.Answer("t/d", DeviceFacts{.active = true, .certificates = {kCertificate}}, kNow);
  EXPECT_THAT(roster.TakeKicks(10), ElementsAre("t/d"));
  EXPECT_EQ(roster.JudgeSession("t/d", kOther, kNow), Verdict::kBad);
  EXPECT_EQ(roster.JudgeSession("t/d", kCertificate, kNow), Verdict::kGood);
}

TEST(DeviceRoster, KicksADeviceThatLosesWhatItHad) {
  const DeviceFacts losses[] = {
      {},
      {.certificates = {kCertificate}, .token_hash = Sha256("secret")},
      {.active = true, .token_hash = Sha256("secret")},
      {.active = true, .certificates = {kCertificate}, .token_hash = Sha256("other")},
      {.active = true, .certificates = {kCertificate}}};
  for (const DeviceFacts& loss : losses) {
    DeviceRoster roster;
    roster.Answer("t/d", Active("secret"), kNow);
    roster.Answer("t/d", Active("secret"), kNow);
    EXPECT_THAT(roster.TakeKicks(10), IsEmpty());
    roster.Answer("t/d", loss, kNow);
    EXPECT_THAT(roster.TakeKicks(10), ElementsAre("t/d"));
    roster.Answer("t/d", loss, kNow);
    EXPECT_THAT(roster.TakeKicks(10), IsEmpty());
  }
}

TEST(DeviceRoster, KicksAConnectedDeviceThatTurnsOutBad) {
  DeviceRoster roster;
  (void)roster.JudgeSession("t/d", kCertificate, kNow);
  (void)Asked(roster);
  roster.Answer("t/d", std::nullopt, kNow);
  EXPECT_THAT(roster.TakeKicks(10), ElementsAre("t/d"));
  EXPECT_EQ(roster.JudgeSession("t/d", kCertificate, kNow), Verdict::kBad);
}

TEST(DeviceRoster, KicksAConnectedDeviceThatLacksWhatItCameWith) {
  const DeviceFacts no_certificate{.active = true, .token_hash = Sha256("secret")};
  for (const bool by_certificate : {true, false}) {
    DeviceRoster roster;
    (void)roster.JudgeToken("t/d", "secret", kNow);
    (void)roster.JudgeSession("t/d", by_certificate ? std::optional(kCertificate) : std::nullopt,
                              kNow);
    (void)roster.JudgeToken("t/d", "secret", kNow);
    (void)Asked(roster);
    roster.Answer("t/d", no_certificate, kNow);
    EXPECT_EQ(roster.TakeKicks(10).size(), by_certificate ? 1U : 0U);
  }
}

TEST(DeviceRoster, NeitherKicksNorRemembersWhoOnlyKnocked) {
  DeviceRoster roster;
  (void)roster.JudgeToken("t/invented", "x", kNow);
  (void)Asked(roster);
  roster.Answer("t/invented", std::nullopt, kNow);
  EXPECT_THAT(roster.TakeKicks(10), IsEmpty());
  EXPECT_EQ(roster.size(), 0U);
}

TEST(DeviceRoster, ForgetsKicksAndAsksAboutTheRevoked) {
  DeviceRoster roster;
  roster.Answer("t/d", Active("secret"), kNow);
  roster.Revoke("t/d");
  EXPECT_THAT(roster.TakeKicks(10), ElementsAre("t/d"));
  EXPECT_EQ(roster.JudgeToken("t/d", "secret", kNow), Verdict::kUnknown);
  EXPECT_THAT(Asked(roster), ElementsAre("t/d"));
  roster.Answer("t/d", Active("new"), kNow);
  EXPECT_EQ(roster.JudgeToken("t/d", "new", kNow), Verdict::kGood);
  EXPECT_EQ(roster.JudgeToken("t/d", "secret", kNow), Verdict::kBad);
  EXPECT_THAT(roster.TakeKicks(10), IsEmpty());
}

TEST(DeviceRoster, HandsKicksOutInPortions) {
  DeviceRoster roster;
  for (int i = 0; i < 5; ++i) roster.Revoke("t/d" + std::to_string(i));
  EXPECT_THAT(roster.TakeKicks(3), SizeIs(3));
  EXPECT_THAT(roster.TakeKicks(3), SizeIs(2));
}

TEST(DeviceRoster, LooksUpAgainWhatIsOldestFirst) {
  DeviceRoster roster;
  roster.Answer("t/a", Active("x"), kNow + 2);
  roster.Answer("t/b", Active("x"), kNow + 3);
  roster.Answer("t/a", Active("x"), kNow + 4);
  EXPECT_THAT(roster.TakeQuestions(10, kNow, kNow + 3), IsEmpty());
  EXPECT_THAT(roster.TakeQuestions(1, kNow, kNow + 10), ElementsAre("t/b"));
  EXPECT_THAT(roster.TakeQuestions(10, kNow, kNow + 10), ElementsAre("t/a"));
  roster.GiveBack({"t/b", "t/a"});
  EXPECT_THAT(roster.TakeQuestions(10, kNow, kNow + 10), ElementsAre("t/b", "t/a"));
}

TEST(DeviceRoster, DropsWhatNobodyAskedAboutForLong) {
  DeviceRoster roster({.idle_us = 10 * kSecond});
  roster.Answer("t/idle", Active("x"), kNow);
  roster.Answer("t/busy", Active("x"), kNow);
  const int64_t later = kNow + 11 * kSecond;
  EXPECT_EQ(roster.JudgeSession("t/busy", kCertificate, later), Verdict::kGood);
  EXPECT_THAT(roster.TakeQuestions(10, later, later), ElementsAre("t/busy"));
  EXPECT_EQ(roster.size(), 1U);
}

TEST(DeviceRoster, IsBoundedInDevicesAndQuestions) {
  DeviceRoster roster({.devices = 10, .questions = 5});
  for (int i = 0; i < 100; ++i) {
    const std::string name = "t/d" + std::to_string(i);
    (void)roster.JudgeToken(name, "x", kNow);
    roster.Answer("t/e" + std::to_string(i), Active("x"), kNow + i);
  }
  EXPECT_EQ(roster.size(), 10U);
  EXPECT_THAT(Asked(roster), SizeIs(5));
  EXPECT_EQ(roster.JudgeToken("t/e99", "x", kNow), Verdict::kGood);
}

TEST(DeviceRoster, AsksAgainWhatCouldNotBeLookedUp) {
  DeviceRoster roster;
  (void)roster.JudgeSession("t/d", kCertificate, kNow);
  EXPECT_THAT(Asked(roster), ElementsAre("t/d"));
  roster.GiveBack({"t/d"});
  EXPECT_THAT(Asked(roster), ElementsAre("t/d"));
  roster.Answer("t/d", std::nullopt, kNow);
  EXPECT_THAT(roster.TakeKicks(10), ElementsAre("t/d"));
}

TEST(DeviceRoster, StaysAwakeWhileQuestionsAreLeft) {
  DeviceRoster roster;
  (void)roster.JudgeToken("t/a", "x", kNow);
  (void)roster.JudgeToken("t/b", "x", kNow);
  (void)Asked(roster, 1);
  EXPECT_TRUE(IsAwake(roster));
  (void)Asked(roster, 1);
  EXPECT_FALSE(IsAwake(roster));
}

}  // namespace
}  // namespace sluice
