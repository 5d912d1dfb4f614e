// The connection to the broker, against a broker that says what a test wants.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <future>
#include <mutex>

#include "base/unique_fd.h"
#include "ingest/mqtt_client.h"
#include "mqtt/packets.h"
#include "tests/support/free_port.h"

namespace sluice {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Bytes(std::initializer_list<int> values) {
  std::string bytes;
  for (const int value : values) bytes.push_back(static_cast<char>(value));
  return bytes;
}

const std::string kConnack = Bytes({0x20, 3, 1, 0, 0});

std::string PublishOf(uint16_t packet_id, const std::string& payload, bool duplicate = false) {
  std::string body = Bytes({0, 1, 't', packet_id >> 8, packet_id & 0xFF, 0}) + payload;
  std::string packet = Bytes({duplicate ? 0x3A : 0x32});
  size_t length = body.size();
  do {
    packet += static_cast<char>(length > 127 ? (length & 127) | 128 : length);
    length >>= 7;
  } while (length > 0);
  return packet + body;
}

// Reads and writes what it is told. One connection at a time; a read waits ten seconds at most.
class ScriptedBroker {
 public:
  uint16_t port() const { return listener_.port; }

  void Accept() {
    connection_.Reset(::accept(listener_.socket.get(), nullptr, nullptr));
    const timeval patience = {10, 0};
    ::setsockopt(connection_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    read_.clear();
  }
  void Send(const std::string& bytes) {
    ::send(connection_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  // The next packet's bytes; "" when the client has closed or sends none.
  std::string Read() {
    for (;;) {
      mqtt::Packet packet;
      size_t size = 0;
      if (mqtt::CutPacket(read_, &packet, &size) == mqtt::Cut::kPacket) {
        std::string bytes = read_.substr(0, size);
        read_.erase(0, size);
        return bytes;
      }
      std::array<char, 4096> buffer;
      const ssize_t n = ::recv(connection_.get(), buffer.data(), buffer.size(), 0);
      if (n <= 0) return "";
      read_.append(buffer.data(), static_cast<size_t>(n));
    }
  }
  void Close() { connection_.Reset(); }

 private:
  const sluice::testing::Listener listener_ = sluice::testing::ListenOnLoopback();
  UniqueFd connection_;
  std::string read_;
};

class SocketClientTest : public ::testing::Test, protected MqttEvents {
 protected:
  void OnConnected(bool session_present) noexcept override { session_present_ = session_present; }
  void OnMessages(std::span<const ArrivedMessage> messages) noexcept override {
    const std::lock_guard lock(mutex_);
    for (const ArrivedMessage& message : messages) {
      payloads_.emplace_back(message.payload);
      last_duplicate_ = message.duplicate;
      last_stamp_ = message.stamp;
    }
  }
  void OnConnectionLost(const std::string& why) noexcept override { lost_.set_value(why); }
  bool StillWanted() noexcept override { return wanted_; }

  std::unique_ptr<MqttClient> Client() {
    MqttOptions options;
    options.host = "127.0.0.1";
    options.port = broker_.port();
    options.client_id = "c";
    options.keep_alive = keep_alive_;
    options.read_interval = read_interval_;
    return MakeMqttClient(options, *this);
  }
  // A client that is connected to the broker.
  std::unique_ptr<MqttClient> Connected() {
    auto client = Client();
    auto connected = std::async(std::launch::async, [&] { return client->Connect(); });
    broker_.Accept();
    EXPECT_FALSE(broker_.Read().empty());
    broker_.Send(kConnack);
    EXPECT_TRUE(connected.get().ok());
    return client;
  }
  // What Connect says when the broker answers so; an empty answer is that it hangs up.
  std::string Refused(const std::string& answer, bool hangs_up = false) {
    auto client = Client();
    auto connected = std::async(std::launch::async, [&] { return client->Connect(); });
    broker_.Accept();
    broker_.Read();
    broker_.Send(answer);
    if (answer.empty() || hangs_up) broker_.Close();
    const Status status = connected.get();
    EXPECT_EQ(status.code(), ErrorCode::kUnavailable);
    return status.message();
  }
  std::vector<std::string> payloads() {
    const std::lock_guard lock(mutex_);
    return payloads_;
  }
  std::string WhyLost() { return lost_.get_future().get(); }

  ScriptedBroker broker_;
  seconds keep_alive_{60};
  std::chrono::milliseconds read_interval_{1};
  std::atomic<bool> wanted_{true};
  std::atomic<bool> session_present_{false};
  std::mutex mutex_;
  std::vector<std::string> payloads_;
  bool last_duplicate_ = false;
  std::string last_stamp_;
  std::promise<std::string> lost_;
};

TEST_F(SocketClientTest, DeliversWhatComesTogetherAndThenAcknowledgesIt) {
  const auto client = Connected();
  EXPECT_TRUE(session_present_);
  broker_.Send(PublishOf(1, "a") + PublishOf(2, "b") + PublishOf(300, "c", true));
  EXPECT_EQ(broker_.Read(), Bytes({0x40, 2, 0, 1}));
  EXPECT_EQ(broker_.Read(), Bytes({0x40, 2, 0, 2}));
  EXPECT_EQ(broker_.Read(), Bytes({0x40, 2, 1, 44}));
  EXPECT_THAT(payloads(), ElementsAre("a", "b", "c"));
  EXPECT_TRUE(last_duplicate_);
}

TEST_F(SocketClientTest, DoesNotPauseWhenItIsWhatTheBrokerWaitsFor) {
  constexpr int kMessages = 30;
  read_interval_ = seconds(1);  // half a minute of pauses
  const auto client = Connected();
  const auto deadline = std::chrono::steady_clock::now() + seconds(10);
  int acknowledged = 0;
  while (acknowledged < kMessages && std::chrono::steady_clock::now() < deadline) {
    broker_.Send(PublishOf(1, "alone"));
    if (broker_.Read() == Bytes({0x40, 2, 0, 1})) ++acknowledged;
  }
  EXPECT_EQ(acknowledged, kMessages);
}

TEST_F(SocketClientTest, TakesWhatTheBrokerSentTogetherWithItsConnack) {
  auto client = Client();
  auto connected = std::async(std::launch::async, [&] { return client->Connect(); });
  broker_.Accept();
  broker_.Read();
  broker_.Send(kConnack + PublishOf(1, "early"));
  EXPECT_TRUE(connected.get().ok());
  EXPECT_EQ(broker_.Read(), Bytes({0x40, 2, 0, 1}));
  EXPECT_THAT(payloads(), ElementsAre("early"));
}

TEST_F(SocketClientTest, TakesAMessageThatIsLargerThanItsBufferAndTheSmallOnesAfterIt) {
  const auto client = Connected();
  const std::string large(3 << 20, 'x');
  auto sent = std::async(std::launch::async, [&] {
    broker_.Send(PublishOf(1, large));
    broker_.Send(PublishOf(2, "after"));
  });
  EXPECT_EQ(broker_.Read(), Bytes({0x40, 2, 0, 1}));
  EXPECT_EQ(broker_.Read(), Bytes({0x40, 2, 0, 2}));
  sent.get();
  EXPECT_THAT(payloads(), ElementsAre(large, "after"));
}

TEST_F(SocketClientTest, FindsTheStampAndDistrustsASecondOne) {
  const auto client = Connected();
  const auto stamped = [](const std::string& properties) {
    const std::string body =
        Bytes({0, 1, 't', 0, 1, static_cast<int>(properties.size())}) + properties + "p";
    return Bytes({0x32, static_cast<int>(body.size())}) + body;
  };
  const std::string property = Bytes({0x26, 0, 12}) + "sluice-stamp" + Bytes({0, 4}) + "text";
  broker_.Send(stamped(property));
  broker_.Read();
  EXPECT_EQ(last_stamp_, "text");
  broker_.Send(stamped(property + property));
  broker_.Read();
  EXPECT_THAT(last_stamp_, HasSubstr("no single property"));
}

TEST_F(SocketClientTest, AsksAndIsAnsweredBehindMessages) {
  const auto client = Connected();
  auto answered = std::async(std::launch::async, [&] { return client->Subscribe({"a/#"}); });
  const std::string subscribe = broker_.Read();
  EXPECT_EQ(subscribe, mqtt::EncodeSubscribe(1, "a/#", 1, mqtt::Retained::kDoNotSend));
  broker_.Send(PublishOf(1, "queued") + Bytes({0x90, 4, 0, 1, 0, 1}));
  EXPECT_TRUE(answered.get().ok());
  EXPECT_THAT(payloads(), ElementsAre("queued")) << "before the answer";
}

TEST_F(SocketClientTest, SaysWhichFilterTheBrokerRefusesAndWhy) {
  const auto client = Connected();
  auto answered = std::async(std::launch::async, [&] { return client->Subscribe({"a/#"}); });
  broker_.Read();
  broker_.Send(Bytes({0x90, 4, 0, 1, 0, 0x87}));
  const Status status = answered.get();
  EXPECT_EQ(status.code(), ErrorCode::kRejected);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("a/#"), HasSubstr("not authorized")));
}

TEST_F(SocketClientTest, GivesUpAQuestionThatNobodyWantsAnsweredAnyMore) {
  const auto client = Connected();
  wanted_ = false;
  EXPECT_EQ(client->Unsubscribe({"a"}).code(), ErrorCode::kUnavailable);
}

TEST_F(SocketClientTest, SaysWhyTheBrokerRefuses) {
  EXPECT_THAT(Refused(Bytes({0x20, 3, 0, 0x86, 0})), HasSubstr("bad user name or password"));
  EXPECT_THAT(Refused(Bytes({0x20, 2, 0, 1})), HasSubstr("does not speak MQTT 5"));
  EXPECT_THAT(Refused(Bytes({0x90, 4, 0, 1, 0, 1})), HasSubstr("something else"));
  EXPECT_THAT(Refused(""), HasSubstr("closed"));
  EXPECT_THAT(Refused(Bytes({0x20, 3, 0, 0x86, 0}), true), HasSubstr("bad user name or password"));
}

TEST_F(SocketClientTest, SaysWhyTheBrokerSaysGoodbye) {
  const auto client = Connected();
  broker_.Send(Bytes({0xE0, 2, 0x8E, 0}));
  EXPECT_THAT(WhyLost(), HasSubstr("session taken over"));
  EXPECT_EQ(client->Subscribe({"a"}).code(), ErrorCode::kUnavailable);
}

// As a broker does with a subscription that it does not know, or on its way down.
TEST_F(SocketClientTest, SaysWhyTheBrokerSaysGoodbyeAlsoWhenItHangsUpAtOnce) {
  auto client = Connected();
  auto asked = std::async(std::launch::async, [&] { return client->Subscribe({"$share/g/t"}); });
  broker_.Read();
  broker_.Send(Bytes({0xE0, 2, 0x9E, 0}));
  broker_.Close();
  EXPECT_THAT(asked.get().message(), HasSubstr("shared subscriptions not supported (0x9E)"));
}

TEST_F(SocketClientTest, DeliversWhatCameBeforeNonsenseAndDropsTheConnection) {
  const auto client = Connected();
  broker_.Send(PublishOf(1, "good") + Bytes({0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1}));
  EXPECT_THAT(WhyLost(), HasSubstr("not MQTT"));
  EXPECT_THAT(payloads(), ElementsAre("good"));
}

TEST_F(SocketClientTest, PingsASilentBrokerAndGivesItUp) {
  keep_alive_ = seconds(1);
  const auto client = Connected();
  EXPECT_EQ(broker_.Read(), mqtt::EncodePingreq());
  broker_.Send(Bytes({0xD0, 0}));
  EXPECT_EQ(broker_.Read(), mqtt::EncodePingreq());
  EXPECT_THAT(WhyLost(), HasSubstr("PINGREQ"));
}

TEST_F(SocketClientTest, SaysGoodbyeWhenItDisconnects) {
  const auto client = Connected();
  auto disconnected = std::async(std::launch::async, [&] { client->Disconnect(); });
  EXPECT_EQ(broker_.Read(), mqtt::EncodeDisconnect());
  broker_.Close();
  disconnected.get();
}

TEST_F(SocketClientTest, EndsTheSessionWithACleanStartThatIsAnswered) {
  const auto client = Connected();
  auto ended = std::async(std::launch::async, [&] { return client->EndSession(); });
  EXPECT_EQ(broker_.Read(), mqtt::EncodeDisconnect());
  broker_.Close();
  broker_.Accept();
  const std::string connect = broker_.Read();
  ASSERT_GT(connect.size(), 9U);
  EXPECT_EQ(connect[9] & 2, 2) << "clean start";
  broker_.Send(kConnack);
  EXPECT_EQ(broker_.Read(), mqtt::EncodeDisconnect());
  broker_.Close();
  EXPECT_TRUE(ended.get().ok());
}

}  // namespace
}  // namespace sluice
