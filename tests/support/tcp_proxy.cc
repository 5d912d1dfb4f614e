#include "tests/support/tcp_proxy.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace sluice::testing {
namespace {

constexpr size_t kLongestMarker = 64;

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::abort();
}

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// What recv gave; empty at the end of the stream.
std::string_view Receive(int fd, std::array<char, 65536>& buffer) {
  const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
  return got <= 0 ? std::string_view() : std::string_view(buffer.data(), static_cast<size_t>(got));
}

bool SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

}  // namespace

struct TcpProxy::Link {
  Link(UniqueFd from, UniqueFd to) : client(std::move(from)), server(std::move(to)) {}
  ~Link() {
    Cut();
    if (requests.joinable()) requests.join();
    if (answers.joinable()) answers.join();
  }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void Cut() const {
    shutdown(client.get(), SHUT_RDWR);
    shutdown(server.get(), SHUT_RDWR);
  }

  const UniqueFd client;
  const UniqueFd server;
  std::atomic<bool> deaf{false};  // the next answer is not passed on, and the line is cut
  std::thread requests;
  std::thread answers;
};

TcpProxy::TcpProxy(uint16_t target_port)
    : target_port_(target_port), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_.get(), generic, size) != 0 || listen(listener_.get(), 16) != 0 ||
      getsockname(listener_.get(), generic, &size) != 0) {
    Die("proxy");
  }
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] { Accept(); });
}

TcpProxy::~TcpProxy() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  shutdown(listener_.get(), SHUT_RDWR);
  accepting_.join();
  links_.clear();
}

void TcpProxy::CutAt(const std::string& marker, Cut when) {
  const std::lock_guard lock(mutex_);
  marker_ = marker;
  when_ = when;
}

void TcpProxy::CutAll() {
  const std::lock_guard lock(mutex_);
  for (const Link& link : links_) link.Cut();
}

int TcpProxy::cuts() const {
  const std::lock_guard lock(mutex_);
  return cuts_;
}

void TcpProxy::Accept() {
  for (;;) {
    UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    UniqueFd server(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    const sockaddr_in target = Loopback(target_port_);
    if (client.get() < 0 ||
        connect(server.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) {
      continue;  // the client sees its connection closed
    }
    Link& link = links_.emplace_back(std::move(client), std::move(server));
    link.requests = std::thread([this, &link] { PumpRequests(link); });
    link.answers = std::thread([this, &link] { PumpAnswers(link); });
  }
}

bool TcpProxy::Seen(std::string_view sent, Cut* when) {
  const std::lock_guard lock(mutex_);
  if (marker_.empty() || sent.find(marker_) == std::string_view::npos) return false;
  marker_.clear();
  ++cuts_;
  *when = when_;
  return true;
}

void TcpProxy::PumpRequests(Link& link) {
  std::array<char, 65536> buffer;
  std::string recent;  // a marker may come in two pieces
  for (;;) {
    const std::string_view sent = Receive(link.client.get(), buffer);
    if (sent.empty()) break;
    recent += sent;
    if (Cut when{}; Seen(recent, &when)) {
      if (when == Cut::kBeforeRequest) break;
      link.deaf = true;
    }
    if (recent.size() > kLongestMarker) recent.erase(0, recent.size() - kLongestMarker);
    if (!SendAll(link.server.get(), sent)) break;
  }
  link.Cut();
}

void TcpProxy::PumpAnswers(Link& link) {
  std::array<char, 65536> buffer;
  for (;;) {
    const std::string_view answer = Receive(link.server.get(), buffer);
    if (answer.empty() || link.deaf || !SendAll(link.client.get(), answer)) break;
  }
  link.Cut();
}

}  // namespace sluice::testing
