#include "tests/support/tcp_proxy.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

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

using Buffer = std::array<char, 65536>;

// What recv gave; empty at the end of the stream.
std::string_view Receive(int fd, Buffer& buffer) {
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

// As the clients behind it do: else small requests wait for each other's acknowledgement.
void SendAtOnce(int fd) {
  const int on = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void CloseWithReset(int fd) {
  // Disconnecting a TCP socket sends RST on Linux and wakes whoever waits in recv.
  const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
  // By number: ThreadSanitizer takes connect for the making of the descriptor.
  (void)syscall(SYS_connect, fd, &nobody, sizeof nobody);
}

}  // namespace

struct TcpProxy::Link {
  Link(int n, UniqueFd from, UniqueFd to)
      : number(n), client(std::move(from)), server(std::move(to)) {}
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
  // When one direction has ended.
  void End() const {
    if (!half_open) Cut();
  }

  const int number;
  const UniqueFd client;
  const UniqueFd server;
  std::atomic<bool> deaf{false};  // the next answer is not passed on, and the line is cut
  std::atomic<bool> half_open{false};
  std::thread requests;
  std::thread answers;
};

TcpProxy::TcpProxy(uint16_t target_port, Tap tap)
    : target_port_(target_port),
      tap_(std::move(tap)),
      listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
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
  changed_.notify_all();
  shutdown(listener_.get(), SHUT_RDWR);
  accepting_.join();
  links_.clear();
}

void TcpProxy::SetStep(const std::string& marker, Step step) {
  const std::lock_guard lock(mutex_);
  marker_ = marker;
  step_ = step;
}

void TcpProxy::CutAt(const std::string& marker, Cut when) {
  SetStep(marker, when == Cut::kBeforeRequest ? Step::kCutBeforeRequest : Step::kCutBeforeAnswer);
}

void TcpProxy::CutInNextAnswer() {
  const std::lock_guard lock(mutex_);
  cut_in_answer_ = true;
}

bool TcpProxy::TakeCutInAnswer() {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(cut_in_answer_, false)) return false;
  ++cuts_;
  return true;
}

int TcpProxy::cuts() const {
  const std::lock_guard lock(mutex_);
  return cuts_;
}

void TcpProxy::HoldAt(const std::string& marker) {
  SetStep(marker, Step::kHold);
}

bool TcpProxy::holding() const {
  const std::lock_guard lock(mutex_);
  return holding_;
}

void TcpProxy::Release() {
  const std::lock_guard lock(mutex_);
  holding_ = false;
  changed_.notify_all();
}

void TcpProxy::ForEachLink(const std::function<void(Link&)>& action) {
  const std::lock_guard lock(mutex_);
  for (Link& link : links_) action(link);
}

void TcpProxy::CutAll() {
  ForEachLink([](Link& link) { link.Cut(); });
}

void TcpProxy::ResetAll() {
  ForEachLink([](Link& link) {
    CloseWithReset(link.client.get());
    CloseWithReset(link.server.get());
  });
}

void TcpProxy::HalfOpenAll() {
  ForEachLink([](Link& link) {
    link.half_open = true;
    shutdown(link.server.get(), SHUT_RDWR);
  });
}

void TcpProxy::Stall(bool on) {
  const std::lock_guard lock(mutex_);
  stalled_ = on;
  changed_.notify_all();
}

void TcpProxy::Refuse(bool on) {
  const std::lock_guard lock(mutex_);
  refusing_ = on;
}

void TcpProxy::LimitTo(size_t bytes_per_second) {
  const std::lock_guard lock(mutex_);
  bytes_per_second_ = bytes_per_second;
  changed_.notify_all();
}

void TcpProxy::Accept() {
  for (int number = 0;; ++number) {
    UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    UniqueFd server(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    const sockaddr_in target = Loopback(target_port_);
    if (client.get() < 0 || refusing_ ||
        connect(server.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) {
      continue;  // the client sees its connection closed
    }
    SendAtOnce(client.get());
    SendAtOnce(server.get());
    Link& link = links_.emplace_back(number, std::move(client), std::move(server));
    link.requests = std::thread([this, &link] { PumpRequests(link); });
    link.answers = std::thread([this, &link] { PumpAnswers(link); });
  }
}

TcpProxy::Step TcpProxy::StepFor(std::string_view recent, size_t fresh) {
  const std::lock_guard lock(mutex_);
  if (marker_.empty()) return Step::kNone;
  // It must end in what is fresh: what was sent before the step was asked for does not count.
  const size_t begin = recent.size() - std::min(recent.size(), fresh + marker_.size() - 1);
  if (recent.find(marker_, begin) == std::string_view::npos) return Step::kNone;
  marker_.clear();
  if (step_ == Step::kHold) {
    holding_ = true;
  } else {
    ++cuts_;
  }
  return step_;
}

bool TcpProxy::WaitToPass(size_t bytes) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || !stalled_; });
  if (const size_t limit = bytes_per_second_; limit > 0) {
    const std::chrono::microseconds takes(bytes * 1'000'000 / limit);
    changed_.wait_for(lock, takes, [&] { return stopping_ || bytes_per_second_ != limit; });
  }
  return !stopping_;
}

bool TcpProxy::WaitForRelease() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || !holding_; });
  return !stopping_;
}

void TcpProxy::PumpRequests(Link& link) {
  Buffer buffer;
  std::string recent;  // a marker may come in two pieces
  for (;;) {
    const std::string_view sent = Receive(link.client.get(), buffer);
    if (sent.empty()) break;
    if (tap_) tap_(link.number, true, sent);
    recent += sent;
    const Step step = StepFor(recent, sent.size());
    if (step == Step::kCutBeforeRequest) break;
    if (step == Step::kCutBeforeAnswer) link.deaf = true;
    if (step == Step::kHold && !WaitForRelease()) break;
    if (recent.size() > kLongestMarker) recent.erase(0, recent.size() - kLongestMarker);
    if (!WaitToPass(sent.size())) break;
    if (!SendAll(link.server.get(), sent) && !link.half_open) break;
  }
  link.End();
}

void TcpProxy::PumpAnswers(Link& link) {
  Buffer buffer;
  for (;;) {
    std::string_view answer = Receive(link.server.get(), buffer);
    if (answer.empty() || link.deaf) break;
    const bool last = TakeCutInAnswer();
    if (last) answer = answer.substr(0, answer.size() / 2);
    if (tap_) tap_(link.number, false, answer);
    if (!WaitToPass(answer.size()) || !SendAll(link.client.get(), answer) || last) break;
  }
  link.End();
}

}  // namespace sluice::testing
