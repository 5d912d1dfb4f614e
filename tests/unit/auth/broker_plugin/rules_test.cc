#include "auth/broker_plugin/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/temp_dir.h"

using namespace std::string_view_literals;

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr DeviceKeyView kDevice{"t1", "d1"};

Rules Parsed(std::string_view text) {
  auto rules = Rules::Parse(text, "rules.conf");
  EXPECT_TRUE(rules.ok()) << rules.status().message();
  return *rules;
}

Rules Shipped() {
  auto rules = Rules::Load(SLUICE_SOURCE_DIR "/deploy/mosquitto/rules.conf");
  EXPECT_TRUE(rules.ok()) << rules.status().message();
  return *rules;
}

std::string Mistake(std::string_view text) {
  auto rules = Rules::Parse(text, "rules.conf");
  return rules.ok() ? "" : rules.message();
}

TEST(ShippedRules, LetADevicePublishItsUplinks) {
  const Rules rules = Shipped();
  for (const char* topic : {"tenant/t1/device/d1/telemetry", "tenant/t1/device/d1/telemetry/fast",
                            "tenant/t1/device/d1/heartbeat", "tenant/t1/device/d1/shadow/reported",
                            "tenant/t1/device/d1/commands/ack"}) {
    EXPECT_TRUE(rules.DeviceMay(Access::kPublish, kDevice, topic)) << topic;
  }
}

TEST(ShippedRules, LetADevicePublishNothingElse) {
  const Rules rules = Shipped();
  for (const std::string_view topic : {"tenant/t1/device/d2/telemetry"sv,
                                       "tenant/t2/device/d1/telemetry"sv,
                                       "tenant/t11/device/d1/telemetry"sv,
                                       "tenant/t1/device/d11/telemetry"sv,
                                       "tenant/t1/device/d1"sv,
                                       "tenant/t1/device/d1/"sv,
                                       "tenant/t1/device/d1/commands"sv,
                                       "tenant/t1/device/d1/shadow/desired"sv,
                                       "tenant/t1/device/d1/heartbeat/x"sv,
                                       "tenant/t1/device/d1/telemetry/"sv,
                                       "tenant/t1/device/d1/telemetry//x"sv,
                                       "tenant/t1/device/d1//telemetry"sv,
                                       "/tenant/t1/device/d1/telemetry"sv,
                                       "x/tenant/t1/device/d1/telemetry"sv,
                                       "tenant/t1/x/device/d1/telemetry"sv,
                                       "tenant/+/device/d1/telemetry"sv,
                                       "tenant/t1/device/+/telemetry"sv,
                                       "tenant/#"sv,
                                       "#"sv,
                                       "+"sv,
                                       ""sv,
                                       "/"sv,
                                       "$SYS/broker/load"sv,
                                       "$share/g/tenant/t1/device/d1/telemetry"sv,
                                       "$CONTROL/dynamic-security/v1"sv,
                                       "tenant/t1/device/d1/telemetry/\x01"sv,
                                       "tenant/t1/device/d1/telemetry/\xff"sv,
                                       "tenant/t1/device/d1/telemetry/\0"sv,
                                       "tenant/t1/device/d1/telemetry\n"sv,
                                       "Tenant/t1/device/d1/telemetry"sv}) {
    EXPECT_FALSE(rules.DeviceMay(Access::kPublish, kDevice, topic)) << topic;
  }
}

TEST(ShippedRules, LetADeviceSubscribeToItsDownlinks) {
  const Rules rules = Shipped();
  for (const char* filter :
       {"tenant/t1/device/d1/shadow/desired", "tenant/t1/device/d1/commands",
        "tenant/t1/device/d1/jobs", "tenant/t1/device/d1/jobs/#", "tenant/t1/device/d1/jobs/+",
        "tenant/t1/device/d1/jobs/7/next", "$share/g/tenant/t1/device/d1/commands"}) {
    EXPECT_TRUE(rules.DeviceMay(Access::kSubscribe, kDevice, filter)) << filter;
  }
}

TEST(ShippedRules, LetADeviceSubscribeToNothingElse) {
  const Rules rules = Shipped();
  for (const std::string_view filter : {"#"sv,
                                        "+"sv,
                                        "+/+"sv,
                                        "+/#"sv,
                                        "tenant/#"sv,
                                        "tenant/+/device/+/commands"sv,
                                        "tenant/t1/device/+/commands"sv,
                                        "tenant/+/device/d1/commands"sv,
                                        "tenant/t1/device/d2/commands"sv,
                                        "tenant/t1/device/d1/#"sv,
                                        "tenant/t1/device/d1/+"sv,
                                        "tenant/t1/device/d1/telemetry"sv,
                                        "tenant/t1/device/d1/shadow/+"sv,
                                        "tenant/t1/device/d1/commands/#"sv,
                                        "$SYS/#"sv,
                                        "$SYS/broker/clients/total"sv,
                                        "$share/g/#"sv,
                                        "$share/g/tenant/+/device/+/commands"sv,
                                        "$share/g/"sv,
                                        "$share/g"sv,
                                        "$share//tenant/t1/device/d1/commands"sv,
                                        "$share/+/tenant/t1/device/d1/commands"sv,
                                        "$share"sv,
                                        "$shares/g/tenant/t1/device/d1/commands"sv,
                                        "$share/g/$share/g/tenant/t1/device/d1/commands"sv,
                                        "tenant/t1/device/d1/jobs/#/x"sv,
                                        "tenant/t1/device/d1/jobs/x+"sv,
                                        "tenant/t1/device/d1/jobs/x#"sv,
                                        ""sv}) {
    EXPECT_FALSE(rules.DeviceMay(Access::kSubscribe, kDevice, filter)) << filter;
  }
}

TEST(ShippedRules, LetTheDaemonReadWhatItReadsByDefault) {
  const Rules rules = Shipped();
  for (const char* filter :
       {"tenant/+/device/+/telemetry", "tenant/+/device/+/heartbeat",
        "$share/ingest/tenant/+/device/+/telemetry", "$SYS/broker/publish/messages/dropped"}) {
    EXPECT_TRUE(rules.AccountMay(Access::kSubscribe, "sluice", filter)) << filter;
  }
  EXPECT_FALSE(rules.AccountMay(Access::kPublish, "sluice", "tenant/t1/device/d1/telemetry"));
  EXPECT_FALSE(rules.AccountMay(Access::kSubscribe, "sluice", "#"));
}

TEST(Rules, CoverAFilterOnlyWhenOneRuleCoversAllOfIt) {
  const Rules rules = Parsed(
      "account a subscribe x/+/z\n"
      "account a subscribe y/#\n"
      "account b subscribe #\n"
      "account c publish x/+\n");
  EXPECT_TRUE(rules.AccountMay(Access::kSubscribe, "a", "x/+/z"));
  EXPECT_TRUE(rules.AccountMay(Access::kSubscribe, "a", "x/1/z"));
  EXPECT_TRUE(rules.AccountMay(Access::kSubscribe, "a", "x//z"));
  EXPECT_FALSE(rules.AccountMay(Access::kSubscribe, "a", "x/#"));
  EXPECT_FALSE(rules.AccountMay(Access::kSubscribe, "a", "x/1/2/z"));
  EXPECT_FALSE(rules.AccountMay(Access::kSubscribe, "a", "+/1/z"));
  EXPECT_TRUE(rules.AccountMay(Access::kSubscribe, "a", "y"));
  EXPECT_TRUE(rules.AccountMay(Access::kSubscribe, "a", "y/+/1/#"));
  EXPECT_TRUE(rules.AccountMay(Access::kSubscribe, "b", "#"));
  EXPECT_TRUE(rules.AccountMay(Access::kSubscribe, "b", "a//b/"));
  EXPECT_FALSE(rules.AccountMay(Access::kSubscribe, "b", "$SYS/#"));
  EXPECT_FALSE(rules.AccountMay(Access::kPublish, "b", "x"));
  EXPECT_TRUE(rules.AccountMay(Access::kPublish, "c", "x/1"));
  EXPECT_FALSE(rules.AccountMay(Access::kPublish, "c", "x/+"));
  EXPECT_FALSE(rules.AccountMay(Access::kPublish, "c", "x/1\n"));
  EXPECT_FALSE(rules.AccountMay(Access::kSubscribe, "nobody", "x/1/z"));
}

TEST(Rules, KnowTheAccountsTheyName) {
  const Rules rules = Parsed("account svc publish a\n");
  EXPECT_TRUE(rules.HasAccount("svc"));
  EXPECT_FALSE(rules.HasAccount("device"));
  EXPECT_FALSE(rules.HasAccount(""));
}

TEST(Rules, SkipCommentsAndBlanks) {
  const Rules rules = Parsed("# x\n\n   # y\r\n\taccount \t svc   publish  a/b \r\n");
  EXPECT_TRUE(rules.AccountMay(Access::kPublish, "svc", "a/b"));
}

TEST(Rules, SayFileAndLineAndWhatIsWrong) {
  const std::pair<std::string_view, std::string_view> mistakes[] = {
      {"user x publish a", "'device' or 'account'"},
      {"account a/b publish a", "account's name"},
      {"account", "account's name"},
      {"account a", "'publish' or 'subscribe'"},
      {"account a readwrite #", "'publish' or 'subscribe'"},
      {"account a publish", "topic is expected"},
      {"account a publish b c", "more on this line"},
      {"account a publish b/#/c", "last level"},
      {"account a publish b/c+", "whole levels"},
      {"account a publish #b", "whole levels"},
      {"account a subscribe $share/g/b", "without $share"},
      {"account a publish tenant/{tenant}/x", "device's topics only"},
      {"account a publish a\x01", "control character"},
      {"device publish tenant/+/device/+/telemetry", "every device could reach"},
      {"device publish tenant/{tenant}/device/{device}", "every device could reach"},
      {"device publish tenant/{tenant}/device/{device}/", "every device could reach"},
      {"device publish #", "every device could reach"},
      {"device publish tenant/{tenant}/device/{device}/{msg}", "whole levels"},
  };
  for (const auto& [line, sentence] : mistakes) {
    const std::string said = Mistake("account ok publish a\n\n" + std::string(line) + "\n");
    EXPECT_THAT(said, StartsWith("rules.conf:3: ")) << line;
    EXPECT_THAT(said, HasSubstr(std::string(sentence))) << line;
  }
}

TEST(Rules, WithoutAnyRuleAreAMistake) {
  EXPECT_THAT(Mistake("# nothing\n"), HasSubstr("no rule"));
  EXPECT_THAT(Mistake(""), HasSubstr("no rule"));
}

TEST(Rules, ThatCannotBeReadAreAnError) {
  const testing::TempDir directory;
  auto rules = Rules::Load(directory.Path("absent"));
  ASSERT_FALSE(rules.ok());
  EXPECT_THAT(rules.message(), HasSubstr("absent: cannot be read: No such file"));
}

}  // namespace
}  // namespace sluice
