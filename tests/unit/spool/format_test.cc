#include "ingest/spool/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

SpoolMessage ExampleMessage() {
  SpoolMessage message;
  message.topic = "topic";
  message.payload = "payload";
  message.stamp = "st";
  message.received = 0x1122334455667788;
  message.packet_id = 1;
  return message;
}

std::string Encode(const SpoolMessage& message, uint64_t seq, uint32_t key) {
  std::string record(RecordSize(message), '\0');
  EncodeBody(message, record.data());
  EncodeHeader(seq, key, record.data(), record.size());
  return record;
}

std::string_view BodyOf(std::string_view record) {
  return record.substr(kRecordHeaderSize);
}

// These bytes are a promise to every later version.
TEST(SpoolFormat, LaysOutARecordAsDocumented) {
  const std::string record = Encode(ExampleMessage(), 0x0102, 7);
  EXPECT_EQ(record.size(), 24U + 18 + 5 + 7 + 2);
  EXPECT_EQ(record.substr(0, 16),
            std::string("\xF5\x5A\x9E\x0D\x20\x00\x00\x00\x02\x01\x00\x00\x00\x00\x00\x00", 16));
  EXPECT_EQ(record.substr(24),
            std::string("\x88\x77\x66\x55\x44\x33\x22\x11\x01\x00\x02\x00\x05\x00\x07\x00\x00\x00"
                        "topicpayloadst",
                        32));
}

TEST(SpoolFormat, ReadsBackARecord) {
  const std::string record = Encode(ExampleMessage(), 42, 7);
  const auto header = ParseRecordHeader(record.data(), 7);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->seq, 42U);
  SpoolRecord read;
  ASSERT_TRUE(DecodeBody(BodyOf(record), &read));
  EXPECT_EQ(read.received, 0x1122334455667788);
  EXPECT_EQ(read.topic, "topic");
  EXPECT_EQ(read.payload, "payload");
  EXPECT_EQ(read.stamp, "st");
}

TEST(SpoolFormat, RefusesARecordOfAnotherSpool) {
  const std::string record = Encode(ExampleMessage(), 42, 7);
  EXPECT_FALSE(ParseRecordHeader(record.data(), 8).has_value());
}

TEST(SpoolFormat, RefusesABodyWhoseSizesDoNotAddUp) {
  const std::string record = Encode(ExampleMessage(), 42, 7);
  const std::string_view body = BodyOf(record);
  SpoolRecord read;
  EXPECT_FALSE(DecodeBody(body.substr(0, body.size() - 1), &read));
  EXPECT_FALSE(DecodeBody(body.substr(0, kBodyPrefixSize - 1), &read));
}

TEST(SpoolFormat, TakesTopicAndPayloadButNotStampOrTimeForTheIdentityOfAMessage) {
  SpoolMessage message = ExampleMessage();
  const std::string one = Encode(message, 1, 7);
  message.stamp = "other";
  message.received = 5;
  message.packet_id = 2;
  const std::string two = Encode(message, 2, 7);
  message.topic = "topicp";
  message.payload = "ayload";
  const std::string three = Encode(message, 2, 7);
  const auto identity = [](const std::string& record) { return IdentityOf(BodyOf(record)); };
  EXPECT_EQ(identity(one), identity(two));
  EXPECT_NE(identity(two), identity(three));
}

TEST(SpoolFormat, RefusesMessagesThatARecordCannotHold) {
  const std::string long_text(65536, 'x');
  SpoolMessage message;
  message.topic = long_text;
  EXPECT_FALSE(CheckMessage(message).ok());
  message.topic = {long_text.data(), long_text.size() - 1};
  EXPECT_TRUE(CheckMessage(message).ok());
  message.stamp = long_text;
  EXPECT_FALSE(CheckMessage(message).ok());
}

TEST(SpoolFormat, ReadsBackASegmentHeaderAndNoticesEveryFlippedBit) {
  SegmentHeader header;
  header.spool = RandomUuid();
  header.first_seq = 100;
  header.previous_last_seq = 90;
  header.created = 5;
  std::string bytes = EncodeSegmentHeader(header);
  ASSERT_EQ(bytes.size(), kSegmentHeaderSize);
  const Result<SegmentHeader> read = ParseSegmentHeader(bytes);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->spool, header.spool);
  EXPECT_EQ(read->first_seq, 100U);
  EXPECT_EQ(read->previous_last_seq, 90U);
  EXPECT_EQ(read->created, 5);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(ParseSegmentHeader(bytes).code(), ErrorCode::kCorrupt) << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
}

TEST(SpoolFormat, ReadsBackAWatermarkAndNoticesEveryFlippedBit) {
  const Uuid spool = RandomUuid();
  std::string bytes = EncodeWatermark({spool, 77});
  ASSERT_TRUE(ParseWatermark(bytes).ok());
  EXPECT_EQ(ParseWatermark(bytes)->spool, spool);
  EXPECT_EQ(ParseWatermark(bytes)->seq, 77U);
  EXPECT_FALSE(ParseWatermark(bytes + "x").ok());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(ParseWatermark(bytes).ok()) << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
}

TEST(SpoolFormat, NamesSegmentsSoThatTheySort) {
  EXPECT_EQ(SegmentName(7), "00000000000000000007.seg");
  EXPECT_EQ(ParseSegmentName(SegmentName(kMaxSeq)), kMaxSeq);
  EXPECT_FALSE(ParseSegmentName("reserve.seg").has_value());
  EXPECT_FALSE(ParseSegmentName("00000000000000000000.seg").has_value());
  EXPECT_FALSE(ParseSegmentName("99999999999999999999.seg").has_value());
  EXPECT_FALSE(ParseSegmentName("0000000000000000000x.seg").has_value());
  EXPECT_FALSE(ParseSegmentName("00000000000000000007.seg.unreadable").has_value());
}

TEST(SpoolFormat, WritesUuidsAsEverybodyDoes) {
  const std::string text = ToText(RandomUuid());
  EXPECT_THAT(text, testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                                          "[0-9a-f]{12}"));
  EXPECT_NE(text, ToText(RandomUuid()));
}

}  // namespace
}  // namespace sluice
