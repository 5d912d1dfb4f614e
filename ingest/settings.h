// Settings: everything an operator can set, as native values. docs/configuration.md says what each
// means; it is made from the same table as the parser.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "auth/authenticator.h"
#include "base/log.h"
#include "base/setting_table.h"
#include "base/status.h"
#include "ingest/spool/spool.h"

namespace sluice {

// A plain value: field = the setting's name in lower case, without _MS and _SECONDS.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): in the order of the page
struct Settings {
  using Milliseconds = std::chrono::milliseconds;

  // Broker
  std::string mqtt_host;
  uint16_t mqtt_port = 0;
  std::vector<std::string> mqtt_topic;
  std::string mqtt_client_id;
  std::string mqtt_shared_group;
  std::string mqtt_username;
  std::string mqtt_password;
  std::string mqtt_ca_cert;  // empty when the default file does not exist: no TLS
  std::string mqtt_client_cert;
  std::string mqtt_client_key;
  bool mqtt_tls_insecure = false;
  Milliseconds mqtt_keepalive{};
  Milliseconds mqtt_session_expiry{};
  int64_t mqtt_receive_maximum = 0;
  Milliseconds mqtt_read_interval{};
  Milliseconds mqtt_reconnect_min{};
  Milliseconds mqtt_reconnect_max{};

  // Spool
  std::string spool_dir;
  uint64_t spool_max_bytes = 0;
  uint64_t spool_segment_bytes = 0;
  SpoolSync spool_sync = SpoolSync::kInterval;
  Milliseconds spool_sync_interval{};
  int64_t spool_redelivery_window = 0;
  Milliseconds live_first_after{};

  // Work
  int64_t ingest_worker_count = 0;
  int64_t batch_size = 0;
  uint64_t chunk_max_bytes = 0;
  int64_t ingest_queue_size = 0;
  Milliseconds flush_interval{};
  Milliseconds drain{};

  // Database
  std::string database_url;
  std::string pg_host;
  uint16_t pg_port = 0;
  std::string pg_db;
  std::string pg_user;
  std::string pg_pass;
  Milliseconds pg_connect_timeout{};
  Milliseconds write_timeout{};
  Milliseconds retry_min{};
  Milliseconds retry_max{};
  Milliseconds settings_poll{};
  std::string listen_database_url;
  Milliseconds listen_heartbeat{};
  Milliseconds telemetry_retention{};  // 0: rows stay for ever
  int64_t partitions_ahead_days = 0;

  // Checks
  uint64_t max_payload_bytes = 0;
  Milliseconds ts_max_age{};
  Milliseconds ts_max_ahead{};
  bool auto_provision = false;
  IdentityMode identity_mode = IdentityMode::kTopic;
  std::string stamp_key_file;  // empty: no stamp is looked at
  bool cert_auth_enabled = false;
  bool require_token = false;
  Milliseconds auth_cache_ttl{};
  Milliseconds auth_cache_negative_ttl{};
  int64_t auth_cache_max_size = 0;
  double rate_limit_rps = 0;
  double rate_limit_burst = 0;
  Milliseconds bucket_ttl{};
  Milliseconds bucket_cleanup_interval{};

  // Quarantine
  bool store_rejects = false;
  int64_t quarantine_per_device_per_minute = 0;
  int64_t quarantine_per_minute = 0;
  uint64_t quarantine_payload_max_bytes = 0;
  bool counters_enabled = false;
  Milliseconds quarantine_retention{};  // 0: messages stay for ever

  // Observing
  std::string http_host;
  uint16_t http_port = 0;
  int64_t http_max_connections = 0;
  Milliseconds http_timeout{};
  bool console_enabled = false;
  std::string admin_token;  // empty: the console changes nothing
  std::string service_name;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  Milliseconds log_stats_every{};
  std::vector<std::string> pki_watch_files;  // names of files

  // For PgConnection::Connect: DATABASE_URL if set, else built from PG_*. Holds the password.
  std::string Conninfo() const;
  // The same for listening: LISTEN_DATABASE_URL if set.
  std::string ListenConninfo() const;
};

// Lives as long as the process; thread-safe.
const SettingTable<Settings>& SettingsTable();

// Place of a setting in SettingsTable().settings().
size_t SettingPlace(const std::string& name);

// Who reads the settings. Files that only the daemon opens need not be there for a tool, which may
// run as somebody who must not read them.
enum class SettingsFor { kDaemon, kTool };

// What can be used of the settings, the default in the place of each that will not do, and what is
// wrong with them.
struct SettingsAndErrors {
  Settings settings;
  std::vector<SettingValue> values;  // what was given, in the order of the table
  std::vector<SettingError> errors;
};
SettingsAndErrors ReadAllSettings(const Environment& environment, SettingsFor reader);

// Every setting, or one line for each that is wrong and for each contradiction between them.
Result<Settings> LoadSettings(const Environment& environment,
                              SettingsFor reader = SettingsFor::kDaemon);

// What is in force, without judging it: "NAME=value  # default" lines, secrets masked.
std::string RenderConfiguration(const Environment& environment);
std::string RenderConfigurationHelp();

}  // namespace sluice
