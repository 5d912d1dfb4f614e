// Subscriber: takes messages off the broker into the spool, and keeps doing so: connects,
// subscribes after every connect, comes back after a loss with jittered backoff, and stays away
// while told to pause. Told to leave, it goes for good and strands nothing at the broker.
//
// How it leaves: it unsubscribes, keeps the connection until all that the broker had queued for it
// has arrived and is acknowledged, and then ends the session. MQTT has no way to ask whether the
// queue is empty, so UNSUBSCRIBE is sent again and again as a round trip, and the queue is empty
// when two in a row brought no message. Why two are enough:
//
//   * The client takes one packet after the other. Once it has handled an UNSUBACK, every message
//     before it is in the spool, and its PUBACK is on the way.
//   * So all PUBACKs of what arrived before the first UNSUBACK reach the broker before the second
//     UNSUBSCRIBE. The broker handles them in that order: for each PUBACK it sends what now fits
//     into the receive maximum, and the second UNSUBACK comes after that.
//   * If nothing came before the second UNSUBACK, the PUBACKs set nothing free: nothing is queued,
//     and nothing is in flight.
//
// One is not enough: the PUBACK of a message that arrived just before may be written just after the
// UNSUBSCRIBE, and what it sets free comes after the UNSUBACK. A connection that is lost meanwhile
// is made again, without subscribing: the broker then sends again first what it has no PUBACK for.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
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
  std::chrono::milliseconds reconnect_max{10000};
  // The broker should still have our session at the first connect; later it always should.
  bool session_expected = false;
};

// Where the broker says how many messages it has dropped.
inline constexpr std::string_view kDroppedTopic = "$SYS/broker/publish/messages/dropped";

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
  // Leaves the broker for good, see above; also when it is paused (then after Resume), away or not
  // started yet. Returns at once; left() says when it is done, Stop ends it early and keeps the
  // session.
  void Leave();

  // The session is ended: the broker holds nothing for us, and nothing will come any more.
  bool left() const { return left_.load(std::memory_order_acquire); }
  // Connected, and subscribed or served by the session that the broker has kept: its answer to
  // SUBSCRIBE may lie behind minutes of messages.
  bool ready() const {
    return ready_.load(std::memory_order_acquire) ||
           (subscribing_.load(std::memory_order_acquire) &&
            arrived_.load(std::memory_order_relaxed) != arrived_before_);
  }
  uint64_t connects() const { return connects_.load(std::memory_order_relaxed); }
  // Why it is not ready; empty when it is.
  std::string problem() const;
  // How many messages the broker says it has dropped since it started, for any client; none until
  // it has said so. Mosquitto's $SYS/broker/publish/messages/dropped; it goes up when a queue is
  // full, although the publisher was told that the message is safe.
  std::optional<uint64_t> broker_dropped() const;

 private:
  void OnConnected(bool session_present) noexcept override;
  void OnMessages(std::span<const ArrivedMessage> messages) noexcept override;
  void OnConnectionLost(const std::string& why) noexcept override;
  bool StillWanted() noexcept override { return !Interrupted(); }

  void Run();
  Status ConnectAndSubscribe(bool leaving);
  Status Subscribe();
  void WatchDrops();
  void OnDropped(std::string_view figure);
  // With the connection up: returns Ok when the session is ended.
  Status EmptyTheQueueAndEndTheSession();
  bool Interrupted() const;
  // These two hold the lock, except while they wait.
  bool TryToLeave(std::unique_lock<std::mutex>& lock);
  void StayConnected(std::unique_lock<std::mutex>& lock);

  const SubscriberOptions options_;
  Spool& spool_;
  Accounting& accounting_;
  const Clock& clock_;
  const FailStop fail_stop_;
  std::atomic<bool> ready_{false};
  std::atomic<bool> subscribing_{false};  // SUBSCRIBE is not answered yet
  std::atomic<bool> left_{false};
  std::atomic<uint64_t> connects_{0};
  std::atomic<uint64_t> arrived_{0};         // callbacks entered for messages of our filters
  std::atomic<uint64_t> arrived_before_{0};  // this connection
  std::atomic<int64_t> broker_dropped_{-1};  // -1: not known
  int watch_attempts_;                       // left; the subscriber's thread only
  bool session_expected_;                    // the subscriber's thread only
  std::vector<SpoolMessage> batch_;          // the connection's thread only
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  bool paused_ = false;
  bool leaving_ = false;
  bool lost_ = false;
  std::string problem_ = "not connected yet";
  // After what its callbacks touch, so that it goes first.
  const std::unique_ptr<MqttClient> client_;
  std::thread thread_;
};

}  // namespace sluice
