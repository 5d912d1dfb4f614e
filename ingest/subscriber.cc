#include "ingest/subscriber.h"

#include <utility>

#include "base/log.h"
#include "schema/topic.h"

namespace sluice {

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

std::string Subscriber::problem() const {
  std::lock_guard lock(mutex_);
  return problem_;
}

void Subscriber::OnConnected(bool session_present) noexcept {
  spool_.OnReconnect(session_present);
  LogInfo("mqtt_connected", {{"session_present", session_present}});
}

void Subscriber::OnMessage(const ArrivedMessage& message) noexcept {
  if (IsOtherChannel(message.topic)) {
    accounting_.Ignored();
    return;
  }
  const auto appended = spool_.Append({.topic = message.topic,
                                       .payload = message.payload,
                                       .stamp = message.stamp,
                                       .received = clock_.Now(),
                                       .duplicate = message.duplicate});
  if (!appended.ok()) {
    fail_stop_(appended.status());
  } else if (*appended == AppendOutcome::kDuplicate) {
    accounting_.Duplicate();
  }
}

void Subscriber::OnConnectionLost(const std::string& why) noexcept {
  ready_.store(false, std::memory_order_release);
  LogWarning("mqtt_connection_lost", {{"reason", why}});
  std::lock_guard lock(mutex_);
  lost_ = true;
  problem_ = "connection to the broker lost: " + why;
  changed_.notify_all();
}

Status Subscriber::ConnectAndSubscribe() {
  if (Status status = client_->Connect(); !status.ok()) return status;
  connects_.fetch_add(1, std::memory_order_relaxed);
  // Also when the session is present: the topics may have changed since it was made.
  if (Status status = client_->Subscribe(options_.filters); !status.ok()) {
    client_->Disconnect();
    return status;
  }
  return Status::Ok();
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
    lock.unlock();
    const Status status = ConnectAndSubscribe();
    lock.lock();
    if (!status.ok()) {
      const auto wait = backoff.Next();
      problem_ = status.message();
      LogWarning("mqtt_connect_failed",
                 {{"reason", status.message()}, {"retry_in_ms", wait.count()}});
      changed_.wait_for(lock, wait, [this] { return stopping_; });
      continue;
    }
    backoff.Reset();
    if (!lost_) {
      ready_.store(true, std::memory_order_release);
      problem_.clear();
      LogInfo("mqtt_subscribed", {{"filters", options_.filters.size()}});
    }
    changed_.wait(lock, [this] { return stopping_ || paused_ || lost_; });
    ready_.store(false, std::memory_order_release);
    const bool lost = lost_;
    lock.unlock();
    if (!lost) client_->Disconnect();
    lock.lock();
    if (lost) changed_.wait_for(lock, backoff.Next(), [this] { return stopping_; });
  }
  problem_ = "stopped";
}

}  // namespace sluice
