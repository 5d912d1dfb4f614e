#include "loadtest/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "mqtt/packets.h"
#include "tests/support/free_port.h"

namespace sluice::loadtest {
namespace {

using nlohmann::json;

// A broker of MQTT 5 with one client, on a thread of its own.
class FakeBroker {
 public:
  // `before_ack` is called with the number of the message, from 0, before its PUBACK.
  explicit FakeBroker(std::function<void(size_t)> before_ack = [](size_t) {})
      : before_ack_(std::move(before_ack)) {
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeBroker() {
    if (thread_.joinable()) thread_.join();
  }

  int port() const { return listener_.port; }
  // All payloads, once the client has gone.
  std::vector<json> Messages() {
    thread_.join();
    return messages_;
  }

 private:
  void Serve() {
    const UniqueFd client(::accept(listener_.socket.get(), nullptr, nullptr));
    std::string bytes;
    std::array<char, 65536> buffer;
    for (ssize_t n = 0; (n = ::recv(client.get(), buffer.data(), buffer.size(), 0)) > 0;) {
      bytes.append(buffer.data(), static_cast<size_t>(n));
      mqtt::Packet packet;
      size_t size = 0;
      while (mqtt::CutPacket(bytes, &packet, &size) == mqtt::Cut::kPacket) {
        const std::string answer = Answer(packet);
        ::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
        bytes.erase(0, size);
      }
    }
  }
  std::string Answer(const mqtt::Packet& packet) {
    if (packet.type == mqtt::PacketType::kConnect) return {0x20, 3, 0, 0, 0};
    mqtt::Publish publish;
    std::string answer;
    if (!mqtt::ParsePublish(packet, &publish)) return answer;
    before_ack_(messages_.size());
    messages_.push_back(json::parse(publish.payload));
    if (publish.packet_id != 0) mqtt::AppendPuback(publish.packet_id, &answer);
    return answer;
  }

  const std::function<void(size_t)> before_ack_;
  const sluice::testing::Listener listener_ = sluice::testing::ListenOnLoopback();
  std::vector<json> messages_;
  std::thread thread_;
};

FleetOptions OneConnectionTo(const FakeBroker& broker) {
  FleetOptions options;
  options.links.port = broker.port();
  options.links.connections = 1;
  options.message.dialect = {.version = 5, .qos = 1};
  options.bad_percent = 0;
  options.quiet = true;
  return options;
}

// Milliseconds since the first one's.
std::vector<int> Moments(const std::vector<json>& messages) {
  std::vector<int> moments;
  for (const json& message : messages) {
    const std::string ts = message["ts"];
    const std::string first = messages[0]["ts"];
    const auto millisecond = [](const std::string& text) {
      return std::stoi(text.substr(14, 2)) * 60'000 + std::stoi(text.substr(17, 2)) * 1000 +
             std::stoi(text.substr(20, 3));
    };
    moments.push_back((millisecond(ts) - millisecond(first) + 3'600'000) % 3'600'000);
  }
  return moments;
}

TEST(RunFleet, DatesMessagesByTheTimetableAndNotByWhenABrokerLetsThemGo) {
  FakeBroker broker([](size_t message) {
    if (message == 0) std::this_thread::sleep_for(std::chrono::milliseconds(300));
  });
  FleetOptions options = OneConnectionTo(broker);
  options.links.window = 1;
  options.rate = 100;
  options.count = 6;
  const std::sig_atomic_t stop = 0;
  FleetReport report;
  const Status status = RunFleet(options, &stop, &report);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(report.complete());
  EXPECT_GE(report.lag_ms_max, 250) << "the second message had to wait";
  EXPECT_THAT(Moments(broker.Messages()), ::testing::ElementsAre(0, 10, 20, 30, 40, 50));
}

TEST(RunFleet, SendsABurstAtItsMoment) {
  FakeBroker broker;
  FleetOptions options = OneConnectionTo(broker);
  options.rate = 20;
  options.count = 7;
  options.burst_every = 0.1;
  options.burst_size = 3;
  const std::sig_atomic_t stop = 0;
  FleetReport report;
  ASSERT_TRUE(RunFleet(options, &stop, &report).ok());
  EXPECT_THAT(Moments(broker.Messages()), ::testing::ElementsAre(0, 50, 100, 100, 100, 100, 150));
}

TEST(RunFleet, LetsOthersSeeHowFarItIs) {
  FakeBroker broker;
  FleetOptions options = OneConnectionTo(broker);
  options.rate = 10'000;
  options.count = 50;
  FleetProgress progress;
  options.progress = &progress;
  const std::sig_atomic_t stop = 0;
  FleetReport report;
  ASSERT_TRUE(RunFleet(options, &stop, &report).ok());
  EXPECT_EQ(progress.published, 50U);
  EXPECT_EQ(progress.acknowledged, 50U);
}

TEST(RunFleet, CountsWhatItSentAsAcknowledgedAtQos0) {
  FakeBroker broker;
  FleetOptions options = OneConnectionTo(broker);
  options.message.dialect.qos = 0;
  options.rate = 10'000;
  options.count = 50;
  const std::sig_atomic_t stop = 0;
  FleetReport report;
  ASSERT_TRUE(RunFleet(options, &stop, &report).ok());
  EXPECT_EQ(report.acknowledged, 50U);
  EXPECT_EQ(broker.Messages().size(), 50U);
}

}  // namespace
}  // namespace sluice::loadtest
