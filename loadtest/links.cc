#include "loadtest/links.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "base/clock.h"

namespace sluice::loadtest {
namespace {

constexpr int64_t kFirstBackoff = 50'000;  // microseconds
constexpr int64_t kMaxBackoff = 1'000'000;
constexpr int64_t kHandshakePatience = 10'000'000;
// What may be opened in one tick: one connection with TLS, whose handshake costs about half a
// millisecond here, or so many without. Publishing must not wait for more.
constexpr int kOpensPerTick = 4;
constexpr size_t kService = 0;

uint64_t Sum(const auto& links, uint64_t (Connection::*count)() const) {
  uint64_t sum = 0;
  for (const auto& link : links) sum += (link.connection.*count)();
  return sum;
}

}  // namespace

Links::Links(const LinkOptions& options, Proof proof, MessageLibrary* library, AckLog* log)
    : options_(options), proof_(proof), library_(library), log_(log) {}

Status Links::Make() {
  epoll_.Reset(::epoll_create1(EPOLL_CLOEXEC));
  const auto plain = mqtt::Resolve(options_.host, options_.port);
  if (!plain.ok()) return plain.status();
  const std::string id = "sluice-fleet-" + std::to_string(::getpid()) + "-";
  const int shared = proof_ == Proof::kLogin ? 1 : options_.connections;
  for (int i = 1; i <= shared; ++i) {
    Add({.endpoint = plain->front(),
         .client_id = id + std::to_string(i),
         .username = options_.username,
         .password = options_.password});
  }
  return proof_ == Proof::kLogin ? MakeDevices(plain->front()) : Status::Ok();
}

Status Links::MakeDevices(const mqtt::Endpoint& plain) {
  const bool tls = !options_.certificates.empty();
  Result<mqtt::TlsTrust> trust = mqtt::TlsTrust();
  if (tls) trust = mqtt::TlsTrust::Load(options_.ca_file, options_.host);
  if (!trust.ok()) return trust.status();
  const auto secure = mqtt::Resolve(options_.host, options_.tls_port);
  if (!secure.ok()) return secure.status();
  for (const Sender& sender : library_->senders()) {
    const std::string name = sender.tenant + "/" + sender.device;
    const std::string directory = options_.certificates + "/" + name;
    identity_of_.push_back(nullptr);
    link_of_.push_back(sender.may_log_in ? links_.size() : kService);
    if (!sender.may_log_in) continue;
    if (!tls || !std::filesystem::exists(directory)) {
      Add({.endpoint = plain,
           .client_id = name,
           .username = name,
           .password = TokenOf(library_->shape(), sender)});
      continue;
    }
    Result<mqtt::TlsIdentity> identity =
        mqtt::TlsIdentity::Load(*trust, directory + "/device.crt", directory + "/device.key");
    if (!identity.ok()) return identity.status();
    identity_of_.back() = &identities_.emplace_back(*std::move(identity));
    Add({.endpoint = secure->front(), .tls = identity_of_.back(), .client_id = name});
  }
  return Status::Ok();
}

void Links::Add(ConnectionOptions options) {
  options.window = options_.window;
  links_.push_back({Connection(std::move(options), library_, log_), 0, kFirstBackoff, 0});
}

Connection& Links::For(const Message& message) {
  size_t link = kService;
  if (proof_ == Proof::kPayload) {
    link = message.sender % links_.size();
  } else if (!NeedsService(message.kind)) {
    link = link_of_[message.sender];
  }
  return links_[link].connection;
}

bool Links::HasCertificate(uint32_t sender) const {
  return proof_ == Proof::kLogin && identity_of_[sender] != nullptr;
}

Status Links::Write(int64_t now) {
  Status status = OpenClosed(now);
  for (size_t i = 0; status.ok() && i < links_.size(); ++i) {
    Link& link = links_[i];
    if (!link.connection.opened()) continue;
    const bool was_ready = link.connection.ready();
    status = link.connection.Flush();
    if (status.ok() && !was_ready && now - link.opened_at > kHandshakePatience) {
      link.connection.Close();
      status = {ErrorCode::kTimeout, "the broker did not answer"};
    }
    if (!status.ok()) status = Lost(&link, status, was_ready);
  }
  return status;
}

Status Links::OpenClosed(int64_t now) {
  int opens = 0;
  for (size_t i = 0; i < links_.size() && opens < kOpensPerTick; ++i) {
    Link& link = links_[i];
    if (link.connection.opened() || now < link.retry_at) continue;
    opens += link.connection.secure() ? kOpensPerTick : 1;
    link.opened_at = now;
    const Result<int> fd = link.connection.Open();
    if (!fd.ok()) {
      Status status = Lost(&link, fd.status(), false);
      if (!status.ok()) return status;
      continue;
    }
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.u64 = i;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, *fd, &event);
  }
  return Status::Ok();
}

Status Links::Read() {
  std::array<epoll_event, 256> events;
  const int n = ::epoll_wait(epoll_.get(), events.data(), events.size(), 0);
  for (int i = 0; i < n; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    Link& link = links_[event.data.u64];
    const bool was_ready = link.connection.ready();
    Status status = link.connection.OnEvents(event.events);
    if (!status.ok()) status = Lost(&link, status, was_ready);
    if (!status.ok()) return status;
    if (link.connection.ready()) link.backoff = kFirstBackoff;
  }
  return Status::Ok();
}

Status Links::Lost(Link* link, const Status& why, bool was_ready) {
  last_trouble_ = link->connection.client_id() + ": " + why.message();
  if (was_ready && !options_.quiet) {
    std::fprintf(stderr, "connection lost: %s\n", last_trouble_.c_str());
  }
  // A broker that knows nothing of a device yet closes its connection, and knows more when it comes
  // again.
  const bool undecided =
      proof_ == Proof::kLogin && !was_ready && why.code() == ErrorCode::kUnavailable;
  const bool hopeless = why.code() == ErrorCode::kInvalidArgument;
  if (hopeless || (!options_.reconnect && !undecided)) return {why.code(), last_trouble_};
  link->retry_at = SystemClock().Monotonic() + link->backoff;
  link->backoff = std::min(2 * link->backoff, kMaxBackoff);
  return Status::Ok();
}

void Links::Disconnect() {
  for (Link& link : links_) link.connection.Disconnect();
}

void Links::Cut() {
  for (Link& link : links_) {
    link.connection.Close();
    link.retry_at = 0;
  }
}

size_t Links::ready() const {
  return static_cast<size_t>(std::count_if(
      links_.begin(), links_.end(), [](const Link& link) { return link.connection.ready(); }));
}

uint64_t Links::published() const {
  return Sum(links_, &Connection::published);
}

uint64_t Links::acknowledged() const {
  return Sum(links_, &Connection::acknowledged);
}

uint64_t Links::acknowledged_bad() const {
  return Sum(links_, &Connection::acknowledged_bad);
}

uint64_t Links::refused() const {
  return Sum(links_, &Connection::refused);
}

uint8_t Links::last_refusal() const {
  uint8_t reason = 0;
  for (const Link& link : links_) reason = std::max(reason, link.connection.last_refusal());
  return reason;
}

}  // namespace sluice::loadtest
