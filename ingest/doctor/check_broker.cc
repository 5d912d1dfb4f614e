#include <array>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "base/escape.h"
#include "ingest/doctor/broker_visit.h"
#include "ingest/doctor/checks.h"
#include "ingest/part_options.h"
#include "ingest/subscriber.h"

namespace sluice {
namespace {

// What a session that we have made lives on: long enough to come back to, and gone soon after.
constexpr std::chrono::seconds kOurSession{10};

// No daemon has it.
std::string OwnClientId() {
  std::random_device random;
  const std::array<unsigned, 2> noise = {random(), random()};
  return "sluice-doctor-" + ToHex({reinterpret_cast<const char*>(noise.data()), sizeof noise});
}

class BrokerExam {
 public:
  BrokerExam(const Patient& patient, Findings* out)
      : patient_(patient),
        settings_(patient.settings()),
        options_(MqttOptionsFrom(patient.settings())),
        out_(*out) {}

  void Run();

 private:
  void AskTheDaemon();
  void CheckDropped(double dropped);
  // Nothing, and a finding, when it fails.
  std::optional<mqtt::Connack> LogIn(BrokerVisit* visit);
  void CheckLimits(const mqtt::Connack& connack);
  bool CheckSubscriptions(BrokerVisit* visit);
  void CheckFigures(BrokerVisit* visit);
  void CheckSessionIsKept();

  const Patient& patient_;
  const Settings& settings_;
  const MqttOptions options_;
  const std::string client_id_ = OwnClientId();
  Findings& out_;
  std::vector<mqtt::Endpoint> endpoints_;
};

void BrokerExam::Run() {
  const std::string place = options_.host + ":" + std::to_string(options_.port);
  auto endpoints = mqtt::Resolve(options_.host, options_.port);
  if (!endpoints.ok()) {
    return out_.Fail("name", endpoints.message(), "set MQTT_HOST to the broker's name or address");
  }
  endpoints_ = *std::move(endpoints);
  out_.Ok("name", options_.host + " resolves");
  BrokerVisit visit;
  if (const Status connected = visit.Connect(endpoints_, options_); !connected.ok()) {
    return out_.Fail(
        "connect", place + ": " + connected.message(),
        "see that the broker runs, that MQTT_HOST and MQTT_PORT are its listener's and "
        "that no firewall is in between; with TLS, that the files of MQTT_CA_CERT, "
        "MQTT_CLIENT_CERT and MQTT_CLIENT_KEY are good");
  }
  out_.Ok("connect", place);
  if (patient_.daemon.runs()) return AskTheDaemon();
  if (!patient_.may_log_in) return out_.Ok("login", "not tried, as you have asked");

  const auto connack = LogIn(&visit);
  if (!connack) return;
  CheckLimits(*connack);
  if (connack->session_present) {
    // Not ours, so the daemon's: its subscriptions are not touched.
    out_.Ok("session",
            "the broker takes the account for the client id, and has kept the daemon's "
            "session; its subscriptions are left alone");
    return visit.Leave(std::nullopt);
  }
  const bool subscribed = CheckSubscriptions(&visit);
  if (subscribed) CheckFigures(&visit);
  visit.Leave(kOurSession);
  CheckSessionIsKept();
}

void BrokerExam::AskTheDaemon() {
  const DaemonHere& daemon = patient_.daemon;
  if (!daemon.answers) {
    return out_.Warn("login",
                     "a daemon runs here that does not answer; logging in beside it could throw it "
                     "out, so it was not tried",
                     "look at its log");
  }
  if (daemon.subscribed) {
    out_.Ok("login", "the daemon that runs here is connected and subscribed");
  } else {
    std::string why = "the daemon that runs here is not subscribed";
    for (const std::string& reason : daemon.reasons) {
      if (reason.starts_with("broker: ")) why += ": " + reason.substr(8);
    }
    out_.Fail("login", why,
              "look at the broker's log, at MQTT_USERNAME and MQTT_PASSWORD, and at "
              "the broker's access rules (docs/operations.md, SluiceDisconnected)");
  }
  if (daemon.dropped) return CheckDropped(*daemon.dropped);
  out_.Warn("dropped messages", "the daemon does not know how many the broker has dropped",
            "let its account read $SYS/broker/#, and set sys_interval at the broker");
}

void BrokerExam::CheckDropped(double dropped) {
  if (dropped == 0) return out_.Ok("dropped messages", "none since the broker's start");
  out_.Warn("dropped messages",
            std::to_string(static_cast<int64_t>(dropped)) + " since the broker's start",
            "see docs/operations.md, When the broker drops messages");
}

std::optional<mqtt::Connack> BrokerExam::LogIn(BrokerVisit* visit) {
  const Result<mqtt::Connack> connack = visit->LogIn(options_, client_id_);
  const std::string how = options_.tls ? "over TLS" : "without TLS";
  if (connack.ok()) {
    out_.Ok("login", options_.username.empty() ? "nameless, " + how
                                               : "as " + options_.username + ", " + how);
    return *connack;
  }
  const bool tls = connack.message().starts_with("TLS");
  out_.Fail(
      "login", connack.message(),
      tls ? "see that MQTT_CA_CERT has the broker's authority, that its certificate is made for "
            "MQTT_HOST and has not ended, and that MQTT_PORT is the listener with TLS"
      : connack.code() == ErrorCode::kRejected
          ? "set MQTT_USERNAME and MQTT_PASSWORD as the broker has them (mosquitto_passwd; with "
            "the plugin, also rules.conf)"
          : "see that MQTT_PORT is a listener for MQTT 5, with TLS or without as MQTT_CA_CERT "
            "says");
  return std::nullopt;
}

void BrokerExam::CheckLimits(const mqtt::Connack& connack) {
  if (connack.maximum_packet_size != 0 &&
      connack.maximum_packet_size < settings_.max_payload_bytes) {
    out_.Warn("packet size",
              "the broker takes " + std::to_string(connack.maximum_packet_size) +
                  " bytes, MAX_PAYLOAD_BYTES is " + std::to_string(settings_.max_payload_bytes),
              "raise max_packet_size at the broker: it hangs up on devices that send more");
  }
  if (connack.session_expiry.count() >= 0 && connack.session_expiry < options_.session_expiry) {
    out_.Warn("session expiry",
              "the broker keeps sessions for " + std::to_string(connack.session_expiry.count()) +
                  " s, MQTT_SESSION_EXPIRY asks for " +
                  std::to_string(options_.session_expiry.count()),
              "raise the broker's limit");
  }
  if (!connack.shared_subscriptions && !settings_.mqtt_shared_group.empty()) {
    out_.Fail("shared subscriptions", "the broker has none",
              "leave MQTT_SHARED_GROUP empty, or use another broker");
  }
}

bool BrokerExam::CheckSubscriptions(BrokerVisit* visit) {
  for (const std::string& filter : settings_.mqtt_topic) {
    const Result<uint8_t> reason = visit->Subscribe(filter, mqtt::Retained::kDoNotSend);
    const std::string why = !reason.ok()                       ? reason.message()
                            : *reason >= mqtt::kFirstErrorCode ? mqtt::ReasonText(*reason)
                                                               : "";
    if (!why.empty()) {
      out_.Fail("subscribe", filter + ": " + why,
                "let the daemon's account read it (rules.conf or the acl_file), or correct "
                "MQTT_TOPIC");
      if (!reason.ok()) return false;
      continue;
    }
    out_.Ok("subscribe", filter);
    if (const auto undone = visit->Unsubscribe(filter); !undone.ok()) return false;
  }
  return true;
}

void BrokerExam::CheckFigures(BrokerVisit* visit) {
  const std::string topic(kDroppedTopic);
  const Result<uint8_t> reason = visit->Subscribe(topic, mqtt::Retained::kSendOnSubscribe);
  if (!reason.ok() || *reason >= mqtt::kFirstErrorCode) {
    return out_.Warn(
        "dropped messages",
        topic + ": " + (reason.ok() ? mqtt::ReasonText(*reason) : reason.message()),
        "let the daemon's account read $SYS/broker/#: else nobody is told when the broker drops "
        "messages");
  }
  const auto figure = visit->Await(topic);
  (void)visit->Unsubscribe(topic);
  if (figure) return CheckDropped(std::strtod(figure->c_str(), nullptr));
  out_.Warn("dropped messages", "the broker does not say how many it has dropped",
            "set sys_interval 10 at the broker");
}

// Comes back to the session that the first visit has made.
void BrokerExam::CheckSessionIsKept() {
  BrokerVisit again;
  const Status connected = again.Connect(endpoints_, options_);
  const Result<mqtt::Connack> connack =
      connected.ok() ? again.LogIn(options_, client_id_) : Result<mqtt::Connack>(connected);
  if (!connack.ok()) return out_.Fail("session", connack.message(), "look at the broker's log");
  again.Leave(kOurSession);
  if (connack->session_present) return out_.Ok("session", "the broker keeps sessions");
  out_.Fail("session", "the broker forgets a session when its client goes",
            "let it keep them: what comes while the daemon is away is lost");
}

}  // namespace

std::vector<Finding> CheckBroker(const Patient& patient) {
  Findings out("broker");
  BrokerExam(patient, &out).Run();
  return out.Take();
}

}  // namespace sluice
