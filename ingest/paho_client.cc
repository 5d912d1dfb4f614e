#include <MQTTAsync.h>
#include <mqtt/async_client.h>

#include <atomic>

#include "auth/stamp.h"
#include "base/log.h"
#include "ingest/mqtt_client.h"

namespace sluice {
namespace {

// For what no plugin of ours has made; no stamp begins like this.
constexpr std::string_view kNoStampOfOurs = "no single property sluice-stamp";
// Paho looks at its own deadline of a connect every three seconds. It must be the one to give up: a
// connect that we no longer wait for may still come up, and the next one then finds Paho connected
// and is never answered.
constexpr std::chrono::seconds kPahoGivesUpWithin{5};
constexpr std::chrono::milliseconds kLookEvery{200};

// Paho C++ has the packet id and does not give it away. An explicit instantiation may name a
// private member.
const MQTTAsync_message& CMessage(const mqtt::message& message);
template <MQTTAsync_message mqtt::message::*kMember>
struct PrivateMember {
  friend const MQTTAsync_message& CMessage(const mqtt::message& message) {
    return message.*kMember;
  }
};
template struct PrivateMember<&mqtt::message::msg_>;

std::string Uri(const MqttOptions& options) {
  return (options.tls ? "ssl://" : "tcp://") + options.host + ":" + std::to_string(options.port);
}

Status Unavailable(const char* operation, const std::string& why) {
  return {ErrorCode::kUnavailable, std::string(operation) + ": " + why};
}

Status Refused(const char* operation, const std::string& filter, mqtt::ReasonCode code) {
  return {ErrorCode::kRejected, std::string(operation) + ": the broker refuses " + filter +
                                    ", reason code " + std::to_string(static_cast<int>(code))};
}

mqtt::ssl_options TlsOptions(const MqttOptions& options) {
  mqtt::ssl_options tls;
  if (!options.ca_file.empty()) tls.set_trust_store(options.ca_file);
  if (!options.client_cert.empty()) tls.set_key_store(options.client_cert);
  if (!options.client_key.empty()) tls.set_private_key(options.client_key);
  tls.set_enable_server_cert_auth(true);
  tls.set_verify(!options.tls_insecure);
  tls.set_ssl_version(MQTT_SSL_VERSION_TLS_1_2);
  return tls;
}

mqtt::connect_options ConnectOptions(const MqttOptions& options) {
  mqtt::connect_options connect;
  connect.set_mqtt_version(MQTTVERSION_5);
  connect.set_clean_start(false);
  connect.set_keep_alive_interval(options.keep_alive);
  connect.set_connect_timeout(options.timeout);
  // Paho's own limit on what it sends at a time; we send nothing but acknowledgements.
  connect.set_max_inflight(options.receive_maximum);
  mqtt::properties properties;
  properties.add(mqtt::property(mqtt::property::SESSION_EXPIRY_INTERVAL,
                                static_cast<int>(options.session_expiry.count())));
  properties.add(mqtt::property(mqtt::property::RECEIVE_MAXIMUM, options.receive_maximum));
  connect.set_properties(properties);
  if (!options.username.empty()) connect.set_user_name(options.username);
  if (!options.password.empty()) connect.set_password(options.password);
  if (options.tls) connect.set_ssl(TlsOptions(options));
  return connect;
}

std::string_view Text(const MQTTLenString& text) {
  if (text.data == nullptr) return {};
  return {text.data, static_cast<size_t>(text.len)};
}

// See ArrivedMessage::stamp; a view into `properties`. Over the C array, because the C++ interface
// counts from the start for each, and a message may have a hundred thousand.
std::string_view StampOf(const MQTTProperties& properties) {
  std::string_view stamp;
  for (int i = 0; i < properties.count; ++i) {
    const MQTTProperty& property = properties.array[i];
    if (property.identifier != MQTTPROPERTY_CODE_USER_PROPERTY) continue;
    const std::string_view name = Text(property.value.data);
    if (!IsStampProperty(name)) continue;
    const std::string_view value = Text(property.value.value);
    const bool ours = stamp.empty() && name == kStampProperty && !value.empty();
    stamp = ours ? value : kNoStampOfOurs;
  }
  return stamp;
}

class PahoClient final : public MqttClient, private mqtt::iaction_listener {
 public:
  PahoClient(const MqttOptions& options, MqttEvents& events)
      : options_(options),
        events_(events),
        client_(Uri(options), options.client_id, mqtt::create_options(MQTTVERSION_5)) {
    // Debian's build traces every function into a ring in memory. Above this level it only keeps
    // its call stack, and a message costs a third less.
    MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
    // Before connecting: without a callback Paho queues in memory and acknowledges at once.
    client_.set_message_callback(
        [this](const mqtt::const_message_ptr& message) { Deliver(*message); });
    client_.set_connection_lost_handler([this](const std::string& why) {
      events_.OnConnectionLost(why.empty() ? "connection lost" : why);
    });
  }

  Status Connect() override {
    try {
      const auto token = client_.connect(ConnectOptions(options_), nullptr, *this);
      if (!token->wait_for(options_.timeout + kPahoGivesUpWithin)) {
        Disconnect();  // it may have come up just after we stopped waiting
        return Unavailable("connect", "no answer in time");
      }
      return Status::Ok();
    } catch (const mqtt::exception& e) {
      return Unavailable("connect", e.to_string());
    }
  }

  Status Subscribe(const std::vector<std::string>& filters) override {
    for (const std::string& filter : filters) {
      Status status = SubscribeTo(filter, 1, mqtt::subscribe_options::DONT_SEND_RETAINED);
      if (!status.ok()) return status;
    }
    return Status::Ok();
  }

  Status Watch(const std::string& topic) override {
    return SubscribeTo(topic, 0, mqtt::subscribe_options::SEND_RETAINED_ON_SUBSCRIBE);
  }

  Status Unsubscribe(const std::vector<std::string>& filters) override {
    try {
      for (const std::string& filter : filters) {
        Status status = Answered("unsubscribe", filter, client_.unsubscribe(filter));
        if (!status.ok()) return status;
      }
      return Status::Ok();
    } catch (const mqtt::exception& e) {
      return Unavailable("unsubscribe", e.to_string());
    }
  }

  void Disconnect() override {
    try {
      if (client_.is_connected()) client_.disconnect()->wait_for(options_.timeout);
    } catch (const mqtt::exception& e) {
      LogWarning("mqtt_disconnect_failed", {{"reason", e.to_string()}});
    }
  }

  // Paho C++ 1.2.0 does not send the properties of a DISCONNECT. A clean start does the same, and
  // is answered.
  Status EndSession() override {
    Disconnect();
    try {
      MqttOptions no_session = options_;
      no_session.session_expiry = std::chrono::seconds(0);
      mqtt::connect_options connect = ConnectOptions(no_session);
      connect.set_clean_start(true);
      const bool answered =
          client_.connect(connect)->wait_for(options_.timeout + kPahoGivesUpWithin);
      Disconnect();
      return answered ? Status::Ok() : Unavailable("end session", "no answer in time");
    } catch (const mqtt::exception& e) {
      return Unavailable("end session", e.to_string());
    }
  }

 private:
  // An answer lies behind all that the broker has sent before it, which may be a queue of minutes.
  // Giving up and connecting again would make it send that queue anew, so only silence counts.
  bool AnswerCame(const mqtt::token_ptr& token) {
    uint64_t seen = delivered_;
    auto heard = std::chrono::steady_clock::now();
    while (!token->wait_for(kLookEvery)) {
      const auto now = std::chrono::steady_clock::now();
      if (const uint64_t delivered = delivered_; delivered != seen) {
        seen = delivered;
        heard = now;
      }
      if (!events_.StillWanted() || now - heard >= options_.timeout) return false;
    }
    return true;
  }

  // Throws when the connection fails.
  Status Answered(const char* operation, const std::string& filter, const mqtt::token_ptr& token) {
    try {
      if (!AnswerCame(token)) {
        return Unavailable(operation, "no answer in time for " + filter);
      }
    } catch (const mqtt::exception& e) {
      // Paho throws every answer but plain success, "no subscription existed" among them.
      const auto code = token->get_reason_code();
      if (code == mqtt::ReasonCode::SUCCESS || code == mqtt::MQTTPP_V3_CODE) throw;
    }
    const auto code = token->get_reason_code();
    if (code >= mqtt::ReasonCode::UNSPECIFIED_ERROR) return Refused(operation, filter, code);
    return Status::Ok();
  }

  Status SubscribeTo(const std::string& filter, int qos,
                     mqtt::subscribe_options::RetainHandling retained) {
    try {
      mqtt::subscribe_options wanted;
      wanted.set_retain_handling(retained);
      return Answered("subscribe", filter, client_.subscribe(filter, qos, wanted));
    } catch (const mqtt::exception& e) {
      return Unavailable("subscribe", e.to_string());
    }
  }

  // mqtt::iaction_listener, for Connect: runs on Paho's thread, before the first message.
  void on_success(const mqtt::token& token) override {
    try {
      events_.OnConnected(token.get_connect_response().is_session_present());
    } catch (const mqtt::exception& e) {
      LogError("mqtt_connect_response_unreadable", {{"reason", e.to_string()}});
    }
  }
  void on_failure(const mqtt::token&) override {}

  void Deliver(const mqtt::message& message) {
    ++delivered_;
    const mqtt::binary_ref& payload = message.get_payload_ref();
    events_.OnMessage({.topic = message.get_topic(),
                       .payload = {payload.data(), payload.size()},
                       .stamp = StampOf(message.get_properties().c_struct()),
                       .duplicate = message.is_duplicate(),
                       .packet_id = static_cast<uint16_t>(CMessage(message).msgid)});
  }

  std::atomic<uint64_t> delivered_{0};
  const MqttOptions options_;
  MqttEvents& events_;
  mqtt::async_client client_;
};

}  // namespace

std::unique_ptr<MqttClient> MakePahoClient(const MqttOptions& options, MqttEvents& events) {
  return std::make_unique<PahoClient>(options, events);
}

}  // namespace sluice
