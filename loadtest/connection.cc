#include "loadtest/connection.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::loadtest {
namespace {

constexpr uint64_t kPacketIds = 65535;  // 1 to 65535
constexpr size_t kMaxUnwritten = 4 << 20;

uint16_t PacketId(uint64_t serial) {
  return static_cast<uint16_t>(serial % kPacketIds + 1);
}

}  // namespace

Connection::Connection(const ConnectionOptions& options, std::string client_id,
                       MessageLibrary* library, AckLog* log)
    : options_(options),
      client_id_(std::move(client_id)),
      library_(library),
      log_(log),
      slots_(options.window) {}

Result<int> Connection::Open() {
  const auto* address = reinterpret_cast<const sockaddr*>(&options_.address);
  socket_.Reset(::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket_.valid()) return Fail("socket");
  const int on = 1;
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(socket_.get(), address, options_.address_length) != 0 && errno != EINPROGRESS) {
    return Fail("connect");
  }
  out_ = EncodeConnect(client_id_, options_.username, options_.password);
  return socket_.get();
}

void Connection::Close() {
  socket_.Reset();
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
  return next_ - oldest_ < slots_.size() && out_.size() - out_at_ < kMaxUnwritten;
}

void Connection::Send(const Message& message, std::string_view time_text) {
  SlotOf(next_) = {message, false};
  library_->Get(message.sender, message.kind)
      .Append(PacketId(next_), message.seq, time_text, false, &out_);
  ++next_;
}

Status Connection::OnEvents(uint32_t events) {
  if (!connected_ && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
      errno = error;
      return Fail("connect");
    }
    connected_ = true;
  }
  if ((events & EPOLLOUT) != 0) writable_ = true;
  if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0) return Read();
  return Status::Ok();
}

Status Connection::Flush() {
  while (writable_ && out_at_ < out_.size()) {
    const ssize_t n =
        ::send(socket_.get(), out_.data() + out_at_, out_.size() - out_at_, MSG_NOSIGNAL);
    if (n >= 0) {
      out_at_ += static_cast<size_t>(n);
    } else if (errno == EAGAIN) {
      writable_ = false;
    } else if (errno != EINTR) {
      return Fail("send");
    }
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
    const ssize_t n = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EAGAIN) return Status::Ok();
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail("recv");
    if (n == 0) {
      Close();
      return {ErrorCode::kUnavailable, "the broker closed the connection"};
    }
    reader_.Feed({buffer.data(), static_cast<size_t>(n)});
    BrokerPacket packet;
    auto outcome = reader_.Next(&packet);
    for (; outcome == BrokerPacketReader::Outcome::kPacket; outcome = reader_.Next(&packet)) {
      Status status = Handle(packet);
      if (!status.ok()) return status;
    }
    if (outcome == BrokerPacketReader::Outcome::kMalformed) {
      Close();
      return {ErrorCode::kCorrupt, "the broker sent something unexpected"};
    }
  }
}

Status Connection::Handle(const BrokerPacket& packet) {
  if (packet.type == BrokerPacket::Type::kPuback) return Acknowledge(packet.packet_id);
  if (packet.return_code != 0) {
    Close();
    return {ErrorCode::kRejected,
            "the broker refused the connection, return code " + std::to_string(packet.return_code)};
  }
  ready_ = true;
  SendAgain();
  return Status::Ok();
}

Status Connection::Acknowledge(uint16_t packet_id) {
  const uint64_t ahead = (packet_id + kPacketIds - PacketId(oldest_)) % kPacketIds;
  if (packet_id == 0 || ahead >= next_ - oldest_ || SlotOf(oldest_ + ahead).acknowledged) {
    Close();
    return {ErrorCode::kCorrupt, "the broker acknowledged a message that was not outstanding"};
  }
  Slot& slot = SlotOf(oldest_ + ahead);
  slot.acknowledged = true;
  ++acknowledged_;
  if (slot.message.kind != Kind::kGood) ++acknowledged_bad_;
  log_->Acknowledged(slot.message.sender, slot.message.seq, slot.message.kind);
  while (oldest_ < next_ && SlotOf(oldest_).acknowledged) ++oldest_;
  return Status::Ok();
}

void Connection::SendAgain() {
  for (uint64_t serial = oldest_; serial < next_; ++serial) {
    const Slot& slot = SlotOf(serial);
    if (slot.acknowledged) continue;
    library_->Get(slot.message.sender, slot.message.kind)
        .Append(PacketId(serial), slot.message.seq, FormatTime(slot.message.time), true, &out_);
  }
}

Status Connection::Fail(const std::string& what) {
  Status status(ErrorCode::kUnavailable, what + ": " + std::strerror(errno));
  Close();
  return status;
}

}  // namespace sluice::loadtest
