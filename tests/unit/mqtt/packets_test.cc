#include "mqtt/packets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace sluice::mqtt {
namespace {

using testing::HasSubstr;

std::string Bytes(std::initializer_list<int> values) {
  std::string bytes;
  for (const int value : values) bytes.push_back(static_cast<char>(value));
  return bytes;
}

// The one packet that `bytes` are.
Packet Only(const std::string& bytes) {
  Packet packet;
  size_t size = 0;
  EXPECT_EQ(CutPacket(bytes, &packet, &size), Cut::kPacket);
  EXPECT_EQ(size, bytes.size());
  return packet;
}

// A PUBLISH at QoS 1 on topic "t", packet id 7, with these property bytes and payload "p".
std::string PublishWith(const std::string& properties, int first_byte = 0x32) {
  const std::string body =
      Bytes({0, 1, 't', 0, 7, static_cast<int>(properties.size())}) + properties + "p";
  return Bytes({first_byte, static_cast<int>(body.size())}) + body;
}

TEST(CutPacket, WaitsForTheLastByteOfAPacketWhereverItIsCut) {
  const std::string bytes = PublishWith("") + Bytes({0xD0, 0});
  const size_t first = bytes.size() - 2;
  Packet packet;
  size_t size = 0;
  for (size_t cut = 0; cut < first; ++cut) {
    EXPECT_EQ(CutPacket(std::string_view(bytes).substr(0, cut), &packet, &size), Cut::kNeedMore)
        << cut;
  }
  EXPECT_EQ(CutPacket(bytes, &packet, &size), Cut::kPacket);
  EXPECT_EQ(size, first);
  EXPECT_EQ(packet.type, PacketType::kPublish);
}

TEST(CutPacket, ReadsLengthsOfUpToFourBytesAndRefusesAFifth) {
  const std::string large(200'000, 'x');
  const std::string bytes = Bytes({0x30, 0xC0, 0x9A, 0x0C}) + large;
  EXPECT_EQ(Only(bytes).body.size(), large.size());
  Packet packet;
  size_t size = 0;
  EXPECT_EQ(CutPacket(Bytes({0x30, 0x80, 0x80, 0x80, 0x80, 0}), &packet, &size), Cut::kMalformed);
}

TEST(ParsePublish, FindsTopicPayloadPacketIdAndDup) {
  const std::string packet = PublishWith("", 0x3A);
  Publish publish;
  ASSERT_TRUE(ParsePublish(Only(packet), &publish));
  EXPECT_EQ(publish.topic, "t");
  EXPECT_EQ(publish.payload, "p");
  EXPECT_EQ(publish.packet_id, 7);
  EXPECT_TRUE(publish.duplicate);
}

TEST(ParsePublish, HasNoPacketIdAtQos0) {
  const std::string packet = Bytes({0x30, 5, 0, 1, 't', 0, 'p'});
  Publish publish;
  ASSERT_TRUE(ParsePublish(Only(packet), &publish));
  EXPECT_EQ(publish.packet_id, 0);
  EXPECT_EQ(publish.payload, "p");
}

TEST(ParsePublish, WalksOverPropertiesOfEverySize) {
  const std::string properties = Bytes({0x01, 1,                     // one byte
                                        0x23, 0,    5,               // two
                                        0x02, 0,    0,    0,   9,    // four
                                        0x0B, 0x80, 0x01,            // a variable number
                                        0x03, 0,    2,    'a', 'b',  // a text
                                        0x26, 0,    1,    'k', 0,   2, 'v', 'w'});  // a pair
  const std::string packet = PublishWith(properties);
  Publish publish;
  ASSERT_TRUE(ParsePublish(Only(packet), &publish));
  std::vector<int> ids;
  Properties::Property property;
  while (publish.properties.Next(&property)) ids.push_back(property.id);
  EXPECT_THAT(ids, testing::ElementsAre(0x01, 0x23, 0x02, 0x0B, 0x03, 0x26));
  EXPECT_EQ(property.name, "k");
  EXPECT_EQ(property.value, "vw");
}

TEST(ParsePublish, RefusesWhatIsNotOne) {
  Publish publish;
  EXPECT_FALSE(ParsePublish(Only(PublishWith("", 0x34)), &publish)) << "QoS 2";
  EXPECT_FALSE(ParsePublish(Only(Bytes({0x32, 6, 0, 1, 't', 0, 0, 0})), &publish)) << "id 0";
  EXPECT_FALSE(ParsePublish(Only(PublishWith(Bytes({0x7F}))), &publish)) << "unknown property";
  EXPECT_FALSE(ParsePublish(Only(PublishWith(Bytes({0x26, 0, 9, 'k'}))), &publish)) << "cut pair";
  EXPECT_FALSE(ParsePublish(Only(Bytes({0x32, 3, 0, 9, 't'})), &publish)) << "cut topic";
  EXPECT_FALSE(ParsePublish(Only(Bytes({0xD0, 0})), &publish)) << "another packet";
}

TEST(ParseConnack, TellsTheSessionAndTheKeepAliveThatTheBrokerWants) {
  Connack connack;
  ASSERT_TRUE(ParseConnack(Only(Bytes({0x20, 6, 1, 0, 3, 0x13, 0, 20})), &connack));
  EXPECT_TRUE(connack.session_present);
  EXPECT_EQ(connack.reason, 0);
  EXPECT_EQ(connack.keep_alive, std::chrono::seconds(20));
}

TEST(ParseConnack, TellsTheBrokersLimits) {
  Connack connack;
  ASSERT_TRUE(ParseConnack(
      Only(Bytes({0x20, 15, 0, 0, 12, 0x11, 0, 0, 1, 2, 0x27, 0, 1, 0, 0, 0x2A, 0})), &connack));
  EXPECT_EQ(connack.session_expiry, std::chrono::seconds(258));
  EXPECT_EQ(connack.maximum_packet_size, 65536U);
  EXPECT_FALSE(connack.shared_subscriptions);
  ASSERT_TRUE(ParseConnack(Only(Bytes({0x20, 3, 0, 0, 0})), &connack));
  EXPECT_EQ(connack.session_expiry, std::chrono::seconds(-1));
  EXPECT_EQ(connack.maximum_packet_size, 0U);
  EXPECT_TRUE(connack.shared_subscriptions);
}

TEST(ParseConnack, TakesTheRefusalOfABrokerThatSpeaksAnOlderVersion) {
  Connack connack;
  ASSERT_TRUE(ParseConnack(Only(Bytes({0x20, 2, 0, 1})), &connack));
  EXPECT_THAT(ReasonText(connack.reason), HasSubstr("does not speak MQTT 5"));
}

TEST(ParseAnswer, FindsTheReason) {
  const std::string packet = Bytes({0x90, 4, 0, 9, 0, 0x87});
  Answer answer;
  ASSERT_TRUE(ParseAnswer(Only(packet), &answer));
  EXPECT_EQ(answer.packet_id, 9);
  EXPECT_EQ(ReasonText(static_cast<uint8_t>(answer.reasons[0])), "not authorized (0x87)");
  EXPECT_FALSE(ParseAnswer(Only(Bytes({0x90, 3, 0, 9, 0})), &answer)) << "no reason";
}

TEST(Encode, WritesTheStandardsBytes) {
  const std::string connect = EncodeConnect({.client_id = "c",
                                             .username = "u",
                                             .password = "p",
                                             .keep_alive = std::chrono::seconds(30),
                                             .session_expiry = std::chrono::seconds(0x01020304),
                                             .receive_maximum = 2000});
  EXPECT_EQ(connect, Bytes({0x10, 28, 0,    4, 'M',  'Q', 'T', 'T', 5, 0xC0, 0,   30, 8, 0x11, 1, 2,
                            3,    4,  0x21, 7, 0xD0, 0,   1,   'c', 0, 1,    'u', 0,  1, 'p'}));
  EXPECT_EQ(EncodeSubscribe(1, "a/#", 1, Retained::kDoNotSend),
            Bytes({0x82, 9, 0, 1, 0, 0, 3, 'a', '/', '#', 0x21}));
  EXPECT_EQ(EncodeDisconnect(std::chrono::seconds(258)), Bytes({0xE0, 7, 0, 5, 0x11, 0, 0, 1, 2}));
  EXPECT_EQ(EncodeUnsubscribe(2, "a"), Bytes({0xA2, 6, 0, 2, 0, 0, 1, 'a'}));
  std::string puback;
  AppendPuback(0x1234, &puback);
  EXPECT_EQ(puback, Bytes({0x40, 2, 0x12, 0x34}));
}

}  // namespace
}  // namespace sluice::mqtt
