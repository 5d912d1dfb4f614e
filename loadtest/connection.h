// Connection: one MQTT publisher, of one device or of many, non-blocking, with a window of messages
// that are not acknowledged. Those survive a lost connection and are sent when it is back.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "loadtest/ack_log.h"
#include "loadtest/message.h"
#include "loadtest/mqtt.h"
#include "mqtt/channel.h"

namespace sluice::loadtest {

struct ConnectionOptions {
  mqtt::Endpoint endpoint;
  const mqtt::TlsIdentity* tls = nullptr;  // null: plain TCP
  std::string client_id;
  std::string username = {};
  std::string password = {};
  size_t window = 5000;  // 1 to 60000
};

// What one sending of a message is made of.
struct Message {
  uint64_t seq = 0;
  UnixMicros time = 0;
  uint32_t sender = 0;
  Kind kind = Kind::kGood;
};

// One thread. An error from any call means that the connection is closed; Open starts it again.
class Connection {
 public:
  // `library`, `log` and the options' `tls` outlive this.
  Connection(ConnectionOptions options, MessageLibrary* library, AckLog* log);

  // Starts to connect. The descriptor is for epoll (edge-triggered); it is valid until Close.
  Result<int> Open();
  void Close();
  // Says goodbye as far as the socket takes it, and closes.
  void Disconnect();

  const std::string& client_id() const { return options_.client_id; }
  bool opened() const { return channel_.valid(); }
  // True when the broker has accepted the connection.
  bool ready() const { return ready_; }
  bool HasRoom() const;
  // Only when HasRoom(). When not ready(), it goes as soon as the broker has accepted the
  // connection. `time_text` is FormatTime(message.time).
  void Send(const Message& message, std::string_view time_text);

  // What epoll reported for the descriptor.
  Status OnEvents(uint32_t events);
  // Writes what Send has collected, as far as the socket takes it.
  Status Flush();

  uint64_t published() const { return next_; }
  uint64_t acknowledged() const { return acknowledged_; }
  uint64_t acknowledged_bad() const { return acknowledged_bad_; }
  uint64_t outstanding() const { return published() - acknowledged(); }

 private:
  struct Slot {
    Message message;
    bool sent = false;  // at least once
    bool acknowledged = false;
  };

  Status Read();
  Status Handle(const BrokerPacket& packet);
  Status Acknowledge(uint16_t packet_id);
  void SendWindow();
  // The serial number of the window's front.
  uint64_t oldest() const { return next_ - window_.size(); }
  Status Lost(Status why);

  const ConnectionOptions options_;
  MessageLibrary* const library_;
  AckLog* const log_;

  mqtt::Channel channel_;
  bool connected_ = false;  // TCP
  bool writable_ = false;
  bool ready_ = false;
  BrokerPacketReader reader_;
  std::string out_;
  size_t out_at_ = 0;

  // Messages are numbered from 0; the window is those before next_.
  std::deque<Slot> window_;
  uint64_t next_ = 0;
  uint64_t acknowledged_ = 0;
  uint64_t acknowledged_bad_ = 0;
};

}  // namespace sluice::loadtest
