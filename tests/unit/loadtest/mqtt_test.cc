#include "loadtest/mqtt.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::loadtest {
namespace {

using Outcome = BrokerPacketReader::Outcome;

std::string Bytes(const std::vector<int>& values) {
  std::string bytes;
  for (const int value : values) bytes.push_back(static_cast<char>(value));
  return bytes;
}

TEST(EncodeConnect, WritesAnAnonymousCleanSession) {
  EXPECT_EQ(EncodeConnect("ab", "", ""),
            Bytes({0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x02, 0, 0, 0, 2, 'a', 'b'}));
}

TEST(EncodeConnect, SendsUserNameAndPasswordAfterTheClientId) {
  EXPECT_EQ(EncodeConnect("c", "me", "pw"),
            Bytes({0x10, 21, 0,   4, 'M', 'Q', 'T', 'T', 4, 0xC2, 0,  0,
                   0,    1,  'c', 0, 2,   'm', 'e', 0,   2, 'p',  'w'}));
}

TEST(EncodePublish, PutsAHoleForThePacketIdBetweenTopicAndPayload) {
  const PublishPacket packet = EncodePublish("a/b", "hi");
  EXPECT_EQ(packet.bytes, Bytes({0x32, 9, 0, 3, 'a', '/', 'b', 0, 0, 'h', 'i'}));
  EXPECT_EQ(packet.packet_id_at, 7U);
  EXPECT_EQ(packet.payload_at, 9U);
}

TEST(EncodePublish, WritesLongLengthsInSevenBitGroups) {
  // 2 + 1 + 2 + payload = 321 = 0b10'1000001, and 16384 = the first length of three bytes.
  EXPECT_EQ(EncodePublish("t", std::string(316, 'x')).bytes.substr(1, 2), Bytes({0xC1, 0x02}));
  EXPECT_EQ(EncodePublish("t", std::string(16379, 'x')).bytes.substr(1, 3),
            Bytes({0x80, 0x80, 0x01}));
}

TEST(BrokerPacketReader, FindsPacketsHoweverReadsSplitThem) {
  const std::string stream = Bytes({0x20, 2, 0, 0, 0x40, 2, 0x12, 0x34, 0x40, 2, 0xFF, 0xFE});
  for (size_t step = 1; step <= stream.size(); ++step) {
    BrokerPacketReader reader;
    std::vector<BrokerPacket> packets;
    for (size_t at = 0; at < stream.size(); at += step) {
      reader.Feed(stream.substr(at, step));
      BrokerPacket packet;
      while (reader.Next(&packet) == Outcome::kPacket) packets.push_back(packet);
    }
    ASSERT_EQ(packets.size(), 3U) << "reads of " << step;
    EXPECT_EQ(packets[0].type, BrokerPacket::Type::kConnack);
    EXPECT_EQ(packets[0].return_code, 0);
    EXPECT_EQ(packets[1].type, BrokerPacket::Type::kPuback);
    EXPECT_EQ(packets[1].packet_id, 0x1234);
    EXPECT_EQ(packets[2].packet_id, 0xFFFE);
  }
}

TEST(BrokerPacketReader, ReportsARefusedConnection) {
  BrokerPacketReader reader;
  reader.Feed(Bytes({0x20, 2, 0, 5}));
  BrokerPacket packet;
  ASSERT_EQ(reader.Next(&packet), Outcome::kPacket);
  EXPECT_EQ(packet.return_code, 5);
}

TEST(BrokerPacketReader, RefusesWhatAPublisherNeverGets) {
  const std::vector<std::vector<int>> streams = {{0x30, 2, 0, 0}, {0x40, 3, 0, 1}};
  for (const auto& stream : streams) {
    BrokerPacketReader reader;
    reader.Feed(Bytes(stream));
    BrokerPacket packet;
    EXPECT_EQ(reader.Next(&packet), Outcome::kMalformed);
  }
}

TEST(BrokerPacketReader, ForgetsHalfAPacketOnReset) {
  BrokerPacketReader reader;
  reader.Feed(Bytes({0x40, 2}));
  reader.Reset();
  reader.Feed(Bytes({0x20, 2, 0, 0}));
  BrokerPacket packet;
  EXPECT_EQ(reader.Next(&packet), Outcome::kPacket);
  EXPECT_EQ(packet.type, BrokerPacket::Type::kConnack);
}

}  // namespace
}  // namespace sluice::loadtest
