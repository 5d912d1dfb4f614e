// MqttClient: the seam between the subscriber and the connection to the broker.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "mqtt/tls.h"

namespace sluice {

struct ArrivedMessage {  // views live during the call
  std::string_view topic;
  std::string_view payload;
  // The value of the user property sluice-stamp; empty when there is none. Several, an empty one,
  // or one in another spelling of upper and lower case: a text that is no genuine stamp.
  std::string_view stamp;
  bool duplicate = false;  // the broker's DUP flag
  uint16_t packet_id = 0;
};

// Called one at a time; keep-alive waits meanwhile: return soon.
class MqttEvents {
 public:
  virtual ~MqttEvents() = default;
  // The broker accepted a connection; comes before its first message. `session_present`: it still
  // had our session, so it will send again what it has no PUBACK for.
  virtual void OnConnected(bool session_present) noexcept = 0;
  // What came together, in order. Returning acknowledges it all (PUBACK); not returning is the only
  // way not to. On a thread of the connection's own.
  virtual void OnMessages(std::span<const ArrivedMessage> messages) noexcept = 0;
  virtual void OnConnectionLost(const std::string& why) noexcept = 0;
  // Asked now and then, on the thread that waits, while an answer of the broker is awaited that
  // lies behind messages: false gives it up.
  virtual bool StillWanted() noexcept = 0;
};

struct MqttOptions {
  std::string host;
  uint16_t port = 1883;
  std::string client_id;
  std::string username;  // empty: none
  std::string password;
  bool tls = false;
  std::string ca_file;      // empty: the system's
  std::string client_cert;  // empty: none
  std::string client_key;
  bool tls_insecure = false;  // the certificate need not be for `host`; its signer is checked
  std::chrono::seconds keep_alive{30};
  std::chrono::seconds session_expiry{7 * 86400};
  uint16_t receive_maximum = 2000;
  // Between two readings while messages come.
  std::chrono::milliseconds read_interval{5};
  std::chrono::seconds timeout{10};  // of an answer, or of silence while one is awaited
};

// One thread at a time.
class MqttClient {
 public:
  virtual ~MqttClient() = default;
  // Connects with clean start off; OnConnected has been called when it returns Ok.
  virtual Status Connect() = 0;
  // QoS 1, retained messages not wanted: they were delivered when they were live.
  virtual Status Subscribe(const std::vector<std::string>& filters) = 0;
  // QoS 0, the retained message wanted: for a figure that the broker itself keeps up to date.
  // kRejected when the broker refuses.
  virtual Status Watch(const std::string& topic) = 0;
  // A round trip for each filter, whether or not it was subscribed. Ok once the broker has answered
  // all; every message that the broker sent before its answer has been delivered and acknowledged.
  virtual Status Unsubscribe(const std::vector<std::string>& filters) = 0;
  // Keeps the session. Messages may still arrive until it returns; bounded by the timeout.
  virtual void Disconnect() = 0;
  // Disconnects and has the broker forget the session. Ok: the broker has said that it is gone.
  // After an error it may be gone or not, and the connection is gone.
  virtual Status EndSession() = 0;
};

// What the options say of TLS; nothing without TLS.
Result<std::optional<mqtt::TlsIdentity>> MakeTlsIdentity(const MqttOptions& options);

// MQTT 5 over TCP or TLS. `events` must outlive the client.
std::unique_ptr<MqttClient> MakeMqttClient(const MqttOptions& options, MqttEvents& events);

}  // namespace sluice
