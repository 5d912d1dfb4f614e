#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "auth/stamp.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "ingest/mqtt_client.h"
#include "mqtt/link.h"

namespace sluice {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// For what no plugin of ours has made; no stamp begins like this.
constexpr std::string_view kNoStampOfOurs = "no single property sluice-stamp";
constexpr milliseconds kLookEvery{200};
constexpr milliseconds kGoodbye{1000};  // how long the broker may take to hang up
constexpr milliseconds kWindowPause{1};

Status Unavailable(const char* operation, const std::string& why) {
  return {ErrorCode::kUnavailable, std::string(operation) + ": " + why};
}

Status Goodbye(uint8_t reason) {
  return {ErrorCode::kUnavailable, "the broker says goodbye: " + mqtt::ReasonText(reason)};
}

// See ArrivedMessage::stamp; a view into the packet.
std::string_view StampOf(mqtt::Properties properties) {
  std::string_view stamp;
  mqtt::Properties::Property property;
  while (properties.Next(&property)) {
    if (property.id != mqtt::Properties::kUserProperty || !IsStampProperty(property.name)) continue;
    const bool ours = stamp.empty() && property.name == kStampProperty && !property.value.empty();
    stamp = ours ? property.value : kNoStampOfOurs;
  }
  return stamp;
}

// The callers' thread connects, asks and waits; a thread of the connection's own reads, delivers
// and acknowledges. link_ is the latter's while there is one.
class SocketClient final : public MqttClient {
 public:
  SocketClient(const MqttOptions& options, MqttEvents& events)
      : options_(options), events_(events), wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~SocketClient() override { Disconnect(); }

  Status Connect() override;
  Status Subscribe(const std::vector<std::string>& filters) override;
  Status Watch(const std::string& topic) override;
  Status Unsubscribe(const std::vector<std::string>& filters) override;
  void Disconnect() override;
  Status EndSession() override;

 private:
  enum class Start { kKeptSession, kClean };
  Result<mqtt::Connack> Open(Start start);
  Result<mqtt::Connack> AwaitConnack(SteadyClock::time_point deadline);
  void SayGoodbye();

  // `packet` carries packet_id_. Ok when the broker's answer is.
  Status Ask(const char* operation, const std::string& filter, const std::string& packet);
  bool StillWaiting(uint64_t* heard, SteadyClock::time_point* since);
  uint16_t NextPacketId();
  void Wake();

  void Receive();
  Status Round();
  Status TakeRequests();
  Status HandleArrived(SteadyClock::time_point now);
  Status Handle(const mqtt::Packet& packet);
  Status LastWords(const Status& hung_up);
  void Deliver();
  milliseconds Pause();
  Status KeepAlive(SteadyClock::time_point now);

  const MqttOptions options_;
  MqttEvents& events_;
  const UniqueFd wake_;
  std::optional<mqtt::TlsIdentity> tls_;
  mqtt::Link link_;
  std::thread thread_;
  uint16_t packet_id_ = 0;  // the callers'

  // The connection's thread's.
  std::chrono::seconds keep_alive_{0};             // 0: none
  SteadyClock::time_point heard_;                  // from the broker
  SteadyClock::time_point spoke_;                  // to it
  std::optional<SteadyClock::time_point> pinged_;  // not answered by anything yet
  std::vector<ArrivedMessage> arrived_;
  size_t brought_ = 0;  // messages, by the last round that brought anything; and by the one before
  size_t brought_before_ = 0;
  std::string acknowledgements_;

  std::atomic<uint64_t> rounds_heard_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string requests_;                                // to be sent
  std::optional<std::pair<uint16_t, uint8_t>> answer_;  // packet id and reason
  bool closing_ = false;
  bool connected_ = false;
  std::string why_lost_;
};

Result<mqtt::Connack> SocketClient::Open(Start start) {
  const auto deadline = SteadyClock::now() + options_.timeout;
  const auto endpoints = mqtt::Resolve(options_.host, options_.port);
  if (!endpoints.ok()) return endpoints.status();
  auto tls = MakeTlsIdentity(options_);
  if (!tls.ok()) return tls.status();
  tls_ = *std::move(tls);
  if (Status opened = link_.Open(*endpoints, tls_ ? &*tls_ : nullptr, deadline); !opened.ok()) {
    return opened;
  }
  const bool clean = start == Start::kClean;
  link_.Send(mqtt::EncodeConnect(
      {.client_id = options_.client_id,
       .username = options_.username,
       .password = options_.password,
       .clean_start = clean,
       .keep_alive = options_.keep_alive,
       .session_expiry = clean ? std::chrono::seconds(0) : options_.session_expiry,
       .receive_maximum = options_.receive_maximum}));
  Result<mqtt::Connack> connack = AwaitConnack(deadline);
  if (!connack.ok()) link_.Close();
  return connack;
}

Result<mqtt::Connack> SocketClient::AwaitConnack(SteadyClock::time_point deadline) {
  mqtt::Packet packet;
  while (SteadyClock::now() < deadline) {
    if (Status flushed = link_.Flush(); !flushed.ok()) return flushed;
    // A broker that refuses hangs up at once; why it does is there all the same.
    const Status filled = link_.Fill();
    const mqtt::Cut cut = link_.Next(&packet);
    if (cut == mqtt::Cut::kNeedMore) {
      if (!filled.ok()) return filled;
      link_.Wait(-1, kLookEvery);
      continue;
    }
    mqtt::Connack connack;
    if (cut == mqtt::Cut::kMalformed || !ParseConnack(packet, &connack)) {
      return Status(ErrorCode::kUnavailable, "the broker answered with something else");
    }
    if (connack.reason == 0) return connack;
    return Status(ErrorCode::kUnavailable,
                  "the broker refuses: " + mqtt::ReasonText(connack.reason));
  }
  return Status(ErrorCode::kUnavailable, "no answer in time");
}

Status SocketClient::Connect() {
  Disconnect();
  const Result<mqtt::Connack> connack = Open(Start::kKeptSession);
  if (!connack.ok()) return Unavailable("connect", connack.status().message());
  keep_alive_ = connack->keep_alive.count() < 0 ? options_.keep_alive : connack->keep_alive;
  heard_ = spoke_ = SteadyClock::now();
  pinged_.reset();
  {
    const std::lock_guard lock(mutex_);
    requests_.clear();
    closing_ = false;
    connected_ = true;
  }
  events_.OnConnected(connack->session_present);
  thread_ = std::thread([this] { Receive(); });
  return Status::Ok();
}

Status SocketClient::Subscribe(const std::vector<std::string>& filters) {
  for (const std::string& filter : filters) {
    const std::string packet =
        mqtt::EncodeSubscribe(NextPacketId(), filter, 1, mqtt::Retained::kDoNotSend);
    if (Status status = Ask("subscribe", filter, packet); !status.ok()) return status;
  }
  return Status::Ok();
}

Status SocketClient::Watch(const std::string& topic) {
  return Ask("subscribe", topic,
             mqtt::EncodeSubscribe(NextPacketId(), topic, 0, mqtt::Retained::kSendOnSubscribe));
}

Status SocketClient::Unsubscribe(const std::vector<std::string>& filters) {
  for (const std::string& filter : filters) {
    const std::string packet = mqtt::EncodeUnsubscribe(NextPacketId(), filter);
    if (Status status = Ask("unsubscribe", filter, packet); !status.ok()) return status;
  }
  return Status::Ok();
}

uint16_t SocketClient::NextPacketId() {
  if (++packet_id_ == 0) ++packet_id_;
  return packet_id_;
}

void SocketClient::Wake() {
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

Status SocketClient::Ask(const char* operation, const std::string& filter,
                         const std::string& packet) {
  std::unique_lock lock(mutex_);
  answer_.reset();
  requests_ += packet;
  Wake();
  uint64_t heard = rounds_heard_;
  auto since = SteadyClock::now();
  const auto answered = [this] { return answer_ && answer_->first == packet_id_; };
  while (!changed_.wait_for(lock, kLookEvery, [&] { return answered() || !connected_; })) {
    lock.unlock();
    const bool waiting = StillWaiting(&heard, &since);
    lock.lock();
    if (!waiting && !answered()) return Unavailable(operation, "no answer in time for " + filter);
  }
  if (!answered()) return Unavailable(operation, why_lost_);
  if (answer_->second < mqtt::kFirstErrorCode) return Status::Ok();
  return {ErrorCode::kRejected, std::string(operation) + ": the broker refuses " + filter + ": " +
                                    mqtt::ReasonText(answer_->second)};
}

// An answer lies behind all that the broker has sent before it, which may be a queue of minutes.
// Giving up and connecting again would make it send that queue anew, so only silence counts.
bool SocketClient::StillWaiting(uint64_t* heard, SteadyClock::time_point* since) {
  const auto now = SteadyClock::now();
  if (std::exchange(*heard, rounds_heard_.load()) != *heard) *since = now;
  return events_.StillWanted() && now - *since < options_.timeout;
}

void SocketClient::Disconnect() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  Wake();
  thread_.join();
}

// A clean start makes the broker forget the session, and is answered; a DISCONNECT would not be.
Status SocketClient::EndSession() {
  Disconnect();
  const Result<mqtt::Connack> connack = Open(Start::kClean);
  if (!connack.ok()) return Unavailable("end session", connack.status().message());
  SayGoodbye();
  return Status::Ok();
}

// Whatever still comes in is read: closing a socket with something unread resets the connection,
// and the broker might not see our last acknowledgements.
void SocketClient::SayGoodbye() {
  const auto deadline = SteadyClock::now() + kGoodbye;
  link_.Send(mqtt::EncodeDisconnect());
  Status status = link_.Flush();
  while (status.ok() && SteadyClock::now() < deadline) {
    link_.Wait(-1, kLookEvery);
    mqtt::Packet ignored;
    status = link_.Fill();
    while (link_.Next(&ignored) == mqtt::Cut::kPacket) {
    }
    if (status.ok()) status = link_.Flush();
  }
  link_.Close();
}

// Those who wait for an answer hear last that there will be none: by then they know of the loss.
void SocketClient::Receive() {
  Status status;
  while (status.ok()) status = Round();
  bool asked_to = false;
  {
    const std::lock_guard lock(mutex_);
    asked_to = closing_;
  }
  if (asked_to) {
    SayGoodbye();
  } else {
    link_.Close();
    events_.OnConnectionLost(status.message());
  }
  const std::lock_guard lock(mutex_);
  connected_ = false;
  why_lost_ = status.message();
  changed_.notify_all();
}

Status SocketClient::Round() {
  if (Status status = TakeRequests(); !status.ok()) return status;
  if (Status status = link_.Fill(); !status.ok()) return LastWords(status);
  const auto began = SteadyClock::now();
  if (Status status = HandleArrived(began); !status.ok()) return status;
  if (Status status = KeepAlive(began); !status.ok()) return status;
  if (!link_.flushed()) spoke_ = began;
  if (Status status = link_.Flush(); !status.ok()) return status;
  if (link_.full()) return Status::Ok();
  if (heard_ == began) {
    std::this_thread::sleep_until(began + Pause());
  } else {
    link_.Wait(wake_.get(), kLookEvery);
    uint64_t ignored = 0;
    (void)!::read(wake_.get(), &ignored, sizeof ignored);
  }
  return Status::Ok();
}

// A round costs a few system calls and a change of threads however much it brings, so after one
// that brought messages the next waits until some more have come. If it brought as many as the one
// before, these may be all that the broker lets be on their way (max_inflight_messages is 20 in a
// Mosquitto that says nothing), and it waits for us.
milliseconds SocketClient::Pause() {
  const bool as_before = std::exchange(brought_before_, brought_) == brought_;
  brought_ = 0;
  return as_before ? std::min(kWindowPause, options_.read_interval) : options_.read_interval;
}

Status SocketClient::TakeRequests() {
  const std::lock_guard lock(mutex_);
  link_.Send(std::exchange(requests_, {}));
  return closing_ ? Status(ErrorCode::kCancelled, "disconnected") : Status::Ok();
}

Status SocketClient::HandleArrived(SteadyClock::time_point now) {
  mqtt::Packet packet;
  mqtt::Publish publish;
  mqtt::Cut cut = link_.Next(&packet);
  if (cut == mqtt::Cut::kPacket) {
    heard_ = now;
    pinged_.reset();
    ++rounds_heard_;
  }
  for (; cut == mqtt::Cut::kPacket; cut = link_.Next(&packet)) {
    if (ParsePublish(packet, &publish)) {
      arrived_.push_back({.topic = publish.topic,
                          .payload = publish.payload,
                          .stamp = StampOf(publish.properties),
                          .duplicate = publish.duplicate,
                          .packet_id = publish.packet_id});
      if (publish.packet_id != 0) mqtt::AppendPuback(publish.packet_id, &acknowledgements_);
      continue;
    }
    Deliver();
    if (Status handled = Handle(packet); !handled.ok()) return handled;
  }
  Deliver();
  if (cut == mqtt::Cut::kNeedMore) return Status::Ok();
  return {ErrorCode::kUnavailable, "the broker sent something that is not MQTT"};
}

void SocketClient::Deliver() {
  if (arrived_.empty()) return;
  events_.OnMessages(arrived_);
  brought_ += arrived_.size();
  link_.Send(acknowledgements_);
  arrived_.clear();
  acknowledgements_.clear();
}

Status SocketClient::Handle(const mqtt::Packet& packet) {
  mqtt::Answer answer;
  uint8_t reason = 0;
  if (packet.type == mqtt::PacketType::kPingresp) return Status::Ok();
  if (ParseAnswer(packet, &answer)) {
    const std::lock_guard lock(mutex_);
    answer_ = {answer.packet_id, static_cast<uint8_t>(answer.reasons.front())};
    changed_.notify_all();
    return Status::Ok();
  }
  if (ParseDisconnect(packet, &reason)) return Goodbye(reason);
  return {ErrorCode::kUnavailable, "the broker sent a packet that makes no sense, of type " +
                                       std::to_string(static_cast<int>(packet.type))};
}

// A broker that hangs up may have said why just before. What else has come is not acknowledged, and
// comes again.
Status SocketClient::LastWords(const Status& hung_up) {
  mqtt::Packet packet;
  uint8_t reason = 0;
  while (link_.Next(&packet) == mqtt::Cut::kPacket) {
    if (ParseDisconnect(packet, &reason)) return Goodbye(reason);
  }
  return hung_up;
}

// Whatever the broker sends is a sign of life: its answer to a PINGREQ lies behind its queue.
Status SocketClient::KeepAlive(SteadyClock::time_point now) {
  if (keep_alive_.count() == 0) return Status::Ok();
  if (pinged_ && now - *pinged_ >= keep_alive_) {
    return {ErrorCode::kUnavailable, "the broker does not answer PINGREQ"};
  }
  // At half of it: the broker must hear us in that time, too.
  if (!pinged_ && now - std::min(heard_, spoke_) >= keep_alive_ / 2) {
    link_.Send(mqtt::EncodePingreq());
    pinged_ = now;
  }
  return Status::Ok();
}

}  // namespace

Result<std::optional<mqtt::TlsIdentity>> MakeTlsIdentity(const MqttOptions& options) {
  if (!options.tls) return std::optional<mqtt::TlsIdentity>();
  Result<mqtt::TlsTrust> trust =
      mqtt::TlsTrust::Load(options.ca_file, options.tls_insecure ? "" : options.host);
  if (!trust.ok()) return trust.status();
  if (options.client_cert.empty()) {
    return std::optional(mqtt::TlsIdentity::Nobody(*std::move(trust)));
  }
  Result<mqtt::TlsIdentity> identity =
      mqtt::TlsIdentity::Load(*std::move(trust), options.client_cert, options.client_key);
  if (!identity.ok()) return identity.status();
  return std::optional(*std::move(identity));
}

std::unique_ptr<MqttClient> MakeMqttClient(const MqttOptions& options, MqttEvents& events) {
  return std::make_unique<SocketClient>(options, events);
}

}  // namespace sluice
