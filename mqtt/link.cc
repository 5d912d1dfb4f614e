#include "mqtt/link.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace sluice::mqtt {
namespace {

// What one read takes: a few hundred messages, and no more than a processor's cache likes.
constexpr size_t kReadSize = 128 << 10;

std::chrono::milliseconds Until(Link::TimePoint deadline) {
  const auto left = deadline - std::chrono::steady_clock::now();
  return std::max(std::chrono::ceil<std::chrono::milliseconds>(left), std::chrono::milliseconds(0));
}

}  // namespace

Status Link::Open(const std::vector<Endpoint>& endpoints, const TlsIdentity* tls,
                  TimePoint deadline) {
  Status status;
  for (const Endpoint& endpoint : endpoints) {
    Close();
    status = OpenOne(endpoint, tls, deadline);
    if (status.ok()) return status;
  }
  Close();
  return status;
}

Status Link::OpenOne(const Endpoint& endpoint, const TlsIdentity* tls, TimePoint deadline) {
  if (Status opened = channel_.Open(endpoint, tls); !opened.ok()) return opened;
  pollfd socket = {channel_.fd(), POLLOUT, 0};
  while (::poll(&socket, 1, static_cast<int>(Until(deadline).count())) <= 0) {
    if (std::chrono::steady_clock::now() >= deadline) {
      return {ErrorCode::kUnavailable, "connect: no answer in time"};
    }
  }
  return channel_.FinishConnect();
}

void Link::Close() {
  channel_.Close();
  in_.assign(kReadSize, '\0');
  in_.shrink_to_fit();
  in_at_ = in_end_ = 0;
  out_.clear();
}

Status Link::Fill() {
  const size_t kept = in_end_ - in_at_;
  std::memmove(in_.data(), in_.data() + in_at_, kept);
  in_at_ = 0;
  in_end_ = kept;
  // A packet larger than the buffer makes it grow as it comes in; the next one does not need that.
  if (full()) {
    in_.resize(2 * in_.size());
  } else if (in_.size() > kReadSize && kept < kReadSize) {
    in_.resize(kReadSize);
    in_.shrink_to_fit();
  }
  while (!full()) {
    const Result<size_t> size = channel_.Read({in_.data() + in_end_, in_.size() - in_end_});
    if (!size.ok()) return size.status();
    if (*size == 0) break;
    in_end_ += *size;
  }
  return Status::Ok();
}

Cut Link::Next(Packet* packet) {
  size_t size = 0;
  const Cut cut = CutPacket({in_.data() + in_at_, in_end_ - in_at_}, packet, &size);
  if (cut == Cut::kPacket) in_at_ += size;
  return cut;
}

Status Link::Flush() {
  size_t written = 0;
  while (written < out_.size()) {
    const Result<size_t> size = channel_.Write(std::string_view(out_).substr(written));
    if (!size.ok()) return size.status();
    if (*size == 0) break;
    written += *size;
  }
  out_.erase(0, written);
  return Status::Ok();
}

void Link::Wait(int wake, std::chrono::milliseconds at_most) const {
  const bool write = !out_.empty() && channel_.waits_to_write();
  std::array<pollfd, 2> polled = {{
      {channel_.fd(), static_cast<short>(write ? POLLIN | POLLOUT : POLLIN), 0},
      {wake, POLLIN, 0},
  }};
  ::poll(polled.data(), polled.size(), static_cast<int>(at_most.count()));
}

}  // namespace sluice::mqtt
