#include "mqtt/channel.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>

#include <cerrno>
#include <cstring>

namespace sluice::mqtt {
namespace {

Status Failure(const std::string& what, int error) {
  return {ErrorCode::kUnavailable, what + ": " + std::strerror(error)};
}

Status Closed() {
  return {ErrorCode::kUnavailable, "the broker closed the connection"};
}

}  // namespace

Result<std::vector<Endpoint>> Resolve(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int rc = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (rc != 0) return Status(ErrorCode::kNotFound, host + ": " + ::gai_strerror(rc));
  std::vector<Endpoint> endpoints;
  for (const addrinfo* next = found; next != nullptr; next = next->ai_next) {
    Endpoint& endpoint = endpoints.emplace_back();
    std::memcpy(&endpoint.address, next->ai_addr, next->ai_addrlen);
    endpoint.length = next->ai_addrlen;
  }
  ::freeaddrinfo(found);
  return endpoints;
}

Status Channel::Open(const Endpoint& endpoint, const TlsIdentity* tls) {
  const auto* address = reinterpret_cast<const sockaddr*>(&endpoint.address);
  socket_.Reset(::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket_.valid()) return Failure("socket", errno);
  const int on = 1;
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(socket_.get(), address, endpoint.length) != 0 && errno != EINPROGRESS) {
    return Failure("connect", errno);
  }
  if (tls != nullptr) tls_ = tls->NewSession(socket_.get());
  return Status::Ok();
}

void Channel::Close() {
  tls_.reset();
  socket_.Reset();
  waits_to_write_ = false;
}

Status Channel::FinishConnect() {
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  return error == 0 ? Status::Ok() : Failure("connect", error);
}

Result<size_t> Channel::Write(std::string_view bytes) {
  if (tls_ != nullptr) {
    size_t written = 0;
    ERR_clear_error();
    const int outcome = SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), &written);
    return outcome == 1 ? Result<size_t>(written) : NothingOrTlsError(outcome);
  }
  for (;;) {
    const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EAGAIN) return NotNow(true);
    if (errno != EINTR) return Failure("send", errno);
  }
}

Result<size_t> Channel::Read(std::span<char> buffer) {
  if (tls_ != nullptr) {
    size_t read = 0;
    ERR_clear_error();
    const int outcome = SSL_read_ex(tls_.get(), buffer.data(), buffer.size(), &read);
    return outcome == 1 ? Result<size_t>(read) : NothingOrTlsError(outcome);
  }
  for (;;) {
    const ssize_t n = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (n > 0) return static_cast<size_t>(n);
    if (n == 0) return Closed();
    if (errno == EAGAIN) return NotNow(false);
    if (errno != EINTR) return Failure("recv", errno);
  }
}

Result<size_t> Channel::NotNow(bool waits_to_write) {
  waits_to_write_ = waits_to_write;
  return size_t{0};
}

Result<size_t> Channel::NothingOrTlsError(int outcome) {
  const int error = errno;
  switch (SSL_get_error(tls_.get(), outcome)) {
    case SSL_ERROR_WANT_READ:
      return NotNow(false);
    case SSL_ERROR_WANT_WRITE:
      return NotNow(true);
    case SSL_ERROR_ZERO_RETURN:
      return Closed();
    case SSL_ERROR_SYSCALL:
      return Failure("TLS", error);
    default:
      return Status(ErrorCode::kUnavailable, "TLS: " + TlsComplaint());
  }
}

}  // namespace sluice::mqtt
