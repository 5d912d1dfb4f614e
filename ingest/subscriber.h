// Subscriber: takes messages off the broker into the spool, and keeps doing so: connects,
// subscribes after every connect, comes back after a loss with jittered backoff, and stays away
// while told to pause.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/backoff.h"
#include "base/clock.h"
#include "ingest/accounting.h"
#include "ingest/mqtt_client.h"
#include "ingest/spool/spool.h"

namespace sluice {

struct SubscriberOptions {
  std::vector<std::string> filters;  // with $share/{group}/ in front already, if wanted
  std::chrono::milliseconds reconnect_min{500};
  std::chrono::milliseconds reconnect_max{30000};
};

// `$share/{group}/{topic}` for each topic; the topics as they are when group is empty.
std::vector<std::string> SharedFilters(const std::vector<std::string>& topics,
                                       const std::string& group);

class Subscriber final : public MqttEvents {
 public:
  using ClientFactory = std::function<std::unique_ptr<MqttClient>(MqttEvents&)>;
  // Called when a message could not be made durable; must not return. The message stays
  // unacknowledged and comes again.
  using FailStop = std::function<void(const Status&)>;

  Subscriber(const SubscriberOptions& options, const ClientFactory& make_client, Spool& spool,
             Accounting& accounting, const Clock& clock, FailStop fail_stop);
  ~Subscriber() override;

  void Start();
  // Disconnects for good and waits for it; the session stays at the broker.
  void Stop();
  // Disconnects until Resume: the broker keeps what comes. Returns at once.
  void Pause();
  void Resume();

  // Connected and subscribed. Reads an atomic: Paho's own isConnected takes its global mutex.
  bool ready() const { return ready_.load(std::memory_order_acquire); }
  uint64_t connects() const { return connects_.load(std::memory_order_relaxed); }
  // Why it is not ready; empty when it is.
  std::string problem() const;

 private:
  void OnConnected(bool session_present) noexcept override;
  void OnMessage(const ArrivedMessage& message) noexcept override;
  void OnConnectionLost(const std::string& why) noexcept override;

  void Run();
  Status ConnectAndSubscribe();

  const SubscriberOptions options_;
  Spool& spool_;
  Accounting& accounting_;
  const Clock& clock_;
  const FailStop fail_stop_;
  std::atomic<bool> ready_{false};
  std::atomic<uint64_t> connects_{0};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  bool paused_ = false;
  bool lost_ = false;
  std::string problem_ = "not connected yet";
  // After what its callbacks touch, so that it goes first.
  const std::unique_ptr<MqttClient> client_;
  std::thread thread_;
};

}  // namespace sluice
