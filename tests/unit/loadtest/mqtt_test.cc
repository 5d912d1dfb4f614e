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
  EXPECT_EQ(EncodeConnect(3, "ab", "", ""),
            Bytes({0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x02, 0, 0, 0, 2, 'a', 'b'}));
}

TEST(EncodeConnect, SendsUserNameAndPasswordAfterTheClientId) {
  EXPECT_EQ(EncodeConnect(3, "c", "me", "pw"),
            Bytes({0x10, 21, 0,   4, 'M', 'Q', 'T', 'T', 4, 0xC2, 0,  0,
                   0,    1,  'c', 0, 2,   'm', 'e', 0,   2, 'p',  'w'}));
}

TEST(EncodeConnect, SaysThatItSpeaksMqtt5AndHasNoProperties) {
  EXPECT_EQ(EncodeConnect(5, "ab", "", ""),
            Bytes({0x10, 15, 0, 4, 'M', 'Q', 'T', 'T', 5, 0x02, 0, 0, 0, 0, 2, 'a', 'b'}));
}

TEST(EncodePublish, PutsAHoleForThePacketIdBetweenTopicAndPayload) {
  const PublishPacket packet = EncodePublish({}, "a/b", "hi");
  EXPECT_EQ(packet.bytes, Bytes({0x32, 9, 0, 3, 'a', '/', 'b', 0, 0, 'h', 'i'}));
  EXPECT_EQ(packet.packet_id_at, 7U);
  EXPECT_EQ(packet.payload_at, 9U);
}

TEST(EncodePublish, HasNoPacketIdAtQos0) {
  const PublishPacket packet = EncodePublish({.version = 3, .qos = 0}, "a/b", "hi");
  EXPECT_EQ(packet.bytes, Bytes({0x30, 7, 0, 3, 'a', '/', 'b', 'h', 'i'}));
  EXPECT_EQ(packet.packet_id_at, 0U);
  EXPECT_EQ(packet.payload_at, 7U);
}

TEST(EncodePublish, HasAnEmptyListOfPropertiesInMqtt5) {
  const PublishPacket packet = EncodePublish({.version = 5, .qos = 1}, "a/b", "hi");
  EXPECT_EQ(packet.bytes, Bytes({0x32, 10, 0, 3, 'a', '/', 'b', 0, 0, 0, 'h', 'i'}));
  EXPECT_EQ(packet.packet_id_at, 7U);
  EXPECT_EQ(packet.payload_at, 10U);
  EXPECT_EQ(EncodePublish({.version = 5, .qos = 0}, "a/b", "hi").bytes,
            Bytes({0x30, 8, 0, 3, 'a', '/', 'b', 0, 'h', 'i'}));
}

TEST(EncodePublish, WritesLongLengthsInSevenBitGroups) {
  // 2 + 1 + 2 + payload = 321 = 0b10'1000001, and 16384 = the first length of three bytes.
  EXPECT_EQ(EncodePublish({}, "t", std::string(316, 'x')).bytes.substr(1, 2), Bytes({0xC1, 0x02}));
  EXPECT_EQ(EncodePublish({}, "t", std::string(16379, 'x')).bytes.substr(1, 3),
            Bytes({0x80, 0x80, 0x01}));
}

TEST(BrokerPacketReader, FindsPacketsHoweverReadsSplitThem) {
  const std::string stream = Bytes({0x20, 2, 0, 0, 0x40, 2, 0x12, 0x34, 0x40, 2, 0xFF, 0xFE});
  for (size_t step = 1; step <= stream.size(); ++step) {
    BrokerPacketReader reader(3);
    std::vector<BrokerPacket> packets;
    for (size_t at = 0; at < stream.size(); at += step) {
      reader.Feed(stream.substr(at, step));
      BrokerPacket packet;
      while (reader.Next(&packet) == Outcome::kPacket) packets.push_back(packet);
    }
    ASSERT_EQ(packets.size(), 3U) << "reads of " << step;
    EXPECT_EQ(packets[0].type, BrokerPacket::Type::kConnack);
    EXPECT_EQ(packets[0].reason, 0);
    EXPECT_EQ(packets[1].type, BrokerPacket::Type::kPuback);
    EXPECT_EQ(packets[1].packet_id, 0x1234);
    EXPECT_EQ(packets[2].packet_id, 0xFFFE);
  }
}

TEST(BrokerPacketReader, ReportsARefusedConnection) {
  BrokerPacketReader reader(3);
  reader.Feed(Bytes({0x20, 2, 0, 5}));
  BrokerPacket packet;
  ASSERT_EQ(reader.Next(&packet), Outcome::kPacket);
  EXPECT_EQ(packet.reason, 5);
}

TEST(BrokerPacketReader, RefusesWhatAPublisherNeverGets) {
  const std::vector<std::vector<int>> streams = {{0x30, 2, 0, 0}, {0x40, 3, 0, 1, 0},
                                                 {0x40, 1, 0},    {0x20, 1, 0},
                                                 {0xE0, 0},       {0x40, 0x80, 0x80, 0x80, 0x80}};
  for (const auto& stream : streams) {
    BrokerPacketReader reader(3);
    reader.Feed(Bytes(stream));
    BrokerPacket packet;
    EXPECT_EQ(reader.Next(&packet), Outcome::kMalformed) << testing::PrintToString(stream);
  }
}

TEST(BrokerPacketReader, ForgetsHalfAPacketOnReset) {
  BrokerPacketReader reader(3);
  reader.Feed(Bytes({0x40, 2}));
  reader.Reset();
  reader.Feed(Bytes({0x20, 2, 0, 0}));
  BrokerPacket packet;
  EXPECT_EQ(reader.Next(&packet), Outcome::kPacket);
  EXPECT_EQ(packet.type, BrokerPacket::Type::kConnack);
}

TEST(BrokerPacketReader, FindsReasonsInPacketsOfMqtt5HoweverReadsSplitThem) {
  const std::string stream = Bytes({0x40, 2, 0,    1,                            // success
                                    0x40, 3, 0,    2, 0x10,                      // nobody listens
                                    0x40, 8, 0,    3, 0x97, 4, 0x1F, 0, 1, 'q',  // quota
                                    0xE0, 2, 0x8E, 0, 0xE0, 0});
  for (size_t step = 1; step <= stream.size(); ++step) {
    BrokerPacketReader reader(5);
    std::vector<BrokerPacket> packets;
    for (size_t at = 0; at < stream.size(); at += step) {
      reader.Feed(stream.substr(at, step));
      BrokerPacket packet;
      while (reader.Next(&packet) == Outcome::kPacket) packets.push_back(packet);
    }
    ASSERT_EQ(packets.size(), 5U) << "reads of " << step;
    EXPECT_EQ(packets[0].packet_id, 1);
    EXPECT_EQ(packets[0].reason, 0);
    EXPECT_EQ(packets[1].packet_id, 2);
    EXPECT_EQ(packets[1].reason, 0x10);
    EXPECT_EQ(packets[2].packet_id, 3);
    EXPECT_EQ(packets[2].reason, 0x97);
    EXPECT_EQ(packets[3].type, BrokerPacket::Type::kDisconnect);
    EXPECT_EQ(packets[3].reason, 0x8E);
    EXPECT_EQ(packets[4].reason, 0);
  }
}

TEST(BrokerPacketReader, ReadsWhatABrokerOfMqtt5CanTakeAmongAllOtherProperties) {
  const std::vector<int> properties = {0x11, 0, 0,    0,   9,                  // session expiry
                                       0x12, 0, 1,    'c',                     // client identifier
                                       0x13, 0, 60,                            // keep-alive
                                       0x15, 0, 1,    'm', 0x16, 0, 1,   'd',  // authentication
                                       0x1A, 0, 0,                        // response information
                                       0x1C, 0, 1,    's',                // another server
                                       0x1F, 0, 1,    'r',                // reason
                                       0x22, 0, 10,                       // topic aliases
                                       0x25, 0,                           // retain
                                       0x26, 0, 1,    'k', 0,    1, 'v',  // user property
                                       0x28, 1, 0x29, 1,   0x2A, 1,       // subscriptions
                                       0x21, 1, 2,                        // receive maximum
                                       0x24, 1,                           // maximum QoS
                                       0x27, 0, 0,    8,   0};            // maximum packet size
  std::vector<int> connack = {0x20, static_cast<int>(properties.size()) + 3, 0, 0,
                              static_cast<int>(properties.size())};
  connack.insert(connack.end(), properties.begin(), properties.end());
  BrokerPacketReader reader(5);
  reader.Feed(Bytes(connack));
  BrokerPacket packet;
  ASSERT_EQ(reader.Next(&packet), Outcome::kPacket);
  EXPECT_EQ(packet.type, BrokerPacket::Type::kConnack);
  EXPECT_EQ(packet.reason, 0);
  EXPECT_EQ(packet.receive_maximum, 0x0102);
  EXPECT_EQ(packet.maximum_qos, 1);
  EXPECT_EQ(packet.maximum_packet_size, 2048U);
}

TEST(BrokerPacketReader, TakesABrokerThatSaysNothingOfLimitsForOneWithout) {
  BrokerPacketReader reader(5);
  reader.Feed(Bytes({0x20, 3, 0, 0, 0}));
  BrokerPacket packet;
  ASSERT_EQ(reader.Next(&packet), Outcome::kPacket);
  EXPECT_EQ(packet.receive_maximum, 65535);
  EXPECT_EQ(packet.maximum_qos, 2);
  EXPECT_EQ(packet.maximum_packet_size, UINT32_MAX);
}

TEST(BrokerPacketReader, UnderstandsTheRefusalOfABrokerThatKnowsNoMqtt5) {
  BrokerPacketReader reader(5);
  reader.Feed(Bytes({0x20, 2, 0, 1}));
  BrokerPacket packet;
  ASSERT_EQ(reader.Next(&packet), Outcome::kPacket);
  EXPECT_EQ(packet.reason, 1);
}

TEST(BrokerPacketReader, RefusesPropertiesThatAreCutShortOrUnknownOrZero) {
  const std::vector<std::vector<int>> streams = {
      {0x20, 5, 0, 0, 2, 0x21, 1}, {0x20, 4, 0, 0, 9, 0x21}, {0x20, 6, 0, 0, 3, 0x21, 0, 0},
      {0x20, 5, 0, 0, 2, 0x7F, 0}, {0x20, 2, 0, 0},          {0x20, 7, 0, 0, 4, 0x1F, 0, 9, 'r'}};
  for (const auto& stream : streams) {
    BrokerPacketReader reader(5);
    reader.Feed(Bytes(stream));
    BrokerPacket packet;
    EXPECT_EQ(reader.Next(&packet), Outcome::kMalformed) << testing::PrintToString(stream);
  }
}

}  // namespace
}  // namespace sluice::loadtest
