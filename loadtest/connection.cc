#include "loadtest/connection.h"

#include <sys/epoll.h>

#include <algorithm>
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
    : options_(std::move(options)),
      library_(library),
      log_(log),
      dialect_(library->dialect()),
      reader_(dialect_.version),
      limit_(options_.window) {}

Result<int> Connection::Open() {
  Status status = channel_.Open(options_.endpoint, options_.tls);
  if (!status.ok()) return Lost(std::move(status));
  out_ = EncodeConnect(dialect_.version, options_.client_id, options_.username, options_.password);
  return channel_.fd();
}

void Connection::Close() {
  channel_.Close();
  connected_ = writable_ = ready_ = false;
  reader_.Reset();
  out_.clear();
  out_at_ = 0;
  written_ = 0;
  cursor_ = 0;
  in_flight_ = 0;
}

void Connection::Disconnect() {
  if (ready_) {
    out_ += mqtt::EncodeDisconnect();
    (void)Flush();
  }
  Close();
}

bool Connection::HasRoom() const {
  return window_.size() < limit_ && out_.size() - out_at_ < kMaxUnwritten;
}

void Connection::Send(const Message& message, std::string_view time_text) {
  window_.push_back({message});
  const uint64_t serial = next_++;
  if (!ready_ || cursor_ != serial || in_flight_ >= limit_) return;
  ++cursor_;
  Append(&window_.back(), serial, time_text);
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
  if (too_large_ > 0) {
    return Lost({ErrorCode::kInvalidArgument,
                 "the broker takes packets of " + std::to_string(max_packet_bytes_) +
                     " bytes, and the fleet has one of " + std::to_string(too_large_)});
  }
  while (writable_ && out_at_ < out_.size()) {
    Result<size_t> written = channel_.Write(std::string_view(out_).substr(out_at_));
    if (!written.ok()) return Lost(written.status());
    out_at_ += *written;
    written_ += *written;
    writable_ = *written > 0;
  }
  if (dialect_.qos == 0) SettleWritten();
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
    if (*size == 0) break;
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
  if (ready_) SendWaiting();
  return Status::Ok();
}

Status Connection::Handle(const BrokerPacket& packet) {
  switch (packet.type) {
    case BrokerPacket::Type::kConnack:
      return Accept(packet);
    case BrokerPacket::Type::kPuback:
      return Acknowledge(packet);
    case BrokerPacket::Type::kDisconnect:
      break;
  }
  return {ErrorCode::kUnavailable,
          "the broker ended the connection: " + mqtt::ReasonText(packet.reason)};
}

Status Connection::Accept(const BrokerPacket& connack) {
  if (connack.reason != 0) {
    return {ErrorCode::kRejected,
            "the broker refused the connection" +
                (dialect_.version == 5 ? ": " + mqtt::ReasonText(connack.reason)
                                       : ", return code " + std::to_string(connack.reason))};
  }
  if (connack.maximum_qos < dialect_.qos) {
    return {ErrorCode::kInvalidArgument, "the broker takes nothing at QoS 1"};
  }
  max_packet_bytes_ = connack.maximum_packet_size;
  limit_ = options_.window;
  if (dialect_.qos > 0) limit_ = std::min<size_t>(limit_, connack.receive_maximum);
  ready_ = true;
  return Status::Ok();
}

Status Connection::Acknowledge(const BrokerPacket& puback) {
  const uint16_t packet_id = puback.packet_id;
  const uint64_t ahead = (packet_id + kPacketIds - PacketId(oldest())) % kPacketIds;
  if (packet_id == 0 || in_flight_ == 0 || oldest() + ahead >= cursor_ || window_[ahead].settled) {
    return {ErrorCode::kCorrupt, "the broker acknowledged a message that was not outstanding"};
  }
  --in_flight_;
  if (puback.reason < mqtt::kFirstErrorCode) {
    Settle(&window_[ahead]);
  } else {
    window_[ahead].settled = true;
    ++refused_;
    last_refusal_ = puback.reason;
  }
  while (!window_.empty() && window_.front().settled) window_.pop_front();
  return Status::Ok();
}

void Connection::Settle(Slot* slot) {
  slot->settled = true;
  ++acknowledged_;
  if (slot->message.kind != Kind::kGood) ++acknowledged_bad_;
  log_->Acknowledged(slot->message.sender, slot->message.seq, slot->message.kind);
}

void Connection::SettleWritten() {
  while (oldest() < cursor_ && window_.front().end <= written_) {
    Settle(&window_.front());
    window_.pop_front();
  }
}

// What was collected while the connection was away, as far as the broker wants it at a time.
void Connection::SendWaiting() {
  for (cursor_ = std::max(cursor_, oldest()); cursor_ < next_ && in_flight_ < limit_; ++cursor_) {
    Slot& slot = window_[cursor_ - oldest()];
    if (!slot.settled) Append(&slot, cursor_, FormatTime(slot.message.time));
  }
}

void Connection::Append(Slot* slot, uint64_t serial, std::string_view time_text) {
  const MessageTemplate& message = library_->Get(slot->message.sender, slot->message.kind);
  if (message.packet_bytes() > max_packet_bytes_) too_large_ = message.packet_bytes();
  message.Append(PacketId(serial), slot->message.seq, time_text, slot->sent, &out_);
  slot->sent = true;
  slot->end = written_ + out_.size() - out_at_;
  if (dialect_.qos > 0) ++in_flight_;
}

Status Connection::Lost(Status why) {
  Close();
  return why;
}

}  // namespace sluice::loadtest
