#include "loadtest/links.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "tests/support/free_port.h"

namespace sluice::loadtest {
namespace {

using ::testing::HasSubstr;

// Two connections, and a broker that says only what the test makes it say.
class LinksTest : public ::testing::Test {
 protected:
  void Start(bool reconnect) {
    LinkOptions options;
    options.port = listener_.port;
    options.connections = 2;
    options.reconnect = reconnect;
    options.quiet = true;
    log_.emplace(*AckLog::Open("", {}));
    links_.emplace(options, Proof::kPayload, &library_, &*log_);
    ASSERT_TRUE(links_->Make().ok());
  }
  // Opens both and takes their CONNECT; with `answer` until both are ready.
  std::vector<UniqueFd> Accept(bool answer) {
    EXPECT_TRUE(links_->Write(now_).ok());
    std::vector<UniqueFd> sockets;
    for (int i = 0; i < 2; ++i) {
      UniqueFd socket(::accept(listener_.socket.get(), nullptr, nullptr));
      EXPECT_TRUE(links_->Read().ok());
      EXPECT_TRUE(links_->Write(now_).ok());
      std::array<char, 1024> connect;
      EXPECT_GT(::recv(socket.get(), connect.data(), connect.size(), 0), 0);
      constexpr std::array<char, 4> kConnack = {0x20, 2, 0, 0};
      if (answer) ::send(socket.get(), kConnack.data(), kConnack.size(), 0);
      sockets.push_back(std::move(socket));
    }
    while (answer && links_->ready() < 2) EXPECT_TRUE(links_->Read().ok());
    return sockets;
  }

  MessageLibrary library_{FleetShape{}, MessageOptions{}};
  std::optional<AckLog> log_;
  std::optional<Links> links_;
  const sluice::testing::Listener listener_ = sluice::testing::ListenOnLoopback();
  int64_t now_ = SystemClock().Monotonic();
};

TEST_F(LinksTest, GivesUpOnABrokerThatDoesNotAnswerForTenSeconds) {
  Start(false);
  const auto sockets = Accept(false);
  EXPECT_TRUE(links_->Write(now_ + 9'900'000).ok());
  const Status status = links_->Write(now_ + 10'100'000);
  EXPECT_EQ(status.code(), ErrorCode::kTimeout);
  EXPECT_THAT(status.message(), HasSubstr("did not answer"));
}

TEST_F(LinksTest, TriesABrokerThatDoesNotAnswerAgainWhenToldToReconnect) {
  Start(true);
  const auto sockets = Accept(false);
  EXPECT_TRUE(links_->Write(now_ + 10'100'000).ok());
  EXPECT_THAT(links_->last_trouble(), HasSubstr("did not answer"));
  now_ += 20'000'000;
  Accept(true);
  EXPECT_EQ(links_->ready(), 2U);
}

TEST_F(LinksTest, LeavesTimeToAConnectionThatIsReady) {
  Start(false);
  const auto sockets = Accept(true);
  EXPECT_TRUE(links_->Write(now_ + 3600'000'000).ok());
  EXPECT_EQ(links_->ready(), 2U);
}

TEST_F(LinksTest, CutsAllConnectionsWithoutAWordAndOpensThemAgain) {
  Start(true);
  const auto sockets = Accept(true);
  links_->Cut();
  EXPECT_EQ(links_->ready(), 0U);
  for (const UniqueFd& socket : sockets) {
    std::array<char, 16> goodbye;
    EXPECT_EQ(::recv(socket.get(), goodbye.data(), goodbye.size(), 0), 0);
  }
  Accept(true);
  EXPECT_EQ(links_->ready(), 2U);
}

}  // namespace
}  // namespace sluice::loadtest
