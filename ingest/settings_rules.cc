#include "ingest/settings_rules.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "auth/stamp.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

// Goes into a header as it is.
bool IsAdminToken(const std::string& token) {
  constexpr size_t kLeast = 16;
  return token.size() >= kLeast &&
         std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

bool IsGroupName(const std::string& name) {
  return name.find_first_of("/+#") == std::string::npos;
}

// A setting that was given and read, for rules and messages.
class Given {
 public:
  Given(const std::vector<SettingValue>& values, std::vector<SettingError>* errors)
      : values_(values), errors_(*errors) {}

  bool Wrong(const std::string& name) const {
    return std::any_of(errors_.begin(), errors_.end(),
                       [&](const SettingError& error) { return error.name == name; });
  }
  SettingSource Source(const std::string& name) const { return values_[SettingPlace(name)].source; }
  std::string Show(const std::string& name) const {
    return ShowSetting(SettingsTable().settings()[SettingPlace(name)],
                       values_[SettingPlace(name)].text);
  }
  void Refuse(const std::vector<std::string>& names, const std::string& sentence) {
    std::string message;
    for (const std::string& name : names) message += (message.empty() ? "" : ", ") + Show(name);
    // What two settings do wrong together leaves each of them right for other rules.
    errors_.push_back({names.size() == 1 ? names.front() : "", message + ": " + sentence});
  }

 private:
  const std::vector<SettingValue>& values_;
  std::vector<SettingError>& errors_;
};

// A file that can be read, or none.
void CheckFile(const std::string& name, const std::string& path, Given* given) {
  if (path.empty() || ::access(path.c_str(), R_OK) == 0) return;
  given->Refuse({name}, std::string("the file cannot be read: ") + std::strerror(errno));
}

}  // namespace

const std::vector<SettingRule>& SettingRules() {
  using S = const Settings&;
  static const std::vector<SettingRule> rules = {
      {{"FLUSH_INTERVAL_MS", "DRAIN_SECONDS"},
       "a chunk must be able to fill and be written while the daemon drains, so the flush interval "
       "must be shorter than the drain",
       [](S s) { return s.flush_interval < s.drain; }},
      {{"AUTH_CACHE_NEGATIVE_TTL_SECONDS", "AUTH_CACHE_TTL_SECONDS"},
       "an unknown device must not be remembered longer than a known one",
       [](S s) { return s.auth_cache_negative_ttl <= s.auth_cache_ttl; }},
      {{"INGEST_WORKER_COUNT", "BATCH_SIZE", "INGEST_QUEUE_SIZE"},
       "the queue must hold a full batch of every worker, so workers times batch size must not "
       "exceed it",
       [](S s) { return s.ingest_worker_count * s.batch_size <= s.ingest_queue_size; }},
      {{"SPOOL_SEGMENT_BYTES", "SPOOL_MAX_BYTES"},
       "the spool is freed a segment at a time, so it must have room for at least four",
       [](S s) { return s.spool_segment_bytes * 4 <= s.spool_max_bytes; }},
      {{"MAX_PAYLOAD_BYTES", "CHUNK_MAX_BYTES"},
       "a chunk must have room for the largest payload",
       [](S s) { return s.max_payload_bytes <= s.chunk_max_bytes; }},
      {{"QUARANTINE_PAYLOAD_MAX_BYTES", "CHUNK_MAX_BYTES"},
       "a stored payload must not be larger than a chunk",
       [](S s) { return s.quarantine_payload_max_bytes <= s.chunk_max_bytes; }},
      {{"MQTT_CLIENT_CERT", "MQTT_CLIENT_KEY"},
       "a certificate and its key are set both or neither",
       [](S s) { return s.mqtt_client_cert.empty() == s.mqtt_client_key.empty(); }},
      {{"MQTT_CLIENT_CERT", "MQTT_CA_CERT"},
       "a client certificate needs TLS, which is used only when the file of the CA exists",
       [](S s) { return s.mqtt_client_cert.empty() || !s.mqtt_ca_cert.empty(); }},
      {{"MQTT_SHARED_GROUP"},
       "the name of a group must not contain /, + or #",
       [](S s) { return IsGroupName(s.mqtt_shared_group); }},
      {{"ADMIN_TOKEN"},
       "a token must have at least 16 characters, of ASCII and without spaces",
       [](S s) { return s.admin_token.empty() || IsAdminToken(s.admin_token); }},
      {{"ADMIN_TOKEN", "CONSOLE_ENABLED"},
       "a token is for the console, so it needs CONSOLE_ENABLED=1",
       [](S s) { return s.admin_token.empty() || s.console_enabled; }},
      {{"MQTT_RECONNECT_MIN", "MQTT_RECONNECT_MAX"},
       "the first wait must not be longer than the longest",
       [](S s) { return s.mqtt_reconnect_min <= s.mqtt_reconnect_max; }},
      {{"RETRY_MIN", "RETRY_MAX"},
       "the first wait must not be longer than the longest",
       [](S s) { return s.retry_min <= s.retry_max; }},
      {{"WRITE_TIMEOUT", "PG_CONNECT_TIMEOUT"},
       "a statement must be given more time than connecting",
       [](S s) { return s.write_timeout > s.pg_connect_timeout; }},
      {{"TELEMETRY_RETENTION"},
       "partitions are a day long, so the retention must be 0 or at least 1d",
       [](S s) {
         return s.telemetry_retention == milliseconds(0) ||
                s.telemetry_retention >= std::chrono::hours(24);
       }},
      {{"TS_MAX_AGE", "TELEMETRY_RETENTION"},
       "a reading must not be accepted that is already old enough to be dropped",
       [](S s) {
         return s.telemetry_retention == milliseconds(0) || s.ts_max_age <= s.telemetry_retention;
       }},
      {{"BUCKET_TTL_SECONDS", "RATE_LIMIT_RPS", "RATE_LIMIT_BURST"},
       "a rate must not be forgotten before the device may send its whole burst again",
       [](S s) {
         const std::chrono::duration<double> forgotten_after = s.bucket_ttl;
         return s.rate_limit_rps == 0 ||
                forgotten_after.count() * s.rate_limit_rps >= s.rate_limit_burst;
       }},
  };
  return rules;
}

void CheckFiles(const std::vector<SettingValue>& values, Settings* settings,
                std::vector<SettingError>* errors) {
  Given given(values, errors);
  std::error_code unknown;
  if (given.Source("MQTT_CA_CERT") == SettingSource::kDefault &&
      !std::filesystem::exists(settings->mqtt_ca_cert, unknown) && !unknown) {
    settings->mqtt_ca_cert.clear();
  }
  CheckFile("MQTT_CA_CERT", settings->mqtt_ca_cert, &given);
  CheckFile("MQTT_CLIENT_CERT", settings->mqtt_client_cert, &given);
  CheckFile("MQTT_CLIENT_KEY", settings->mqtt_client_key, &given);
  if (!settings->stamp_key_file.empty()) {
    const auto keys = StampKeys::Load(settings->stamp_key_file);
    if (!keys.ok()) given.Refuse({"STAMP_KEY_FILE"}, keys.message());
  } else if (settings->identity_mode == IdentityMode::kStamp) {
    given.Refuse({"IDENTITY_MODE", "STAMP_KEY_FILE"},
                 "stamp, which is the default with CERT_AUTH_ENABLED=1, needs the key of the "
                 "broker's plugin: set STAMP_KEY_FILE, or IDENTITY_MODE=topic");
  }
}

void CheckRules(const std::vector<SettingValue>& values, const Settings& settings,
                std::vector<SettingError>* errors) {
  Given given(values, errors);
  for (const SettingRule& rule : SettingRules()) {
    const bool judged = std::none_of(rule.settings.begin(), rule.settings.end(),
                                     [&](const auto& name) { return given.Wrong(name); });
    if (judged && !rule.holds(settings)) given.Refuse(rule.settings, rule.sentence);
  }
}

}  // namespace sluice
