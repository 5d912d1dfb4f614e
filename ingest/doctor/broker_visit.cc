#include "ingest/doctor/broker_visit.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kPatience{5000};
constexpr milliseconds kGoodbye{1000};

}  // namespace

Status BrokerVisit::Connect(const std::vector<mqtt::Endpoint>& endpoints,
                            const MqttOptions& options) {
  auto tls = MakeTlsIdentity(options);
  if (!tls.ok()) return tls.status();
  tls_ = *std::move(tls);
  return link_.Open(endpoints, tls_ ? &*tls_ : nullptr, steady_clock::now() + kPatience);
}

Status BrokerVisit::Receive(const std::function<bool(const mqtt::Packet&)>& is_it) {
  const auto deadline = steady_clock::now() + kPatience;
  Status status;
  while (status.ok()) {
    if (status = link_.Flush(); !status.ok()) break;
    // A broker that refuses hangs up at once; what it has said before is there all the same.
    status = link_.Fill();
    mqtt::Packet packet;
    mqtt::Cut cut = link_.Next(&packet);
    for (; cut == mqtt::Cut::kPacket; cut = link_.Next(&packet)) {
      uint8_t reason = 0;
      mqtt::Publish publish;
      if (ParsePublish(packet, &publish) && publish.topic.starts_with('$')) {
        figures_[std::string(publish.topic)] = publish.payload;
      }
      if (is_it(packet)) return Status::Ok();
      if (!ParseDisconnect(packet, &reason)) continue;
      status = {ErrorCode::kRejected, "the broker says goodbye: " + mqtt::ReasonText(reason)};
      break;
    }
    if (cut == mqtt::Cut::kMalformed) {
      status = {ErrorCode::kUnavailable, "the broker sent something that is not MQTT"};
    }
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    if (status.ok() && left <= milliseconds(0)) {
      return {ErrorCode::kTimeout, "no answer in time"};
    }
    if (status.ok()) link_.Wait(-1, left);
  }
  link_.Close();
  return status;
}

Result<mqtt::Connack> BrokerVisit::LogIn(const MqttOptions& options, const std::string& client_id) {
  // One at a time, so that as few messages as can be are sent to us in vain.
  link_.Send(mqtt::EncodeConnect({.client_id = client_id,
                                  .username = options.username,
                                  .password = options.password,
                                  .clean_start = false,
                                  .keep_alive = std::chrono::seconds(60),
                                  .session_expiry = options.session_expiry,
                                  .receive_maximum = 1}));
  mqtt::Connack connack;
  const Status came =
      Receive([&](const mqtt::Packet& packet) { return ParseConnack(packet, &connack); });
  if (!came.ok()) return came;
  if (connack.reason == 0) return connack;
  link_.Close();
  return Status(ErrorCode::kRejected, "the broker refuses: " + mqtt::ReasonText(connack.reason));
}

Result<uint8_t> BrokerVisit::Ask(const std::string& packet) {
  link_.Send(packet);
  uint8_t reason = 0;
  const Status came = Receive([&](const mqtt::Packet& received) {
    mqtt::Answer answer;
    if (!ParseAnswer(received, &answer) || answer.packet_id != packet_id_) return false;
    reason = static_cast<uint8_t>(answer.reasons.front());
    return true;
  });
  if (!came.ok()) return came;
  return reason;
}

Result<uint8_t> BrokerVisit::Subscribe(const std::string& filter, mqtt::Retained retained) {
  return Ask(mqtt::EncodeSubscribe(++packet_id_, filter, 0, retained));
}

Result<uint8_t> BrokerVisit::Unsubscribe(const std::string& filter) {
  return Ask(mqtt::EncodeUnsubscribe(++packet_id_, filter));
}

std::optional<std::string> BrokerVisit::Await(const std::string& topic) {
  if (!figures_.contains(topic)) {
    (void)Receive([&](const mqtt::Packet&) { return figures_.contains(topic); });
  }
  const auto found = figures_.find(topic);
  return found == figures_.end() ? std::nullopt : std::optional(found->second);
}

// What still comes in is read: closing with something unread resets the connection, and the broker
// might not see why.
void BrokerVisit::Leave(std::optional<std::chrono::seconds> session_expiry) {
  link_.Send(session_expiry ? mqtt::EncodeDisconnect(*session_expiry) : mqtt::EncodeDisconnect());
  const auto deadline = steady_clock::now() + kGoodbye;
  Status status = link_.Flush();
  while (status.ok() && steady_clock::now() < deadline) {
    link_.Wait(-1, kGoodbye);
    mqtt::Packet ignored;
    status = link_.Fill();
    while (link_.Next(&ignored) == mqtt::Cut::kPacket) {
    }
    if (status.ok()) status = link_.Flush();
  }
  link_.Close();
}

}  // namespace sluice
