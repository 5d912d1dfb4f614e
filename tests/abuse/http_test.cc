// The daemon's HTTP port under clients that mean no good: /health answers within a second.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "tests/fault/campaign.h"
#include "tests/fault/fault_rig.h"
#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kLongPost =
    "POST /api/v1/quarantine/replay HTTP/1.1\r\nContent-Length: 60000\r\n\r\n";

class HttpAbuse : public ::testing::Test {
 protected:
  void SetUp() override { stack_.Start(); }

  UniqueFd Connect() {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int few = 4096;  // a client that does not read fills up soon
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &few, sizeof few);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    return fd;
  }
  // Asks for /health again and again for as long as the scenario takes.
  void WatchHealth(Scenario& scenario) {
    const auto until = Clock::now() + seconds(Repetitions(2, 30));
    milliseconds longest{0};
    int asked = 0;
    for (; Clock::now() < until; ++asked) {
      const auto begin = Clock::now();
      int status = 0;
      stack_.Http("/health", &status);
      EXPECT_EQ(status, 200);
      longest = std::max(longest, std::chrono::duration_cast<milliseconds>(Clock::now() - begin));
      std::this_thread::sleep_for(milliseconds(20));
    }
    if (!kSanitized) {
      EXPECT_LE(longest, seconds(1));
    }
    scenario.Repeated(asked);
    scenario.Say("/health answered within " + std::to_string(longest.count()) +
                 " ms; the daemon holds " +
                 std::to_string(ResidentKilobytes(stack_.daemon().pid()) / 1024) + " MB");
  }

  SluiceStack stack_;
  const uint16_t port_ = static_cast<uint16_t>(std::stoi(stack_.http_port()));
};

TEST_F(HttpAbuse, SlowClientsHoldNobodyUp) {
  Scenario scenario("13",
                    "400 HTTP clients: silent, a byte a second (of a head or a body), or taking no "
                    "answer");
  std::atomic<bool> enough{false};
  std::jthread attacker([&] {
    std::vector<UniqueFd> clients(400);
    while (!enough) {
      for (size_t i = 0; i < clients.size() && !enough; ++i) {
        const std::string_view said = i % 4 == 0   ? ""
                                      : i % 4 == 1 ? "G"
                                      : i % 4 == 2 ? "GET /metrics HTTP/1.1\r\n\r\n"
                                                   : kLongPost;
        // Whom the server has closed on comes back.
        char byte = 0;
        const bool open =
            clients[i].valid() &&
            (::recv(clients[i].get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) > 0 || errno == EAGAIN);
        if (!open) clients[i] = Connect();
        const std::string_view next = !open ? said : i % 2 == 1 ? "G" : "";
        (void)::send(clients[i].get(), next.data(), next.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      }
      std::this_thread::sleep_for(seconds(1));
    }
  });
  WatchHealth(scenario);
  enough = true;
}

TEST_F(HttpAbuse, AGigabyteIsNotTaken) {
  Scenario scenario("13", "requests of 1 GB: as a body, in chunks, as headers without an end");
  std::atomic<bool> enough{false};
  std::atomic<uint64_t> sent{0};
  std::vector<std::jthread> attackers;
  for (const std::string begin :
       {"POST /health HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n",
        "GET /health HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n",
        "POST /api/v1/quarantine/replay HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n",
        "POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3b9aca00\r\n",
        "GET /health HTTP/1.1\r\nX: "}) {
    attackers.emplace_back([&, begin] {
      const std::string piece(1 << 20, 'x');
      while (!enough) {
        const UniqueFd fd = Connect();
        if (::send(fd.get(), begin.data(), begin.size(), MSG_NOSIGNAL) < 0) continue;
        for (int megabytes = 0; megabytes < 1000; ++megabytes) {
          const ssize_t count = ::send(fd.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
          if (count <= 0) break;
          sent += static_cast<uint64_t>(count);
        }
        std::this_thread::sleep_for(milliseconds(10));
      }
    });
  }
  WatchHealth(scenario);
  enough = true;
  attackers.clear();
  scenario.Say(std::to_string(sent >> 20) + " MB left the clients");
}

}  // namespace
}  // namespace sluice::testing
