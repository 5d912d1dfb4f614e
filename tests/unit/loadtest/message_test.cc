#include "loadtest/message.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace sluice::loadtest {
namespace {

using nlohmann::json;

const std::string kTime = "2026-03-01T10:00:00.000001Z";

struct Sent {
  unsigned char first_byte = 0;
  uint16_t packet_id = 0;
  std::string topic;
  std::string payload;
};

Sent Send(Kind kind, const MessageOptions& options = {}, uint64_t seq = 7, bool dup = false) {
  const FleetShape shape;
  const MessageTemplate message(shape, options, {"tenant-2", "device-7", "site-1"}, kind);
  std::string out = "before";
  message.Append(0x0102, seq, kTime, dup, &out);
  Sent sent;
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(out[i]); };
  size_t at = 6;
  sent.first_byte = byte(at++);
  size_t length = 0;
  for (int shift = 0;; shift += 7) {
    length |= static_cast<size_t>(byte(at) & 0x7F) << shift;
    if (byte(at++) < 0x80) break;
  }
  EXPECT_EQ(out.size() - at, length);
  const size_t topic = static_cast<size_t>(byte(at) << 8 | byte(at + 1));
  sent.topic = out.substr(at + 2, topic);
  at += 2 + topic;
  sent.packet_id = static_cast<uint16_t>(byte(at) << 8 | byte(at + 1));
  sent.payload = out.substr(at + 2);
  return sent;
}

TEST(FormatTime, KeepsMicrosecondsAndAlwaysHasTheSameLength) {
  EXPECT_EQ(FormatTime(1772359200000001), "2026-03-01T10:00:00.000001Z");
  EXPECT_EQ(FormatTime(999999), "1970-01-01T00:00:00.999999Z");
  EXPECT_EQ(FormatTime(0).size(), kTimeChars);
}

TEST(MessageTemplate, MakesAValidMessageOfTheSizeAskedFor) {
  for (const size_t size : {300, 301, 302, 305, 310, 4000}) {
    MessageOptions options;
    options.payload_bytes = size;
    const Sent sent = Send(Kind::kGood, options, 123456789012);
    EXPECT_EQ(sent.payload.size(), size);
    EXPECT_EQ(sent.topic, "tenant/tenant-2/device/device-7/telemetry");
    EXPECT_EQ(sent.packet_id, 0x0102);
    const json message = json::parse(sent.payload);
    EXPECT_EQ(message["site_id"], "site-1");
    EXPECT_EQ(message["provision_token"], "tok-tenant-2-device-7");
    EXPECT_EQ(message["ts"], kTime);
    EXPECT_EQ(message["seq"], 123456789012);
    EXPECT_EQ(message["metrics"].size(), 5U);
  }
}

TEST(MessageTemplate, FillsAnyGapUpToTheSizeAskedFor) {
  MessageOptions options;
  options.payload_bytes = 0;
  const size_t natural = Send(Kind::kGood, options).payload.size();
  for (size_t size = natural; size < natural + 20; ++size) {
    options.payload_bytes = size;
    const std::string payload = Send(Kind::kGood, options).payload;
    EXPECT_EQ(payload.size(), size);
    EXPECT_TRUE(json::accept(payload)) << payload;
  }
}

TEST(MessageTemplate, HoldsTheLargestSeq) {
  EXPECT_EQ(json::parse(Send(Kind::kGood, {}, INT64_MAX).payload)["seq"], INT64_MAX);
}

TEST(MessageTemplate, MarksAMessageSentAgain) {
  EXPECT_EQ(Send(Kind::kGood, {}, 7, false).first_byte, 0x32);
  EXPECT_EQ(Send(Kind::kGood, {}, 7, true).first_byte, 0x3A);
}

TEST(MessageTemplate, IsTheSameMessageInEveryDialect) {
  const std::string payload = Send(Kind::kGood).payload;
  const FleetShape shape;
  const Sender sender = {"tenant-2", "device-7", "site-1"};
  for (const int version : {3, 5}) {
    for (const int qos : {0, 1}) {
      MessageOptions options;
      options.dialect = {version, qos};
      std::string out;
      const MessageTemplate message(shape, options, sender, Kind::kGood);
      message.Append(0x0102, 7, kTime, true, &out);
      EXPECT_EQ(out.size(), message.packet_bytes());
      EXPECT_EQ(out.substr(out.size() - payload.size()), payload);
      EXPECT_EQ(out[0], qos == 0 ? 0x30 : 0x3A);
      EXPECT_EQ(out.find("\x01\x02") != std::string::npos, qos == 1);
    }
  }
}

TEST(MessageTemplate, NumbersReadingsOneAfterTheOther) {
  MessageOptions options;
  options.readings = 3;
  const json message = json::parse(Send(Kind::kGood, options, 98).payload);
  ASSERT_EQ(message["readings"].size(), 3U);
  EXPECT_FALSE(message.contains("metrics"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(message["readings"][static_cast<size_t>(i)]["seq"], 98 + i);
    EXPECT_EQ(message["readings"][static_cast<size_t>(i)]["ts"], kTime);
  }
}

TEST(MessageTemplate, CarriesNoTokenAfterALoginButAWrongOne) {
  MessageOptions options;
  options.proof = Proof::kLogin;
  EXPECT_FALSE(json::parse(Send(Kind::kGood, options).payload).contains("provision_token"));
  EXPECT_EQ(json::parse(Send(Kind::kWrongToken, options).payload)["provision_token"],
            "not-tok-tenant-2-device-7");
}

TEST(MessageTemplate, GivesEachBadKindItsOneFault) {
  const auto parsed = [](Kind kind) { return json::parse(Send(kind).payload); };
  EXPECT_EQ(parsed(Kind::kWrongToken)["provision_token"], "not-tok-tenant-2-device-7");
  EXPECT_FALSE(parsed(Kind::kNoToken).contains("provision_token"));
  EXPECT_EQ(parsed(Kind::kWrongSite)["site_id"], "elsewhere");
  EXPECT_EQ(parsed(Kind::kTenantMismatch)["tenant_id"], "somebody-else");
  EXPECT_FALSE(parsed(Kind::kMissingSite).contains("site_id"));
  EXPECT_FALSE(json::accept(Send(Kind::kBadJson).payload));
  EXPECT_GT(parsed(Kind::kTooManyMetrics)["metrics"].size(), 50U);
  EXPECT_EQ(parsed(Kind::kAncientTime)["ts"], "2001-01-01T00:00:00.000000Z");
  EXPECT_EQ(Send(Kind::kBadTopic).topic, "tenant/tenant-2/device/device-7 (spare)/telemetry");
  EXPECT_EQ(Send(Kind::kOversized).payload.size(), 20000U);
}

}  // namespace
}  // namespace sluice::loadtest
