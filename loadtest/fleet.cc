#include "loadtest/fleet.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <random>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "loadtest/ack_log.h"
#include "loadtest/pacer.h"
#include "loadtest/status_line.h"

namespace sluice::loadtest {
namespace {

constexpr int64_t kTick = 1000;  // all times here are microseconds
constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kMillisecond = 1000;
constexpr int64_t kLogFlush = 100'000;
constexpr int64_t kConnectPatience = 15 * kSecond;  // for the next one to be ready

void SleepUntil(int64_t monotonic) {
  const timespec when = {monotonic / kSecond, monotonic % kSecond * 1000};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr);
}

int64_t Micros(double seconds) {
  return static_cast<int64_t>(seconds * 1e6);
}

Timetable TimetableOf(const FleetOptions& options) {
  return {.rate = options.rate,
          .count = options.count,
          .duration_us = options.seconds * kSecond,
          .burst_every_us = Micros(options.burst_every),
          .burst_size = options.burst_size,
          .storm_every_us = Micros(options.storm_every)};
}

class Fleet {
 public:
  Fleet(const FleetOptions& options, const volatile std::sig_atomic_t* stop, AckLog log)
      : options_(options),
        stop_(stop),
        library_(options.shape, options.message),
        log_(std::move(log)),
        links_(options.links, options.message.proof, &library_, &log_),
        pacer_(TimetableOf(options)),
        random_(options.seed),
        next_seq_(library_.senders().size(), options.first_seq) {}

  Status Run(FleetReport* report);

 private:
  Status ConnectAll();
  Status PublishAll();
  Status Drain();
  Status Tick();
  void Report() const;
  void SendDue(uint64_t due);
  // Makes message `index` of the timetable the next one to go.
  void Plan(uint64_t index);
  void PlanWrongToken();
  void ShowProgress(int64_t now);
  void Fill(FleetReport* report) const;
  uint64_t Outstanding() const {
    return links_.published() - links_.acknowledged() - links_.refused();
  }

  const FleetOptions& options_;
  const volatile std::sig_atomic_t* const stop_;
  MessageLibrary library_;
  AckLog log_;
  Links links_;
  const Pacer pacer_;
  std::mt19937_64 random_;

  Message planned_;                 // the next message to go; not sent while its connection is full
  uint32_t turn_ = 0;               // the good sender whose turn is next
  std::vector<uint64_t> next_seq_;  // by sender
  std::vector<uint32_t> with_token_;  // the good senders that show no certificate
  uint64_t sent_ = 0;
  std::string time_text_;  // FormatTime(planned_.time)
  UnixMicros epoch_ = 0;   // the wall clock at started_
  int64_t started_ = 0;    // monotonic
  int64_t ended_ = 0;
  int64_t lag_max_ = 0;
  int64_t log_flushed_ = 0;
  uint64_t storms_ = 0;
  StatusLine line_{stderr};
  int64_t shown_ = 0;
  uint64_t shown_sent_ = 0;
};

Status Fleet::Run(FleetReport* report) {
  Status status = links_.Make();
  for (uint32_t i = 0; status.ok() && i < static_cast<uint32_t>(options_.shape.devices); ++i) {
    if (!links_.HasCertificate(i)) with_token_.push_back(i);
  }
  if (status.ok()) status = ConnectAll();
  if (status.ok()) status = PublishAll();
  if (status.ok() && !options_.quiet && line_.terminal()) ShowProgress(ended_ + 1);
  if (status.ok()) status = Drain();
  links_.Disconnect();
  const Status flushed = log_.Flush();
  Report();
  Fill(report);
  return status.ok() ? flushed : status;
}

Status Fleet::ConnectAll() {
  size_t ready = 0;
  int64_t deadline = SystemClock().Monotonic() + kConnectPatience;
  while (links_.ready() < links_.size()) {
    if (*stop_ != 0) return {ErrorCode::kCancelled, "stopped while connecting"};
    const int64_t now = SystemClock().Monotonic();
    if (std::exchange(ready, links_.ready()) < links_.ready()) deadline = now + kConnectPatience;
    if (now > deadline) {
      return {ErrorCode::kTimeout, "the broker accepts only " + std::to_string(ready) + " of " +
                                       std::to_string(links_.size()) +
                                       " connections; the last trouble: " + links_.last_trouble()};
    }
    Status status = Tick();
    if (!status.ok()) return status;
  }
  return Status::Ok();
}

Status Fleet::PublishAll() {
  started_ = shown_ = SystemClock().Monotonic();
  epoch_ = SystemClock().Now();
  Plan(0);
  for (;;) {
    const int64_t elapsed = SystemClock().Monotonic() - started_;
    const uint64_t due = pacer_.DueBy(elapsed);
    if (sent_ < due) lag_max_ = std::max(lag_max_, elapsed - pacer_.DueAt(sent_));
    SendDue(due);
    ended_ = SystemClock().Monotonic();
    if (*stop_ != 0 || (pacer_.Over(elapsed) && sent_ == due)) return Status::Ok();
    const uint64_t storms = pacer_.StormsBy(elapsed);
    if (std::exchange(storms_, storms) < storms) links_.Cut();
    Status status = Tick();
    if (!status.ok()) return status;
    if (!options_.quiet && ended_ - shown_ >= kSecond) ShowProgress(ended_);
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
  Status status = links_.Write(now);
  if (status.ok() && now - log_flushed_ >= kLogFlush) {
    status = log_.Flush();
    log_flushed_ = now;
  }
  if (!status.ok()) return status;
  Report();
  SleepUntil((now / kTick + 1) * kTick);
  return links_.Read();
}

void Fleet::Report() const {
  if (options_.progress == nullptr) return;
  options_.progress->published.store(sent_, std::memory_order_relaxed);
  options_.progress->acknowledged.store(links_.acknowledged(), std::memory_order_relaxed);
}

// A connection that is away or slow keeps its messages until it is back. Only one whose window is
// full stops the others: order per device matters more.
void Fleet::SendDue(uint64_t due) {
  for (; sent_ < due; ++sent_) {
    Connection& connection = links_.For(planned_);
    if (!connection.HasRoom()) return;
    connection.Send(planned_, time_text_);
    Plan(sent_ + 1);
  }
}

void Fleet::Plan(uint64_t index) {
  const UnixMicros due = epoch_ + pacer_.DueAt(index);
  const UnixMicros grain = due - due % kMillisecond;
  if (planned_.time != grain) time_text_ = FormatTime(planned_.time = grain);
  const double draw = std::uniform_real_distribution<double>(0, 100)(random_);
  const double bad = static_cast<double>(options_.bad_kinds.size()) * options_.bad_percent;
  planned_.kind = draw < bad ? options_.bad_kinds[static_cast<size_t>(draw / options_.bad_percent)]
                             : Kind::kGood;
  planned_.sender = SenderOf(options_.shape, planned_.kind, turn_);
  if (planned_.kind == Kind::kWrongToken) PlanWrongToken();
  planned_.seq = next_seq_[planned_.sender];
  next_seq_[planned_.sender] += library_.readings();
  turn_ = (turn_ + 1) % static_cast<uint32_t>(options_.shape.devices);
}

// Nobody asks for the token where a certificate is the proof; so another device has it wrong.
void Fleet::PlanWrongToken() {
  if (with_token_.empty()) {
    planned_.kind = Kind::kGood;
  } else {
    planned_.sender = with_token_[turn_ % with_token_.size()];
  }
}

void Fleet::ShowProgress(int64_t now) {
  const double rate =
      static_cast<double>(sent_ - shown_sent_) * 1e6 / static_cast<double>(now - shown_);
  const uint64_t due = pacer_.DueBy(now - started_);
  std::array<char, 128> text;
  std::snprintf(
      text.data(), text.size(), "%4lld s  published %.0f/s  outstanding %llu  behind %llu",
      static_cast<long long>((now - started_) / kSecond), rate,
      static_cast<unsigned long long>(Outstanding()), static_cast<unsigned long long>(due - sent_));
  const double share = pacer_.Share(sent_);
  const bool bar = line_.terminal() && share >= 0;
  line_.Show((bar ? ProgressBar(share) : "") + text.data());
  shown_ = now;
  shown_sent_ = sent_;
}

void Fleet::Fill(FleetReport* report) const {
  report->published = links_.published();
  report->acknowledged = links_.acknowledged();
  report->bad = links_.acknowledged_bad();
  report->refused = links_.refused();
  report->refusal = links_.last_refusal();
  report->good = report->acknowledged - report->bad;
  report->seconds = static_cast<double>(ended_ - started_) / 1e6;
  report->lag_ms_max = lag_max_ / 1000;
}

}  // namespace

std::string FleetReport::Line() const {
  std::array<char, 256> text;
  const int length = std::snprintf(
      text.data(), text.size(),
      "published=%llu acknowledged=%llu good=%llu bad=%llu seconds=%.3f rate=%.0f lag_ms_max=%lld "
      "refused=%llu",
      static_cast<unsigned long long>(published), static_cast<unsigned long long>(acknowledged),
      static_cast<unsigned long long>(good), static_cast<unsigned long long>(bad), seconds,
      seconds > 0 ? static_cast<double>(published) / seconds : 0.0,
      static_cast<long long>(lag_ms_max), static_cast<unsigned long long>(refused));
  return {text.data(), static_cast<size_t>(length)};
}

Status RunFleet(const FleetOptions& options, const volatile std::sig_atomic_t* stop,
                FleetReport* report) {
  // A broker that goes away is seen by its connection; every connection is a descriptor.
  std::signal(SIGPIPE, SIG_IGN);
  rlimit descriptors{};
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
  Result<AckLog> log = AckLog::Open(options.ack_log, Senders(options.shape));
  if (!log.ok()) return log.status();
  return Fleet(options, stop, *std::move(log)).Run(report);
}

}  // namespace sluice::loadtest
