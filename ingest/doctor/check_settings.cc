#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/doctor/checks.h"
#include "ingest/status_view.h"

namespace sluice {
namespace {

// What is allowed and yet seldom meant.
struct Doubt {
  std::vector<std::string> settings;
  std::string_view meaning;
  const char* advice;
  bool (*holds)(const Settings&);  // true: there is nothing to doubt
};

const std::vector<Doubt>& Doubts() {
  using S = const Settings&;
  static const std::vector<Doubt> doubts = {
      {{"IDENTITY_MODE", "CERT_AUTH_ENABLED"},
       kTopicModeMeans,
       "load the plugin into the broker and set IDENTITY_MODE=stamp (docs/security.md)",
       [](S s) { return s.identity_mode == IdentityMode::kStamp; }},
      {{"REQUIRE_TOKEN", "CERT_AUTH_ENABLED"},
       "messages are accepted without any proof of who sent them",
       "set REQUIRE_TOKEN=1 or CERT_AUTH_ENABLED=1",
       [](S s) { return s.require_token || s.cert_auth_enabled; }},
      {{"AUTO_PROVISION", "REQUIRE_TOKEN", "CERT_AUTH_ENABLED"},
       "a device is added without token and certificate, so its messages are refused until it has "
       "one",
       "register devices with their tokens (sluice device add), or set AUTO_PROVISION=0",
       [](S s) { return !s.auto_provision || (!s.require_token && !s.cert_auth_enabled); }},
      {{"MQTT_USERNAME", "MQTT_PASSWORD"},
       "a password without a user",
       "set MQTT_USERNAME",
       [](S s) { return s.mqtt_password.empty() || !s.mqtt_username.empty(); }},
      {{"MQTT_TLS_INSECURE"},
       "anybody with a certificate of that authority passes for the broker",
       "set it to 0; give the broker a certificate made for MQTT_HOST",
       [](S s) { return !s.mqtt_tls_insecure; }},
      {{"MQTT_SESSION_EXPIRY"},
       "what comes while the daemon is away for longer than that is lost",
       "set it longer than any outage: 7d",
       [](S s) { return s.mqtt_session_expiry >= std::chrono::hours(1); }},
      {{"SPOOL_SYNC"},
       "a power cut takes messages that the broker was told are safe",
       "set it to interval or always",
       [](S s) { return s.spool_sync != SpoolSync::kNone; }},
      {{"SPOOL_REDELIVERY_WINDOW", "MQTT_RECEIVE_MAXIMUM"},
       "what the broker sends again after a lost connection is not all recognised, and stored "
       "twice",
       "set SPOOL_REDELIVERY_WINDOW to 250000",
       [](S s) { return s.spool_redelivery_window >= s.mqtt_receive_maximum; }},
      {{"MAX_PAYLOAD_BYTES", "QUARANTINE_PAYLOAD_MAX_BYTES"},
       "rejected messages that are longer are cut, and cannot be replayed",
       "set QUARANTINE_PAYLOAD_MAX_BYTES to MAX_PAYLOAD_BYTES at least",
       [](S s) { return s.quarantine_payload_max_bytes >= s.max_payload_bytes; }},
      {{"STORE_REJECTS", "COUNTERS_ENABLED"},
       "rejected messages leave no trace in the database",
       "set one of them to 1",
       [](S s) { return s.store_rejects || s.counters_enabled; }},
      {{"RATE_LIMIT_RPS"},
       "a device may send its burst and then nothing",
       "set it to what a device may send in the long run",
       [](S s) { return s.rate_limit_rps > 0; }},
      {{"CERT_AUTH_ENABLED", "PKI_WATCH_FILES"},
       "nobody is told when the broker's certificates and its revocation list end",
       "name the files that the broker reads in PKI_WATCH_FILES",
       [](S s) { return !s.cert_auth_enabled || !s.pki_watch_files.empty(); }},
  };
  return doubts;
}

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

void CheckDoubts(const Patient& patient, Findings* out) {
  for (const Doubt& doubt : Doubts()) {
    if (doubt.holds(patient.settings())) continue;
    std::string shown;
    for (const std::string& name : doubt.settings) {
      const size_t place = SettingPlace(name);
      shown += (shown.empty() ? "" : ", ") +
               ShowSetting(SettingsTable().settings()[place], patient.given.values[place].text);
    }
    out->Warn(Joined(doubt.settings), shown + ": " + std::string(doubt.meaning), doubt.advice);
  }
}

// What is given and has no effect.
void CheckOverruled(const Patient& patient, Findings* out) {
  if (patient.settings().database_url.empty()) return;
  std::vector<std::string> idle;
  for (const char* name : {"PG_HOST", "PG_PORT", "PG_DB", "PG_USER", "PG_PASS"}) {
    if (patient.given.values[SettingPlace(name)].source != SettingSource::kDefault) {
      idle.emplace_back(name);
    }
  }
  if (idle.empty()) return;
  out->Warn("DATABASE_URL", "it wins over " + Joined(idle) + ", which have no effect",
            "leave one or the other out");
}

}  // namespace

std::vector<Finding> CheckSettings(const Patient& patient) {
  Findings out("settings");
  for (const SettingError& error : patient.given.errors) {
    out.Fail(error.name.empty() ? "together" : error.name, error.message,
             "see docs/configuration.md; the daemon does not start with it");
  }
  CheckDoubts(patient, &out);
  CheckOverruled(patient, &out);
  std::vector<Finding> found = out.Take();
  if (!found.empty()) return found;
  out.Ok("all", std::to_string(SettingsTable().settings().size()) + " settings, no contradiction");
  return out.Take();
}

}  // namespace sluice
