#include "loadtest/connection.h"

#include <sys/epoll.h>

#include <array>
#include <utility>

namespace sluice::loadtest {
namespace {

constexpr uint64_t kPacketIds = 65535;  // 1 to 65535
constexpr size_t kMaxUnwritten = 4 << 20;

uint16_t PacketId(uint64_t serial) {
  return static_cast<uint16_t>(serial % kPacketIds + 1);
}

}  // namespace

Connection::Connection(ConnectionOptions options, MessageLibrary* library, AckLog* log)
    : options_(std::move(options)), library_(library), log_(log) {}

Result<int> Connection::Open() {
  Status status = channel_.Open(options_.endpoint, options_.tls);
  if (!status.ok()) return Lost(std::move(status));
  out_ = EncodeConnect(options_.client_id, options_.username, options_.password);
  return channel_.fd();
}

void Connection::Close() {
  channel_.Close();
  connected_ = writable_ = ready_ = false;
  reader_.Reset();
  out_.clear();
  out_at_ = 0;
}

void Connection::Disconnect() {
  if (ready_) {
    out_ += EncodeDisconnect();
    (void)Flush();
  }
  Close();
}

bool Connection::HasRoom() const {
  return window_.size() < options_.window && out_.size() - out_at_ < kMaxUnwritten;
}

void Connection::Send(const Message& message, std::string_view time_text) {
  window_.push_back({message, ready_, false});
  if (ready_) {
    library_->Get(message.sender, message.kind)
        .Append(PacketId(next_), message.seq, time_text, false, &out_);
  }
  ++next_;
}

Status Connection::OnEvents(uint32_t events) {
  if (!connected_ && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
    Status status = channel_.FinishConnect();
    if (!status.ok()) return Lost(std::move(status));
    connected_ = true;
  }
  // TLS may have waited for bytes to read before it could write.
  writable_ = connected_;
  if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0) return Read();
  return Status::Ok();
}

Status Connection::Flush() {
  while (writable_ && out_at_ < out_.size()) {
    Result<size_t> written = channel_.Write(std::string_view(out_).substr(out_at_));
    if (!written.ok()) return Lost(written.status());
    out_at_ += *written;
    writable_ = *written > 0;
  }
  if (out_at_ == out_.size()) {
    out_.clear();
    out_at_ = 0;
  } else if (out_at_ > kMaxUnwritten / 4) {
    out_.erase(0, out_at_);
    out_at_ = 0;
  }
  return Status::Ok();
}

Status Connection::Read() {
  std::array<char, 65536> buffer;
  for (;;) {
    const Result<size_t> size = channel_.Read(buffer);
    if (!size.ok()) return Lost(size.status());
    if (*size == 0) return Status::Ok();
    reader_.Feed({buffer.data(), *size});
    BrokerPacket packet;
    auto outcome = reader_.Next(&packet);
    for (; outcome == BrokerPacketReader::Outcome::kPacket; outcome = reader_.Next(&packet)) {
      Status status = Handle(packet);
      if (!status.ok()) return Lost(std::move(status));
    }
    if (outcome == BrokerPacketReader::Outcome::kMalformed) {
      return Lost({ErrorCode::kCorrupt, "the broker sent something unexpected"});
    }
  }
}

Status Connection::Handle(const BrokerPacket& packet) {
  if (packet.type == BrokerPacket::Type::kPuback) return Acknowledge(packet.packet_id);
  if (packet.return_code != 0) {
    return {ErrorCode::kRejected,
            "the broker refused the connection, return code " + std::to_string(packet.return_code)};
  }
  ready_ = true;
  SendWindow();
  return Status::Ok();
}

Status Connection::Acknowledge(uint16_t packet_id) {
  const uint64_t ahead = (packet_id + kPacketIds - PacketId(oldest())) % kPacketIds;
  if (packet_id == 0 || ahead >= window_.size() || window_[ahead].acknowledged) {
    return {ErrorCode::kCorrupt, "the broker acknowledged a message that was not outstanding"};
  }
  Slot& slot = window_[ahead];
  slot.acknowledged = true;
  ++acknowledged_;
  if (slot.message.kind != Kind::kGood) ++acknowledged_bad_;
  log_->Acknowledged(slot.message.sender, slot.message.seq, slot.message.kind);
  while (!window_.empty() && window_.front().acknowledged) window_.pop_front();
  return Status::Ok();
}

void Connection::SendWindow() {
  uint64_t serial = oldest();
  for (Slot& slot : window_) {
    const uint16_t packet_id = PacketId(serial++);
    if (slot.acknowledged) continue;
    library_->Get(slot.message.sender, slot.message.kind)
        .Append(packet_id, slot.message.seq, FormatTime(slot.message.time), slot.sent, &out_);
    slot.sent = true;
  }
}

Status Connection::Lost(Status why) {
  Close();
  return why;
}

}  // namespace sluice::loadtest
