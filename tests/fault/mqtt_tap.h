// MqttTap: reads along on the wire between broker and daemon, and notes which messages of the fleet
// the broker has handed over and which the daemon has acknowledged. The daemon's own word for
// neither.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace sluice::testing {

// "tenant device seq" of a message of sluice-loadtest; empty when it is something else.
std::string MessageId(std::string_view topic, std::string_view payload);

// Thread-safe; bytes of one connection and direction must come in order.
class MqttTap {
 public:
  // Connections of the same client, and only those, have the same quotient when divided by this.
  static constexpr int kLineNumbers = 1'000'000;

  // As TcpProxy::Tap.
  void See(int connection, bool to_server, std::string_view bytes);

  // What has been seen so far; nothing may be in flight.
  void Forget();

  // PUBACKed by the daemon.
  std::unordered_set<std::string> acknowledged() const;
  // How often the broker has sent each message for the first time: above 1 when a publisher has
  // published it twice. A message with DUP=1 counts, too, when it was not seen under its packet id
  // before: the broker had sent it to a connection that was gone.
  std::unordered_map<std::string, size_t> delivered() const;
  size_t acknowledgements() const;
  // Whether the daemon has acknowledged every one of these.
  bool HasAcknowledged(const std::unordered_map<std::string, bool>& messages) const;
  // Of messages that were sent for the first time before.
  size_t redeliveries() const;

 private:
  struct Connection {
    std::string from_server;
    std::string from_client;
    std::map<uint16_t, std::string> in_flight;  // packet id → message
  };

  void Published(int number, Connection& connection, uint8_t flags, std::string_view body);
  void Acknowledged(Connection& connection, std::string_view body);

  mutable std::mutex mutex_;
  std::map<int, Connection> connections_;
  std::unordered_set<std::string> acknowledged_;
  // With the client's line (connection / kLineNumbers) and the packet id of each time.
  std::unordered_map<std::string, std::vector<uint64_t>> delivered_;
  size_t acknowledgements_ = 0;
  size_t redeliveries_ = 0;
};

}  // namespace sluice::testing
