// Connection: one MQTT publisher that carries many devices, non-blocking, with a window of messages
// that are sent but not acknowledged. Those survive a lost connection and are sent again.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "loadtest/ack_log.h"
#include "loadtest/message.h"
#include "loadtest/mqtt.h"

namespace sluice::loadtest {

struct ConnectionOptions {
  sockaddr_storage address{};
  socklen_t address_length = 0;
  std::string username;
  std::string password;
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
  // `library` and `log` outlive this.
  Connection(const ConnectionOptions& options, std::string client_id, MessageLibrary* library,
             AckLog* log);

  // Starts to connect. The descriptor is for epoll (edge-triggered); it is valid until Close.
  Result<int> Open();
  void Close();
  // Says goodbye as far as the socket takes it, and closes.
  void Disconnect();

  bool opened() const { return socket_.valid(); }
  // True when the broker has accepted the connection.
  bool ready() const { return ready_; }
  bool HasRoom() const;
  // Only when ready() and HasRoom(). `time_text` is FormatTime(message.time).
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
    bool acknowledged = false;
  };

  Status Read();
  Status Handle(const BrokerPacket& packet);
  Status Acknowledge(uint16_t packet_id);
  void SendAgain();
  Slot& SlotOf(uint64_t serial) { return slots_[serial % slots_.size()]; }
  Status Fail(const std::string& what);

  const ConnectionOptions options_;
  const std::string client_id_;
  MessageLibrary* const library_;
  AckLog* const log_;

  UniqueFd socket_;
  bool connected_ = false;  // TCP
  bool writable_ = false;
  bool ready_ = false;
  BrokerPacketReader reader_;
  std::string out_;
  size_t out_at_ = 0;

  // Messages are numbered from 0; [oldest_, next_) is the window, slots_ its ring.
  std::vector<Slot> slots_;
  uint64_t oldest_ = 0;
  uint64_t next_ = 0;
  uint64_t acknowledged_ = 0;
  uint64_t acknowledged_bad_ = 0;
};

}  // namespace sluice::loadtest
