#include "loadtest/connection.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/free_port.h"

namespace sluice::loadtest {
namespace {

// A Connection and the broker's end of it, played by the test.
class ConnectionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.endpoint = mqtt::Resolve("127.0.0.1", listener_.port)->front();
    options_.client_id = "test";
    options_.window = 3;
    log_.emplace(*AckLog::Open("", {}));
    Speak({});
  }
  void Speak(Dialect dialect) {
    MessageOptions message;
    message.dialect = dialect;
    dialect_ = dialect;
    connection_.reset();
    library_.emplace(FleetShape{}, message);
    connection_.emplace(options_, &*library_, &*log_);
  }

  // Connects and accepts, up to and including CONNACK.
  void Connect(unsigned char return_code = 0) { Connect({0x20, 2, 0, return_code}); }
  void Connect(const std::vector<unsigned char>& connack) {
    const Result<int> fd = connection_->Open();
    ASSERT_TRUE(fd.ok());
    fd_ = *fd;
    broker_.Reset(::accept(listener_.socket.get(), nullptr, nullptr));
    ASSERT_TRUE(connection_->OnEvents(EPOLLOUT).ok());
    ASSERT_TRUE(connection_->Flush().ok());
    EXPECT_EQ(Received(), EncodeConnect(dialect_.version, "test", "", ""));
    Answer(connack);
  }
  void Answer(const std::vector<unsigned char>& bytes) {
    ASSERT_EQ(::send(broker_.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
  }
  Status Read() {
    pollfd readable = {fd_, POLLIN, 0};
    EXPECT_EQ(::poll(&readable, 1, 5000), 1);
    return connection_->OnEvents(EPOLLIN);
  }
  std::string Received() {
    pollfd readable = {broker_.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&readable, 1, 5000), 1);
    std::array<char, 65536> buffer;
    if (readable.revents == 0) return "";
    const ssize_t n = ::recv(broker_.get(), buffer.data(), buffer.size(), 0);
    return {buffer.data(), static_cast<size_t>(std::max<ssize_t>(n, 0))};
  }
  void Send(uint64_t seq) { connection_->Send({seq, 0, 0, Kind::kGood}, FormatTime(0)); }
  // The PUBLISH of `seq` as the broker should see it.
  std::string Expected(uint16_t packet_id, uint64_t seq, bool dup) {
    std::string bytes;
    library_->Get(0, Kind::kGood).Append(packet_id, seq, FormatTime(0), dup, &bytes);
    return bytes;
  }

  Dialect dialect_;
  std::optional<MessageLibrary> library_;
  ConnectionOptions options_;
  const sluice::testing::Listener listener_ = sluice::testing::ListenOnLoopback();
  UniqueFd broker_;
  int fd_ = -1;
  std::optional<AckLog> log_;
  std::optional<Connection> connection_;
};

TEST_F(ConnectionTest, PublishesOnceTheBrokerHasAccepted) {
  Connect();
  EXPECT_FALSE(connection_->ready());
  ASSERT_TRUE(Read().ok());
  EXPECT_TRUE(connection_->ready());
  Send(41);
  Send(42);
  ASSERT_TRUE(connection_->Flush().ok());
  EXPECT_EQ(Received(), Expected(1, 41, false) + Expected(2, 42, false));
}

TEST_F(ConnectionTest, SaysWhyTheBrokerRefused) {
  Connect(5);
  const Status status = Read();
  EXPECT_EQ(status.code(), ErrorCode::kRejected);
  EXPECT_FALSE(connection_->opened());
}

TEST_F(ConnectionTest, HasNoRoomWhileTheOldestOfAFullWindowIsUnacknowledged) {
  Connect();
  ASSERT_TRUE(Read().ok());
  for (uint64_t seq = 1; seq <= 3; ++seq) Send(seq);
  EXPECT_FALSE(connection_->HasRoom());
  Answer({0x40, 2, 0, 2});
  ASSERT_TRUE(Read().ok());
  EXPECT_EQ(connection_->acknowledged(), 1U);
  EXPECT_FALSE(connection_->HasRoom());
  Answer({0x40, 2, 0, 1});
  ASSERT_TRUE(Read().ok());
  EXPECT_TRUE(connection_->HasRoom());
  EXPECT_EQ(connection_->outstanding(), 1U);
}

TEST_F(ConnectionTest, SendsWhatIsUnacknowledgedAgainWithDupAfterAReconnect) {
  Connect();
  ASSERT_TRUE(Read().ok());
  for (uint64_t seq = 1; seq <= 3; ++seq) Send(seq);
  ASSERT_TRUE(connection_->Flush().ok());
  EXPECT_FALSE(Received().empty());
  Answer({0x40, 2, 0, 2});
  ASSERT_TRUE(Read().ok());
  broker_.Reset();
  EXPECT_FALSE(Read().ok());
  EXPECT_FALSE(connection_->opened());

  Connect();
  ASSERT_TRUE(Read().ok());
  ASSERT_TRUE(connection_->Flush().ok());
  EXPECT_EQ(Received(), Expected(1, 1, true) + Expected(3, 3, true));
  Answer({0x40, 2, 0, 1, 0x40, 2, 0, 3});
  ASSERT_TRUE(Read().ok());
  EXPECT_EQ(connection_->published(), 3U);
  EXPECT_EQ(connection_->acknowledged(), 3U);
}

TEST_F(ConnectionTest, KeepsWhatIsSentWhileTheBrokerIsAwayAndSendsItWithoutDup) {
  Send(1);
  Send(2);
  EXPECT_EQ(connection_->outstanding(), 2U);
  Connect();
  ASSERT_TRUE(Read().ok());
  Send(3);
  EXPECT_FALSE(connection_->HasRoom());
  ASSERT_TRUE(connection_->Flush().ok());
  EXPECT_EQ(Received(), Expected(1, 1, false) + Expected(2, 2, false) + Expected(3, 3, false));
}

TEST_F(ConnectionTest, UsesPacketIdsAgainFromOneAfterTheLast) {
  Connect();
  ASSERT_TRUE(Read().ok());
  for (int i = 1; i <= 65535; ++i) {
    Send(1);
    Answer({0x40, 2, static_cast<unsigned char>(i >> 8), static_cast<unsigned char>(i & 0xFF)});
    ASSERT_TRUE(Read().ok());
    ASSERT_TRUE(connection_->Flush().ok());
    ASSERT_FALSE(Received().empty());
  }
  Send(1);
  ASSERT_TRUE(connection_->Flush().ok());
  EXPECT_EQ(Received(), Expected(1, 1, false));
}

TEST_F(ConnectionTest, RefusesAnAcknowledgementOfNothing) {
  for (const unsigned char packet_id : {0, 2}) {
    Connect();
    ASSERT_TRUE(Read().ok());
    if (connection_->published() == 0) Send(1);
    Answer({0x40, 2, 0, packet_id});
    EXPECT_EQ(Read().code(), ErrorCode::kCorrupt);
    EXPECT_EQ(connection_->acknowledged(), 0U);
  }
}

TEST_F(ConnectionTest, RefusesAnAcknowledgementOfWhatThisConnectionHasNotSent) {
  Send(1);
  Connect({0x20, 2, 0, 0, 0x40, 2, 0, 1});
  EXPECT_EQ(Read().code(), ErrorCode::kCorrupt);
  EXPECT_EQ(connection_->acknowledged(), 0U);
}

TEST_F(ConnectionTest, TakesWhatTheKernelTookForAcknowledgedAtQos0) {
  Speak({.version = 3, .qos = 0});
  Connect();
  ASSERT_TRUE(Read().ok());
  Send(1);
  Send(2);
  EXPECT_EQ(connection_->acknowledged(), 0U);
  ASSERT_TRUE(connection_->Flush().ok());
  EXPECT_EQ(connection_->acknowledged(), 2U);
  EXPECT_EQ(connection_->outstanding(), 0U);
  EXPECT_EQ(Received(), Expected(0, 1, false) + Expected(0, 2, false));
}

TEST_F(ConnectionTest, DoesNotSendWhatTheKernelTookAgainAtQos0) {
  Speak({.version = 5, .qos = 0});
  Send(1);
  Connect({0x20, 3, 0, 0, 0});
  ASSERT_TRUE(Read().ok());
  ASSERT_TRUE(connection_->Flush().ok());
  Send(2);
  connection_->Close();
  Connect({0x20, 3, 0, 0, 0});
  ASSERT_TRUE(Read().ok());
  ASSERT_TRUE(connection_->Flush().ok());
  EXPECT_EQ(Received(), Expected(0, 2, false));
  EXPECT_EQ(connection_->acknowledged(), 2U);
}

TEST_F(ConnectionTest, CountsWhatABrokerOfMqtt5RefusesAndDoesNotSendItAgain) {
  Speak({.version = 5, .qos = 1});
  Connect({0x20, 3, 0, 0, 0});
  ASSERT_TRUE(Read().ok());
  for (uint64_t seq = 1; seq <= 3; ++seq) Send(seq);
  ASSERT_TRUE(connection_->Flush().ok());
  Answer({0x40, 3, 0, 1, 0x10, 0x40, 4, 0, 2, 0x97, 0});
  ASSERT_TRUE(Read().ok());
  EXPECT_EQ(connection_->acknowledged(), 1U);
  EXPECT_EQ(connection_->refused(), 1U);
  EXPECT_EQ(connection_->last_refusal(), 0x97);
  EXPECT_EQ(connection_->outstanding(), 1U);
  EXPECT_FALSE(Received().empty());

  connection_->Close();
  Connect({0x20, 3, 0, 0, 0});
  ASSERT_TRUE(Read().ok());
  ASSERT_TRUE(connection_->Flush().ok());
  EXPECT_EQ(Received(), Expected(3, 3, true));
}

TEST_F(ConnectionTest, HasNoMoreOutstandingThanTheBrokersReceiveMaximum) {
  Speak({.version = 5, .qos = 1});
  for (uint64_t seq = 1; seq <= 3; ++seq) Send(seq);
  Connect({0x20, 6, 0, 0, 3, 0x21, 0, 2});
  ASSERT_TRUE(Read().ok());
  ASSERT_TRUE(connection_->Flush().ok());
  EXPECT_EQ(Received(), Expected(1, 1, false) + Expected(2, 2, false));
  EXPECT_FALSE(connection_->HasRoom());
  Answer({0x40, 2, 0, 2});
  ASSERT_TRUE(Read().ok());
  EXPECT_FALSE(connection_->HasRoom());
  ASSERT_TRUE(connection_->Flush().ok());
  EXPECT_EQ(Received(), Expected(3, 3, false));
  Answer({0x40, 2, 0, 1});
  ASSERT_TRUE(Read().ok());
  EXPECT_TRUE(connection_->HasRoom());
  Send(4);
  ASSERT_TRUE(connection_->Flush().ok());
  EXPECT_EQ(Received(), Expected(4, 4, false));
  EXPECT_FALSE(connection_->HasRoom());
}

TEST_F(ConnectionTest, GivesUpOnABrokerThatTakesNoPacketOfThatSize) {
  Speak({.version = 5, .qos = 1});
  Connect({0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 100});
  ASSERT_TRUE(Read().ok());
  Send(1);
  EXPECT_EQ(connection_->Flush().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Received(), "");
}

TEST_F(ConnectionTest, GivesUpOnABrokerThatTakesNothingAtQos1) {
  Speak({.version = 5, .qos = 1});
  Connect({0x20, 5, 0, 0, 2, 0x24, 0});
  EXPECT_EQ(Read().code(), ErrorCode::kInvalidArgument);
}

TEST_F(ConnectionTest, SaysWhyABrokerOfMqtt5EndedTheConnection) {
  Speak({.version = 5, .qos = 1});
  Connect({0x20, 3, 0, 0, 0, 0xE0, 1, 0x8E});
  const Status status = Read();
  EXPECT_EQ(status.code(), ErrorCode::kUnavailable);
  EXPECT_NE(status.message().find("0x8E"), std::string::npos) << status.message();
}

}  // namespace
}  // namespace sluice::loadtest
