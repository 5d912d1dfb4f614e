#include "ingest/settings.h"

#include "ingest/settings_rules.h"

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Table = SettingTable<Settings>;

constexpr milliseconds kMillisecond(1);
constexpr milliseconds kSecond = seconds(1);
constexpr milliseconds kMinute = minutes(1);
constexpr milliseconds kHour = hours(1);
constexpr milliseconds kDay = hours(24);
constexpr milliseconds kYear = 365 * kDay;

constexpr uint64_t kKiB = 1ULL << 10;
constexpr uint64_t kMiB = 1ULL << 20;
constexpr uint64_t kGiB = 1ULL << 30;
constexpr uint64_t kTiB = 1ULL << 40;

void AddBroker(Table* t) {
  t->Group("Broker");
  t->Add("MQTT_HOST", &Settings::mqtt_host, TextSetting(), "iot-mqtt",
         "Host name or address of the broker.");
  t->Add("MQTT_PORT", &Settings::mqtt_port, PortSetting(), "1883", "Port of the broker.");
  t->Add("MQTT_TOPIC", &Settings::mqtt_topic, ListSetting(),
         "tenant/+/device/+/telemetry,tenant/+/device/+/heartbeat",
         "Topic filters to subscribe to, separated by commas. Topics of the downlink that a filter "
         "catches are ignored and counted.");
  t->Add("MQTT_CLIENT_ID", &Settings::mqtt_client_id, TextSetting(), "sluice-ingest",
         "The broker keeps the session under this name: one per running daemon, the same after a "
         "restart.");
  t->Add("MQTT_SHARED_GROUP", &Settings::mqtt_shared_group, TextSetting(), "",
         "Subscribe as a member of this group ($share/GROUP/FILTER), so that several daemons share "
         "the messages. Without a name each daemon gets all of them.");
  t->Add("MQTT_USERNAME", &Settings::mqtt_username, TextSetting(), "", "User at the broker.");
  t->Add("MQTT_PASSWORD", &Settings::mqtt_password, TextSetting(), "", "Password of MQTT_USERNAME.")
      .secret = true;
  t->Add("MQTT_CA_CERT", &Settings::mqtt_ca_cert, TextSetting(), "/mosquitto/certs/ca.crt",
         "File with the certificates that may sign the broker's. TLS is used if the file exists; a "
         "file that was named and is missing is an error.");
  t->Add("MQTT_CLIENT_CERT", &Settings::mqtt_client_cert, TextSetting(), "",
         "File with the certificate to show to the broker.");
  t->Add("MQTT_CLIENT_KEY", &Settings::mqtt_client_key, TextSetting(), "",
         "File with the private key of MQTT_CLIENT_CERT.");
  t->Add("MQTT_TLS_INSECURE", &Settings::mqtt_tls_insecure, FlagSetting(), "0",
         "Do not check that the broker's certificate was made for MQTT_HOST. For tests only.");
  t->Add("MQTT_KEEPALIVE_SECONDS", &Settings::mqtt_keepalive,
         DurationSetting(kSecond, 5 * kSecond, 65535 * kSecond), "30",
         "How long the connection may be silent before it is probed.");
  t->Add("MQTT_SESSION_EXPIRY", &Settings::mqtt_session_expiry,
         DurationSetting(kSecond, kSecond, ((1LL << 31) - 1) * kSecond), "7d",
         "How long the broker queues messages for a daemon that is away. Afterwards they are "
         "lost.");
  t->Add("MQTT_RECEIVE_MAXIMUM", &Settings::mqtt_receive_maximum, IntegerSetting(1, 65535), "2000",
         "How many messages the broker may send before one is acknowledged.");
  t->Add("MQTT_READ_INTERVAL", &Settings::mqtt_read_interval,
         DurationSetting(kMillisecond, {}, kSecond), "5",
         "Milliseconds between two readings of the broker's connection while messages come: the "
         "more come together, the less each costs. After two readings that brought equally many "
         "it is 1 ms at most: these may be all that the broker lets be on their way "
         "(max_inflight_messages is 20 in a Mosquitto that says nothing). 0: read at once.");
  t->Add("MQTT_RECONNECT_MIN", &Settings::mqtt_reconnect_min,
         DurationSetting(kMillisecond, kMillisecond, kHour), "500ms",
         "First wait before connecting again; it doubles with every failure.");
  t->Add("MQTT_RECONNECT_MAX", &Settings::mqtt_reconnect_max,
         DurationSetting(kMillisecond, kMillisecond, kHour), "10s",
         "Longest wait before connecting again.");
}

void AddSpool(Table* t) {
  t->Group("Spool");
  t->Add("SPOOL_DIR", &Settings::spool_dir, TextSetting(), "/var/lib/sluice/spool",
         "Directory of the log on disk. It must outlive the process: what it holds was "
         "acknowledged.");
  t->Add("SPOOL_MAX_BYTES", &Settings::spool_max_bytes, BytesSetting(256 * kKiB, 256 * kTiB),
         "8GiB",
         "Size at which the daemon disconnects and leaves further messages with the broker until "
         "the database has caught up.");
  t->Add("SPOOL_SEGMENT_BYTES", &Settings::spool_segment_bytes, BytesSetting(64 * kKiB, 4 * kGiB),
         "64MiB", "Size of one file of the spool. Disk space is freed a file at a time.");
  t->Add("SPOOL_SYNC", &Settings::spool_sync,
         ChoiceSetting<SpoolSync>({{"none", SpoolSync::kNone},
                                   {"interval", SpoolSync::kInterval},
                                   {"always", SpoolSync::kAlways}}),
         "interval",
         "When messages are forced to the disk. A crash of the process loses nothing in any mode. "
         "A power cut loses at most SPOOL_SYNC_INTERVAL_MS with interval and nothing with always, "
         "which waits for the disk once for all that was read together. none is for tests.");
  t->Add("SPOOL_SYNC_INTERVAL_MS", &Settings::spool_sync_interval,
         DurationSetting(kMillisecond, kMillisecond, kMinute), "100",
         "Time between two syncs with SPOOL_SYNC=interval.");
  t->Add("SPOOL_REDELIVERY_WINDOW", &Settings::spool_redelivery_window,
         IntegerSetting(0, 10'000'000), "250000",
         "How many of the last messages are remembered, 40 bytes each, and stay on disk after they "
         "are committed, to recognise what the broker sends again after a lost connection or a "
         "crash. What it has on the way beyond that is stored twice. MQTT_RECEIVE_MAXIMUM is no "
         "bound for it: Mosquitto 2.0 exceeds that when it has a queue. At most a quarter of "
         "SPOOL_MAX_BYTES is kept so.");
  t->Add("LIVE_FIRST_AFTER", &Settings::live_first_after, DurationSetting(kSecond, {}, kDay), "10s",
         "When the messages being stored are older than this (PostgreSQL was away, or the daemon), "
         "those that arrive from then on are stored first and the backlog beside them. 0: always "
         "the oldest first.");
}

void AddWork(Table* t) {
  t->Group("Workers");
  t->Add("INGEST_WORKER_COUNT", &Settings::ingest_worker_count, IntegerSetting(1, 64), "2",
         "Threads that check messages and write them, each with a database connection.");
  t->Add("BATCH_SIZE", &Settings::batch_size, IntegerSetting(1, 100'000), "2000",
         "Most messages of one chunk: what a worker takes at once and writes in one transaction.");
  t->Add("CHUNK_MAX_BYTES", &Settings::chunk_max_bytes, BytesSetting(64 * kKiB, 256 * kMiB), "4MiB",
         "Most bytes of one chunk. A single larger message is a chunk of its own.");
  t->Add("INGEST_QUEUE_SIZE", &Settings::ingest_queue_size, IntegerSetting(1, 10'000'000), "50000",
         "Most messages in memory between the spool and the database. The rest waits on disk.");
  t->Add("FLUSH_INTERVAL_MS", &Settings::flush_interval, DurationSetting(kMillisecond, {}, kMinute),
         "20", "The longest a message waits for its chunk to fill.");
  t->Add("DRAIN_SECONDS", &Settings::drain, DurationSetting(kSecond, kMillisecond, kHour), "20",
         "How long a daemon that was asked to stop goes on writing what it has. The rest stays in "
         "the spool for the next start.");
}

void AddDatabase(Table* t) {
  t->Group("Database");
  t->Add("DATABASE_URL", &Settings::database_url, TextSetting(), "",
         "Connection string or URL of PostgreSQL. Wins over PG_HOST, PG_PORT, PG_DB, PG_USER and "
         "PG_PASS.")
      .secret = true;
  t->Add("PG_HOST", &Settings::pg_host, TextSetting(), "iot-postgres",
         "Host name, address or socket directory of PostgreSQL.");
  t->Add("PG_PORT", &Settings::pg_port, PortSetting(), "5432", "Port of PostgreSQL.");
  t->Add("PG_DB", &Settings::pg_db, TextSetting(), "iotcloud", "Name of the database.");
  t->Add("PG_USER", &Settings::pg_user, TextSetting(), "iot", "Role to connect as.");
  t->Add("PG_PASS", &Settings::pg_pass, TextSetting(), "iot_dev", "Password of PG_USER.").secret =
      true;
  t->Add("PG_CONNECT_TIMEOUT", &Settings::pg_connect_timeout,
         DurationSetting(kSecond, 100 * kMillisecond, 10 * kMinute), "5s",
         "Longest wait for a connection.");
  t->Add("WRITE_TIMEOUT", &Settings::write_timeout,
         DurationSetting(kSecond, 100 * kMillisecond, kHour), "30s",
         "Deadline of every database statement. Past it the connection is given up and the chunk "
         "is tried again.");
  t->Add("RETRY_MIN", &Settings::retry_min, DurationSetting(kMillisecond, kMillisecond, kHour),
         "100ms", "First wait before a failed chunk is tried again; it doubles every time.");
  t->Add("RETRY_MAX", &Settings::retry_max, DurationSetting(kMillisecond, kMillisecond, kHour),
         "10s", "Longest wait before a failed chunk is tried again.");
  t->Add("SETTINGS_POLL_SECONDS", &Settings::settings_poll,
         DurationSetting(kSecond, 100 * kMillisecond, kDay), "5",
         "How often the table app_settings is read, besides when it changes.");
  t->Add("LISTEN_DATABASE_URL", &Settings::listen_database_url, TextSetting(), "",
         "Connection string or URL of the same database for LISTEN, where DATABASE_URL leads "
         "through a pooler that shares connections between transactions (PgBouncer). Without it, "
         "the connection is made like the others.")
      .secret = true;
  t->Add("LISTEN_HEARTBEAT", &Settings::listen_heartbeat,
         DurationSetting(kSecond, 100 * kMillisecond, kMinute), "5s",
         "How often it is tried out whether notifications arrive. A line that is dead without a "
         "sign is noticed within twice this time; a revocation may be late by as much then.");
  t->Add("TELEMETRY_RETENTION", &Settings::telemetry_retention,
         DurationSetting(kDay, {}, 100 * kYear), "0",
         "Telemetry older than this is dropped, a daily partition at a time. 0 keeps it for ever.");
  t->Add("PARTITIONS_AHEAD_DAYS", &Settings::partitions_ahead_days, IntegerSetting(1, 366), "7",
         "For how many days to come the partitions of telemetry are made in advance.");
}

void AddChecks(Table* t) {
  t->Group("Checks");
  t->Add("MAX_PAYLOAD_BYTES", &Settings::max_payload_bytes, BytesSetting(1, 64 * kMiB), "8192",
         "Largest payload accepted.")
      .reloadable = true;
  t->Add("TS_MAX_AGE", &Settings::ts_max_age, DurationSetting(kSecond, kSecond, 100 * kYear), "30d",
         "How far in the past the time of a reading may lie.");
  t->Add("TS_MAX_AHEAD", &Settings::ts_max_ahead, DurationSetting(kSecond, {}, kYear), "10m",
         "How far in the future the time of a reading may lie.");
  t->Add("AUTO_PROVISION", &Settings::auto_provision, FlagSetting(), "0",
         "Add a device that is not in the registry, if its tenant's subscription has room.");
  t->Add(
      "IDENTITY_MODE", &Settings::identity_mode,
      ChoiceSetting<IdentityMode>(
          {{"topic", IdentityMode::kTopic}, {"stamp", IdentityMode::kStamp}}),
      "topic",
      "Who is taken for the sender of a message: with stamp, whom the stamp of the broker's plugin "
      "names; with topic, whom the topic names, which is warned about at every start. Where it is "
      "not set and CERT_AUTH_ENABLED=1, it is stamp.");
  t->Add("STAMP_KEY_FILE", &Settings::stamp_key_file, TextSetting(), "",
         "File with the key of the stamps, or two keys, the same as the broker's plugin has. Only "
         "its owner may read it; one of root's, its group too. SIGHUP reads it again. With "
         "IDENTITY_MODE=topic, a stamp that comes is checked if this is set, and ignored "
         "otherwise.");
  t->Add("CERT_AUTH_ENABLED", &Settings::cert_auth_enabled, FlagSetting(), "0",
         "Take an active, unexpired certificate of the device as proof.");
  t->Add("REQUIRE_TOKEN", &Settings::require_token, FlagSetting(), "1",
         "Ask for the device's provision token where no certificate proves it.");
  t->Add("AUTH_CACHE_TTL_SECONDS", &Settings::auth_cache_ttl,
         DurationSetting(kSecond, kMillisecond, kDay), "60",
         "How long what is known of a device is used before it is read again.");
  t->Add("AUTH_CACHE_NEGATIVE_TTL_SECONDS", &Settings::auth_cache_negative_ttl,
         DurationSetting(kSecond, {}, kDay), "10",
         "The same for a device that is not in the registry.");
  t->Add("AUTH_CACHE_MAX_SIZE", &Settings::auth_cache_max_size, IntegerSetting(1, 100'000'000),
         "100000",
         "Most devices kept in memory; give it the size of the fleet. The service before this one "
         "had 10000.");
  t->Add(
       "RATE_LIMIT_RPS", &Settings::rate_limit_rps, RealSetting(0, 1'000'000), "5",
       "Messages a second that each device may send in the long run. With 0 it may send its burst "
       "and then nothing until its bucket is forgotten.")
      .reloadable = true;
  t->Add("RATE_LIMIT_BURST", &Settings::rate_limit_burst, RealSetting(1, 1'000'000), "20",
         "Messages that a device may send at once after a pause.")
      .reloadable = true;
  t->Add("BUCKET_TTL_SECONDS", &Settings::bucket_ttl, DurationSetting(kSecond, kSecond, kYear),
         "3600", "A device's rate is forgotten when it has sent nothing for this long.");
  t->Add("BUCKET_CLEANUP_INTERVAL", &Settings::bucket_cleanup_interval,
         DurationSetting(kSecond, kSecond, kDay), "300",
         "How often forgotten rates are cleared from memory.");
}

void AddQuarantine(Table* t) {
  t->Group("Quarantine");
  t->Add("STORE_REJECTS", &Settings::store_rejects, FlagSetting(), "1",
         "Store rejected messages in quarantine_events. They are counted in any case.")
      .reloadable = true;
  t->Add("QUARANTINE_PER_DEVICE_PER_MINUTE", &Settings::quarantine_per_device_per_minute,
         IntegerSetting(0, 1'000'000'000), "60",
         "Most messages stored per device, reason and minute. The rest is counted.");
  t->Add("QUARANTINE_PER_MINUTE", &Settings::quarantine_per_minute,
         IntegerSetting(0, 1'000'000'000), "60000",
         "Most messages stored per minute, all devices together. The rest is counted.");
  t->Add("QUARANTINE_PAYLOAD_MAX_BYTES", &Settings::quarantine_payload_max_bytes,
         BytesSetting(256, 64 * kMiB), "16KiB",
         "How much of a rejected payload is stored. What was cut off cannot be replayed.");
  t->Add("COUNTERS_ENABLED", &Settings::counters_enabled, FlagSetting(), "1",
         "Count rejects per minute, tenant and reason in quarantine_counters_minute.");
  t->Add("QUARANTINE_RETENTION", &Settings::quarantine_retention,
         DurationSetting(kDay, {}, 100 * kYear), "30d",
         "Quarantined messages and minutes of quarantine_counters_minute older than this are "
         "deleted, whether they were replayed or not. 0 keeps them for ever.");
}

void AddObserving(Table* t) {
  t->Group("Observing");
  t->Add("HTTP_HOST", &Settings::http_host, TextSetting(), "0.0.0.0",
         "Address on which /health, /ready, /metrics and the console are served.");
  t->Add("HTTP_PORT", &Settings::http_port, PortSetting(0), "8080",
         "Port of the same; 0 takes any free one.");
  t->Add("HTTP_MAX_CONNECTIONS", &Settings::http_max_connections, IntegerSetting(8, 10'000), "256",
         "Most clients of it at once. One more takes the place of the oldest.");
  t->Add("HTTP_TIMEOUT", &Settings::http_timeout,
         DurationSetting(kSecond, 100 * kMillisecond, 10 * kMinute), "5s",
         "How long a request may take to arrive, and then its answer to be taken.");
  t->Add("CONSOLE_ENABLED", &Settings::console_enabled, FlagSetting(), "1",
         "Serve the console, a page and its API, beside them. Whoever reaches HTTP_PORT can then "
         "read what is in quarantine. With 0, only /api/v1/status is left of it.");
  t->Add("ADMIN_TOKEN", &Settings::admin_token, TextSetting(), "",
         "The password, without a user's name, for replaying and discarding messages through the "
         "console. At least 16 characters. Where it is not set, the console only reads.")
      .secret = true;
  t->Add("SERVICE_NAME", &Settings::service_name, TextSetting(), "ingest",
         "Name of the daemon in logs and in /health.");
  t->Add("LOG_LEVEL", &Settings::log_level,
         ChoiceSetting<LogLevel>({{"DEBUG", LogLevel::kDebug},
                                  {"INFO", LogLevel::kInfo},
                                  {"WARNING", LogLevel::kWarning},
                                  {"ERROR", LogLevel::kError}}),
         "INFO", "The least important lines to write.");
  t->Add("LOG_FORMAT", &Settings::log_format,
         ChoiceSetting<LogFormat>({{"text", LogFormat::kText}, {"json", LogFormat::kJson}}), "text",
         "How a line is written, to standard error.");
  t->Add("LOG_STATS_EVERY_SECONDS", &Settings::log_stats_every,
         DurationSetting(kSecond, kSecond, kDay), "30", "How often a line sums up the work done.");
  t->Add("PKI_WATCH_FILES", &Settings::pki_watch_files, ListSetting(), "",
         "Files with certificates or revocation lists, separated by commas. They are read every "
         "minute, and /metrics says when the first thing in each of them ends. Name what the "
         "broker reads: its own certificate, the authorities', and device-crl.pem. No keys.");
}

// What was given, and the defaults; one of them hangs on what was given.
std::vector<SettingValue> ReadValues(const Environment& environment,
                                     std::vector<SettingError>* errors) {
  auto values = ReadSettings(SettingsTable().settings(), environment, errors);
  SettingValue& mode = values[SettingPlace("IDENTITY_MODE")];
  const std::string& certificates = values[SettingPlace("CERT_AUTH_ENABLED")].text;
  if (mode.source == SettingSource::kDefault && FlagSetting().parse(certificates).value_or(false)) {
    mode.text = "stamp";
  }
  return values;
}

// A value of a libpq connection string.
std::string Quoted(const std::string& value) {
  std::string quoted = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

}  // namespace

std::string Settings::Conninfo() const {
  if (!database_url.empty()) return database_url;
  return "host=" + Quoted(pg_host) + " port=" + std::to_string(pg_port) +
         " dbname=" + Quoted(pg_db) + " user=" + Quoted(pg_user) + " password=" + Quoted(pg_pass);
}

std::string Settings::ListenConninfo() const {
  return listen_database_url.empty() ? Conninfo() : listen_database_url;
}

const SettingTable<Settings>& SettingsTable() {
  static const Table table = [] {
    Table t;
    AddBroker(&t);
    AddSpool(&t);
    AddWork(&t);
    AddDatabase(&t);
    AddChecks(&t);
    AddQuarantine(&t);
    AddObserving(&t);
    return t;
  }();
  return table;
}

size_t SettingPlace(const std::string& name) {
  return static_cast<size_t>(SettingsTable().Find(name) - SettingsTable().settings().data());
}

SettingsAndErrors ReadAllSettings(const Environment& environment, SettingsFor reader) {
  SettingsAndErrors read;
  const Table& table = SettingsTable();
  read.values = ReadValues(environment, &read.errors);
  table.Assign(ReadValues([](const char*) { return nullptr; }, &read.errors), &read.settings,
               &read.errors);
  table.Assign(read.values, &read.settings, &read.errors);
  if (reader == SettingsFor::kDaemon) CheckFiles(read.values, &read.settings, &read.errors);
  CheckRules(read.values, read.settings, &read.errors);
  return read;
}

Result<Settings> LoadSettings(const Environment& environment, SettingsFor reader) {
  SettingsAndErrors read = ReadAllSettings(environment, reader);
  if (read.errors.empty()) return std::move(read.settings);
  std::string message;
  for (const SettingError& error : read.errors) {
    message += (message.empty() ? "" : "\n") + error.message;
  }
  return Status(ErrorCode::kInvalidArgument, std::move(message));
}

std::string RenderConfiguration(const Environment& environment) {
  std::vector<SettingError> errors;
  return RenderSettings(SettingsTable().settings(), ReadValues(environment, &errors));
}

std::string RenderConfigurationHelp() {
  return RenderSettingsHelp(SettingsTable().settings());
}

}  // namespace sluice
