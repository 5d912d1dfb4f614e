#include "loadtest/fleet.h"

#include <netdb.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <random>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "loadtest/ack_log.h"
#include "loadtest/connection.h"
#include "loadtest/pacer.h"

namespace sluice::loadtest {
namespace {

constexpr int64_t kTick = 1000;  // all times here are microseconds
constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kLogFlush = 100'000;
constexpr int64_t kConnectPatience = 10 * kSecond;
constexpr int64_t kFirstBackoff = 50'000;
constexpr int64_t kMaxBackoff = kSecond;

Status Resolve(const FleetOptions& options, ConnectionOptions* connection) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int rc =
      ::getaddrinfo(options.host.c_str(), std::to_string(options.port).c_str(), &hints, &found);
  if (rc != 0) return {ErrorCode::kNotFound, options.host + ": " + ::gai_strerror(rc)};
  std::memcpy(&connection->address, found->ai_addr, found->ai_addrlen);
  connection->address_length = found->ai_addrlen;
  ::freeaddrinfo(found);
  return Status::Ok();
}

void SleepUntil(int64_t monotonic) {
  const timespec when = {monotonic / kSecond, monotonic % kSecond * 1000};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr);
}

class Fleet {
 public:
  Fleet(const FleetOptions& options, const volatile std::sig_atomic_t* stop, AckLog log)
      : options_(options),
        stop_(stop),
        library_(options.shape, options.message),
        log_(std::move(log)),
        pacer_(options.rate, options.count, options.seconds * kSecond),
        random_(options.seed),
        next_seq_(library_.senders().size(), options.first_seq) {}

  Status Run(FleetReport* report);

 private:
  struct Link {
    std::unique_ptr<Connection> connection;
    int64_t retry_at = 0;
    int64_t backoff = kFirstBackoff;
  };

  Status Start();
  Status ConnectAll();
  Status PublishAll();
  Status Drain();
  Status Tick();
  Status OpenClosed(int64_t now);
  Status HandleEvents();
  Status FlushAll(int64_t now);
  Status Lost(Link* link, const Status& why);
  void SendDue(uint64_t due, UnixMicros now);
  void Plan();
  void ShowProgress(int64_t now);
  void Fill(FleetReport* report) const;
  uint64_t Outstanding() const;

  const FleetOptions& options_;
  const volatile std::sig_atomic_t* const stop_;
  MessageLibrary library_;
  AckLog log_;
  const Pacer pacer_;
  std::mt19937_64 random_;
  UniqueFd epoll_;
  std::vector<Link> links_;

  Message planned_;                 // the next message to go; not sent while its connection is full
  uint32_t turn_ = 0;               // the good sender whose turn is next
  std::vector<uint64_t> next_seq_;  // by sender
  uint64_t sent_ = 0;
  int64_t started_ = 0;  // monotonic
  int64_t ended_ = 0;
  int64_t lag_max_ = 0;
  int64_t log_flushed_ = 0;
  int64_t shown_ = 0;
  uint64_t shown_sent_ = 0;
};

Status Fleet::Run(FleetReport* report) {
  Status status = Start();
  if (status.ok()) status = ConnectAll();
  if (status.ok()) status = PublishAll();
  if (status.ok()) status = Drain();
  const Status flushed = log_.Flush();
  for (Link& link : links_) link.connection->Disconnect();
  Fill(report);
  return status.ok() ? flushed : status;
}

Status Fleet::Start() {
  epoll_.Reset(::epoll_create1(EPOLL_CLOEXEC));
  ConnectionOptions connection;
  connection.username = options_.username;
  connection.password = options_.password;
  connection.window = options_.window;
  Status status = Resolve(options_, &connection);
  if (!status.ok()) return status;
  for (int i = 0; i < options_.connections; ++i) {
    const std::string id =
        "sluice-fleet-" + std::to_string(::getpid()) + "-" + std::to_string(i + 1);
    links_.push_back({std::make_unique<Connection>(connection, id, &library_, &log_)});
  }
  return Status::Ok();
}

Status Fleet::ConnectAll() {
  const int64_t deadline = SystemClock().Monotonic() + kConnectPatience;
  const auto ready = [](const Link& link) { return link.connection->ready(); };
  while (!std::all_of(links_.begin(), links_.end(), ready)) {
    if (*stop_ != 0) return {ErrorCode::kCancelled, "stopped while connecting"};
    if (SystemClock().Monotonic() > deadline) {
      return {ErrorCode::kTimeout, "the broker does not accept the connections"};
    }
    Status status = Tick();
    if (!status.ok()) return status;
  }
  return Status::Ok();
}

Status Fleet::PublishAll() {
  started_ = shown_ = SystemClock().Monotonic();
  Plan();
  for (;;) {
    const int64_t elapsed = SystemClock().Monotonic() - started_;
    const uint64_t due = pacer_.DueBy(elapsed);
    if (sent_ < due) lag_max_ = std::max(lag_max_, elapsed - pacer_.DueAt(sent_));
    SendDue(due, SystemClock().Now());
    ended_ = SystemClock().Monotonic();
    if (*stop_ != 0 || (pacer_.Over(elapsed) && sent_ == due)) return Status::Ok();
    Status status = Tick();
    if (!status.ok()) return status;
    if (!options_.quiet) ShowProgress(ended_);
  }
}

Status Fleet::Drain() {
  const int64_t deadline = SystemClock().Monotonic() + options_.drain_seconds * kSecond;
  while (Outstanding() > 0 && SystemClock().Monotonic() < deadline) {
    Status status = Tick();
    if (!status.ok()) return status;
  }
  return Status::Ok();
}

// Everything but making messages, once: the sockets are looked at once a tick, not at every
// acknowledgement, which is what makes a message cheap.
Status Fleet::Tick() {
  const int64_t now = SystemClock().Monotonic();
  Status status = OpenClosed(now);
  if (status.ok()) status = FlushAll(now);
  if (status.ok() && now - log_flushed_ >= kLogFlush) {
    status = log_.Flush();
    log_flushed_ = now;
  }
  if (!status.ok()) return status;
  SleepUntil((now / kTick + 1) * kTick);
  return HandleEvents();
}

Status Fleet::OpenClosed(int64_t now) {
  for (size_t i = 0; i < links_.size(); ++i) {
    Link& link = links_[i];
    if (link.connection->opened() || now < link.retry_at) continue;
    const Result<int> fd = link.connection->Open();
    if (!fd.ok()) {
      Status status = Lost(&link, fd.status());
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

Status Fleet::HandleEvents() {
  std::array<epoll_event, 256> events;
  const int n = ::epoll_wait(epoll_.get(), events.data(), events.size(), 0);
  for (int i = 0; i < n; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    Link& link = links_[event.data.u64];
    const bool was_ready = link.connection->ready();
    Status status = link.connection->OnEvents(event.events);
    if (!status.ok() && was_ready && !options_.quiet) {
      std::fprintf(stderr, "connection lost: %s\n", status.message().c_str());
    }
    if (!status.ok()) status = Lost(&link, status);
    if (!status.ok()) return status;
    if (link.connection->ready()) link.backoff = kFirstBackoff;
  }
  return Status::Ok();
}

Status Fleet::FlushAll(int64_t now) {
  for (Link& link : links_) {
    if (!link.connection->opened() || now < link.retry_at) continue;
    Status status = link.connection->Flush();
    if (!status.ok()) status = Lost(&link, status);
    if (!status.ok()) return status;
  }
  return Status::Ok();
}

Status Fleet::Lost(Link* link, const Status& why) {
  if (!options_.reconnect) return why;
  link->retry_at = SystemClock().Monotonic() + link->backoff;
  link->backoff = std::min(2 * link->backoff, kMaxBackoff);
  return Status::Ok();
}

// Stops at the first message whose connection has no room: order per device matters more than
// keeping the other connections busy, and they all lead to the same broker.
void Fleet::SendDue(uint64_t due, UnixMicros now) {
  if (sent_ >= due) return;
  const std::string time_text = FormatTime(now);
  while (sent_ < due) {
    Connection& connection = *links_[planned_.sender % links_.size()].connection;
    if (!connection.ready() || !connection.HasRoom()) return;
    planned_.time = now;
    connection.Send(planned_, time_text);
    ++sent_;
    Plan();
  }
}

void Fleet::Plan() {
  const double draw = std::uniform_real_distribution<double>(0, 100)(random_);
  const double bad = static_cast<double>(options_.bad_kinds.size()) * options_.bad_percent;
  planned_.kind = draw < bad ? options_.bad_kinds[static_cast<size_t>(draw / options_.bad_percent)]
                             : Kind::kGood;
  planned_.sender = SenderOf(options_.shape, planned_.kind, turn_);
  planned_.seq = next_seq_[planned_.sender];
  next_seq_[planned_.sender] += library_.readings();
  turn_ = (turn_ + 1) % static_cast<uint32_t>(options_.shape.devices);
}

void Fleet::ShowProgress(int64_t now) {
  if (now - shown_ < kSecond) return;
  const double rate =
      static_cast<double>(sent_ - shown_sent_) * 1e6 / static_cast<double>(now - shown_);
  const uint64_t due = pacer_.DueBy(now - started_);
  std::fprintf(stderr, "%4lld s  published %.0f/s  outstanding %llu  behind %llu\n",
               static_cast<long long>((now - started_) / kSecond), rate,
               static_cast<unsigned long long>(Outstanding()),
               static_cast<unsigned long long>(due - sent_));
  shown_ = now;
  shown_sent_ = sent_;
}

void Fleet::Fill(FleetReport* report) const {
  for (const Link& link : links_) {
    report->published += link.connection->published();
    report->acknowledged += link.connection->acknowledged();
    report->bad += link.connection->acknowledged_bad();
  }
  report->good = report->acknowledged - report->bad;
  report->seconds = static_cast<double>(ended_ - started_) / 1e6;
  report->lag_ms_max = lag_max_ / 1000;
}

uint64_t Fleet::Outstanding() const {
  uint64_t sum = 0;
  for (const Link& link : links_) sum += link.connection->outstanding();
  return sum;
}

}  // namespace

std::string FleetReport::Line() const {
  std::array<char, 256> text;
  const int length = std::snprintf(
      text.data(), text.size(),
      "published=%llu acknowledged=%llu good=%llu bad=%llu seconds=%.3f rate=%.0f lag_ms_max=%lld",
      static_cast<unsigned long long>(published), static_cast<unsigned long long>(acknowledged),
      static_cast<unsigned long long>(good), static_cast<unsigned long long>(bad), seconds,
      seconds > 0 ? static_cast<double>(published) / seconds : 0.0,
      static_cast<long long>(lag_ms_max));
  return {text.data(), static_cast<size_t>(length)};
}

Status RunFleet(const FleetOptions& options, const volatile std::sig_atomic_t* stop,
                FleetReport* report) {
  Result<AckLog> log = AckLog::Open(options.ack_log, Senders(options.shape));
  if (!log.ok()) return log.status();
  return Fleet(options, stop, *std::move(log)).Run(report);
}

}  // namespace sluice::loadtest
