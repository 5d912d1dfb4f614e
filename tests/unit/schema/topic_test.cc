#include "schema/topic.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

TEST(Topic, NamesTenantDeviceAndMessageType) {
  Topic topic;
  ASSERT_TRUE(ParseTopic("tenant/orchard/device/probe-7/telemetry", &topic));
  EXPECT_EQ(topic.tenant, "orchard");
  EXPECT_EQ(topic.device, "probe-7");
  EXPECT_EQ(topic.msg_type, "telemetry");
}

TEST(Topic, AllowsFurtherSegmentsAndEveryByteOfTheAlphabet) {
  Topic topic;
  ASSERT_TRUE(ParseTopic("tenant/A.b_C:d-0/device/9:Z/heartbeat/v1/x", &topic));
  EXPECT_EQ(topic.tenant, "A.b_C:d-0");
  EXPECT_EQ(topic.device, "9:Z");
  EXPECT_EQ(topic.msg_type, "heartbeat");
}

TEST(Topic, RefusesWhatDoesNotHaveTheShape) {
  for (const char* text : {
           "",
           "/",
           "bad/topic",
           "tenant/o/device/d",
           "tenant/o/device/d/",
           "tenant//device/d/telemetry",
           "tenant/o/device//telemetry",
           "tenant/o/devices/d/telemetry",
           "tenants/o/device/d/telemetry",
           "Tenant/o/device/d/telemetry",
           "/tenant/o/device/d/telemetry",
           "tenant/o/device/d/telemetry/",
           "tenant/o/device/d/telemetry//x",
       }) {
    Topic topic;
    EXPECT_FALSE(ParseTopic(text, &topic)) << text;
  }
}

TEST(Topic, RefusesBytesOutsideOfTheAlphabetInEverySegment) {
  for (const char bad : {' ', '+', '#', '$', '\0', '\n', '\x7f', '\\', '"', '\xc3'}) {
    for (const size_t at : {8U, 17U, 26U, 36U}) {
      std::string text = "tenant/orchard/device/probe-7/telemetry/extra";
      text[at] = bad;
      Topic topic;
      EXPECT_FALSE(ParseTopic(text, &topic)) << at << " byte " << static_cast<int>(bad);
    }
  }
}

TEST(Topic, LimitsASegmentTo128Bytes) {
  Topic topic;
  const std::string longest(128, 'a');
  EXPECT_TRUE(ParseTopic("tenant/" + longest + "/device/d/telemetry", &topic));
  EXPECT_TRUE(ParseTopic("tenant/t/device/d/m/" + longest, &topic));
  EXPECT_FALSE(ParseTopic("tenant/a" + longest + "/device/d/telemetry", &topic));
  EXPECT_FALSE(ParseTopic("tenant/t/device/d/m/a" + longest, &topic));
}

TEST(OtherChannel, IsADownlinkOrShadowOrJobOfAnyDevice) {
  for (const char* text : {
           "tenant/o/device/d/commands",
           "tenant/o/device/d/commands/ack",
           "tenant/o/device/d/shadow/reported",
           "tenant/o/device/d/shadow/",
           "tenant/o/device/d/jobs",
           "tenant/o/device/d/jobs/7/result",
           "tenant//device/b\xc3\xa4r/commands",
       }) {
    EXPECT_TRUE(IsOtherChannel(text)) << text;
  }
}

TEST(OtherChannel, IsNothingElse) {
  for (const char* text : {
           "",
           "commands",
           "tenant",
           "tenant/o/device/d",
           "tenant/o/device/commands",
           "tenant/o/device/d/telemetry",
           "tenant/o/device/d/telemetry/commands",
           "tenant/o/device/d/commandsx",
           "tenant/o/device/d/shadow",
           "tenant/o/device/d/jobsite",
           "tenant/o/gateway/d/commands",
           "x/o/device/d/commands",
       }) {
    EXPECT_FALSE(IsOtherChannel(text)) << text;
  }
}

}  // namespace
}  // namespace sluice
