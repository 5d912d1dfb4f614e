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
  size_t window = 5000;  // 1 to 60000; a broker of MQTT 5 may want it smaller
};

// What one sending of a message is made of.
struct Message {
  uint64_t seq = 0;
  UnixMicros time = 0;
  uint32_t sender = 0;
  Kind kind = Kind::kGood;
};

// One thread. An error from any call means that the connection is closed; Open starts it again,
// which is of no use after kInvalidArgument: the broker would say the same again.
//
// At QoS 1 a message is acknowledged by its PUBACK. At QoS 0 nobody acknowledges anything; there a
// message counts as acknowledged when the kernel has taken its last byte.
class Connection {
 public:
  // `library`, `log` and the options' `tls` outlive this.
  Connection(ConnectionOptions options, MessageLibrary* library, AckLog* log);

  // Starts to connect. The descriptor is for epoll (edge-triggered); it is valid until Close.
  Result<int> Open();
  // Without a word to the broker.
  void Close();
  // Says goodbye as far as the socket takes it, and closes.
  void Disconnect();

  const std::string& client_id() const { return options_.client_id; }
  bool secure() const { return options_.tls != nullptr; }
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
  // By a PUBACK that says no; such a message is not sent again.
  uint64_t refused() const { return refused_; }
  uint8_t last_refusal() const { return last_refusal_; }  // its reason code; 0: none yet
  uint64_t outstanding() const { return published() - acknowledged() - refused(); }

 private:
  struct Slot {
    Message message;
    uint64_t end = 0;      // how many bytes the connection has written when it is out, at QoS 0
    bool sent = false;     // at least once
    bool settled = false;  // acknowledged or refused
  };

  Status Read();
  Status Handle(const BrokerPacket& packet);
  Status Accept(const BrokerPacket& connack);
  Status Acknowledge(const BrokerPacket& puback);
  void Settle(Slot* slot);
  void SettleWritten();
  void SendWaiting();
  void Append(Slot* slot, uint64_t serial, std::string_view time_text);
  // The serial number of the window's front.
  uint64_t oldest() const { return next_ - window_.size(); }
  Status Lost(Status why);

  const ConnectionOptions options_;
  MessageLibrary* const library_;
  AckLog* const log_;
  const Dialect dialect_;

  mqtt::Channel channel_;
  bool connected_ = false;  // TCP
  bool writable_ = false;
  bool ready_ = false;
  BrokerPacketReader reader_;
  std::string out_;
  size_t out_at_ = 0;
  uint64_t written_ = 0;  // bytes, since it was opened

  // Messages are numbered from 0; the window is those before next_, and those of it before cursor_
  // were sent on this connection.
  std::deque<Slot> window_;
  uint64_t next_ = 0;
  uint64_t cursor_ = 0;
  size_t in_flight_ = 0;  // at QoS 1: sent on this connection and not settled
  size_t limit_;          // of the window
  uint32_t max_packet_bytes_ = 0;
  size_t too_large_ = 0;  // bytes of a packet that the broker would not take; 0: none
  uint64_t acknowledged_ = 0;
  uint64_t acknowledged_bad_ = 0;
  uint64_t refused_ = 0;
  uint8_t last_refusal_ = 0;
};

}  // namespace sluice::loadtest
