#include "ingest/subscriber.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/log.h"
#include "schema/topic.h"

namespace sluice {
namespace {

// A broker may answer a subscription it does not like by cutting the connection. Telemetry is worth
// more than the figure.
constexpr int kWatchAttempts = 3;
constexpr int kSilentRoundTrips = 2;  // see the header

}  // namespace

std::vector<std::string> SharedFilters(const std::vector<std::string>& topics,
                                       const std::string& group) {
  if (group.empty()) return topics;
  std::vector<std::string> filters;
  filters.reserve(topics.size());
  for (const std::string& topic : topics) filters.push_back("$share/" + group + "/" + topic);
  return filters;
}

Subscriber::Subscriber(const SubscriberOptions& options, const ClientFactory& make_client,
                       Spool& spool, Accounting& accounting, const Clock& clock, FailStop fail_stop)
    : options_(options),
      spool_(spool),
      accounting_(accounting),
      clock_(clock),
      fail_stop_(std::move(fail_stop)),
      watch_attempts_(kWatchAttempts),
      session_expected_(options.session_expected),
      client_(make_client(*this)) {}

Subscriber::~Subscriber() {
  Stop();
}

void Subscriber::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Subscriber::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Subscriber::Pause() {
  std::lock_guard lock(mutex_);
  paused_ = true;
  changed_.notify_all();
}

void Subscriber::Resume() {
  std::lock_guard lock(mutex_);
  paused_ = false;
  changed_.notify_all();
}

void Subscriber::Leave() {
  std::lock_guard lock(mutex_);
  leaving_ = true;
  changed_.notify_all();
}

std::optional<uint64_t> Subscriber::broker_dropped() const {
  const int64_t dropped = broker_dropped_.load(std::memory_order_relaxed);
  return dropped < 0 ? std::nullopt : std::optional<uint64_t>(dropped);
}

std::string Subscriber::problem() const {
  std::lock_guard lock(mutex_);
  return problem_;
}

void Subscriber::OnConnected(bool session_present) noexcept {
  spool_.OnReconnect(session_present);
  LogInfo("mqtt_connected", {{"session_present", session_present}});
  if (std::exchange(session_expected_, true) && !session_present) {
    LogWarning("mqtt_session_lost",
               {{"meaning", "the broker has forgotten us and whatever it had queued for us"}});
  }
}

void Subscriber::OnMessages(std::span<const ArrivedMessage> messages) noexcept {
  const UnixMicros now = clock_.Now();
  uint64_t arrived = 0;
  batch_.clear();
  for (const ArrivedMessage& message : messages) {
    if (message.topic == kDroppedTopic) {
      OnDropped(message.payload);
      continue;
    }
    ++arrived;
    if (IsOtherChannel(message.topic)) {
      accounting_.Ignored();
      continue;
    }
    batch_.push_back({.topic = message.topic,
                      .payload = message.payload,
                      .stamp = message.stamp,
                      .received = now,
                      .duplicate = message.duplicate,
                      .packet_id = message.packet_id});
  }
  arrived_.fetch_add(arrived, std::memory_order_relaxed);
  if (batch_.empty()) return;
  const Result<uint64_t> duplicates = spool_.Append(batch_);
  if (!duplicates.ok()) return fail_stop_(duplicates.status());
  accounting_.Duplicates(*duplicates);
}

void Subscriber::OnDropped(std::string_view figure) {
  int64_t dropped = -1;
  const auto [end, error] = std::from_chars(figure.begin(), figure.end(), dropped);
  if (error != std::errc() || end != figure.end() || dropped < 0) return;
  const int64_t before = broker_dropped_.exchange(dropped, std::memory_order_relaxed);
  if (dropped > std::max<int64_t>(before, 0)) {
    LogWarning("broker_dropped_messages",
               {{"since_its_start", dropped}, {"last_known", std::max<int64_t>(before, 0)}});
  }
}

void Subscriber::OnConnectionLost(const std::string& why) noexcept {
  LogWarning("mqtt_connection_lost", {{"reason", why}});
  std::lock_guard lock(mutex_);
  ready_.store(false, std::memory_order_release);
  subscribing_.store(false, std::memory_order_release);
  lost_ = true;
  problem_ = "connection to the broker lost: " + why;
  changed_.notify_all();
}

Status Subscriber::ConnectAndSubscribe(bool leaving) {
  arrived_before_ = arrived_.load(std::memory_order_relaxed);
  if (Status status = client_->Connect(); !status.ok()) return status;
  connects_.fetch_add(1, std::memory_order_relaxed);
  if (leaving) return Status::Ok();
  // Also when the session is present: the topics may have changed since it was made.
  if (Status status = Subscribe(); !status.ok()) {
    subscribing_.store(false, std::memory_order_release);
    client_->Disconnect();
    return status;
  }
  WatchDrops();
  return Status::Ok();
}

Status Subscriber::Subscribe() {
  {
    std::lock_guard lock(mutex_);
    if (!lost_) {
      problem_ = "connected, waiting for the answer to SUBSCRIBE";
      subscribing_.store(true, std::memory_order_release);
    }
  }
  return client_->Subscribe(options_.filters);
}

void Subscriber::WatchDrops() {
  if (watch_attempts_ == 0) return;
  const Status status = client_->Watch(std::string(kDroppedTopic));
  if (status.ok()) {
    watch_attempts_ = kWatchAttempts;
    return;
  }
  watch_attempts_ = status.code() == ErrorCode::kRejected ? 0 : watch_attempts_ - 1;
  if (watch_attempts_ == 0) LogWarning("broker_drops_unknown", {{"reason", status.message()}});
}

bool Subscriber::Interrupted() const {
  std::lock_guard lock(mutex_);
  return stopping_ || paused_ || lost_;
}

Status Subscriber::EmptyTheQueueAndEndTheSession() {
  for (int silent = 0; silent < kSilentRoundTrips;) {
    if (Interrupted()) return {ErrorCode::kCancelled, "leaving: interrupted"};
    const uint64_t before = arrived_.load(std::memory_order_relaxed);
    const Status answered = client_->Unsubscribe(options_.filters);
    const bool came = arrived_.load(std::memory_order_relaxed) != before;
    // An answer that is late behind messages is no reason to give the connection up.
    if (!answered.ok() && (!came || answered.code() == ErrorCode::kRejected)) return answered;
    silent = came ? 0 : silent + 1;
  }
  return client_->EndSession();
}

bool Subscriber::TryToLeave(std::unique_lock<std::mutex>& lock) {
  problem_ = "leaving: taking what the broker still holds";
  lock.unlock();
  const Status status = EmptyTheQueueAndEndTheSession();
  lock.lock();
  if (status.ok()) {
    left_.store(true, std::memory_order_release);
    LogInfo("mqtt_left");
    return true;
  }
  if (status.code() != ErrorCode::kCancelled) {
    problem_ = status.message();
    LogWarning("mqtt_leave_failed", {{"reason", status.message()}});
  }
  return false;
}

void Subscriber::StayConnected(std::unique_lock<std::mutex>& lock) {
  if (!lost_) {
    ready_.store(true, std::memory_order_release);
    subscribing_.store(false, std::memory_order_release);
    problem_.clear();
    LogInfo("mqtt_subscribed", {{"filters", options_.filters.size()}});
  }
  changed_.wait(lock, [this] { return stopping_ || paused_ || lost_ || leaving_; });
  ready_.store(false, std::memory_order_release);
}

void Subscriber::Run() {
  Backoff backoff(options_.reconnect_min, options_.reconnect_max);
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (paused_) {
      problem_ = "paused: the spool is full";
      changed_.wait(lock, [this] { return stopping_ || !paused_; });
      continue;
    }
    lost_ = false;
    const bool leaving = leaving_;
    lock.unlock();
    const Status status = ConnectAndSubscribe(leaving);
    lock.lock();
    if (!status.ok()) {
      const auto wait = backoff.Next();
      problem_ = status.message();
      LogWarning("mqtt_connect_failed",
                 {{"reason", status.message()}, {"retry_in_ms", wait.count()}});
      changed_.wait_for(lock, wait, [this] { return stopping_; });
      continue;
    }
    if (!leaving) {
      backoff.Reset();
      StayConnected(lock);
    }
    if (leaving_ && TryToLeave(lock)) break;
    const bool lost = lost_;
    lock.unlock();
    if (!lost) client_->Disconnect();
    lock.lock();
    if (lost || leaving_) changed_.wait_for(lock, backoff.Next(), [this] { return stopping_; });
  }
  problem_ = left() ? "left for good" : "stopped";
}

}  // namespace sluice
