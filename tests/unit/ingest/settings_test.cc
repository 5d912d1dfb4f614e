#include "ingest/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <tuple>

#include "ingest/settings_pages.h"

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

using Variables = std::map<std::string, std::string>;

Environment From(Variables variables) {
  return [variables = std::move(variables)](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

Settings Loaded(Variables variables) {
  Result<Settings> settings = LoadSettings(From(std::move(variables)));
  EXPECT_TRUE(settings.ok()) << settings.status().message();
  return settings.ok() ? *settings : Settings();
}

// The lines that refuse these settings.
std::vector<std::string> Mistakes(Variables variables) {
  const Result<Settings> settings = LoadSettings(From(std::move(variables)));
  std::vector<std::string> lines;
  if (settings.ok()) return lines;
  EXPECT_EQ(settings.code(), ErrorCode::kInvalidArgument);
  std::istringstream in(settings.message());
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(Settings, WantAnAdminTokenThatCannotBeGuessedAndShowItNowhere) {
  EXPECT_EQ(Loaded({}).admin_token, "");
  EXPECT_EQ(Loaded({{"ADMIN_TOKEN", "sixteen-letters!"}}).admin_token, "sixteen-letters!");
  for (const char* token :
       {"fifteen-letters", "with spaces in the middle", "mit-Umlauten-äöü-äöü"}) {
    EXPECT_THAT(Mistakes({{"ADMIN_TOKEN", token}}),
                ElementsAre("ADMIN_TOKEN=********: a token must have at least 16 characters, of "
                            "ASCII and without spaces"));
  }
  EXPECT_THAT(RenderConfiguration(From({{"ADMIN_TOKEN", "sixteen-letters!"}})),
              Not(HasSubstr("sixteen")));
  EXPECT_THAT(Mistakes({{"ADMIN_TOKEN", "sixteen-letters!"}, {"CONSOLE_ENABLED", "0"}}), SizeIs(1));
}

TEST(Settings, HaveTheDefaultsOfTheOldServiceWhereItHadThem) {
  const Settings s = Loaded({});
  EXPECT_EQ(s.mqtt_host, "iot-mqtt");
  EXPECT_EQ(s.mqtt_port, 1883);
  EXPECT_EQ(s.mqtt_username, "");
  EXPECT_EQ(s.mqtt_password, "");
  EXPECT_FALSE(s.mqtt_tls_insecure);
  EXPECT_EQ(s.pg_host, "iot-postgres");
  EXPECT_EQ(s.pg_port, 5432);
  EXPECT_EQ(s.pg_db, "iotcloud");
  EXPECT_EQ(s.pg_user, "iot");
  EXPECT_EQ(s.pg_pass, "iot_dev");
  EXPECT_FALSE(s.auto_provision);
  EXPECT_TRUE(s.require_token);
  EXPECT_FALSE(s.cert_auth_enabled);
  EXPECT_TRUE(s.counters_enabled);
  EXPECT_EQ(s.settings_poll, seconds(5));
  EXPECT_EQ(s.log_stats_every, seconds(30));
  EXPECT_EQ(s.auth_cache_ttl, seconds(60));
  EXPECT_EQ(s.ingest_queue_size, 50'000);
  EXPECT_EQ(s.bucket_ttl, hours(1));
  EXPECT_EQ(s.bucket_cleanup_interval, minutes(5));
  EXPECT_EQ(s.max_payload_bytes, 8192U);
  EXPECT_EQ(s.rate_limit_rps, 5);
  EXPECT_EQ(s.rate_limit_burst, 20);
}

TEST(Settings, HaveTheirOwnDefaultsOtherwise) {
  const Settings s = Loaded({});
  EXPECT_THAT(s.mqtt_topic,
              ElementsAre("tenant/+/device/+/telemetry", "tenant/+/device/+/heartbeat"));
  EXPECT_EQ(s.mqtt_client_id, "sluice-ingest");
  EXPECT_EQ(s.mqtt_shared_group, "");
  EXPECT_EQ(s.mqtt_keepalive, seconds(30));
  EXPECT_EQ(s.mqtt_session_expiry, hours(7 * 24));
  EXPECT_EQ(s.mqtt_receive_maximum, 2000);
  EXPECT_EQ(s.mqtt_reconnect_min, milliseconds(500));
  EXPECT_EQ(s.mqtt_reconnect_max, seconds(10));
  EXPECT_EQ(s.spool_dir, "/var/lib/sluice/spool");
  EXPECT_EQ(s.spool_max_bytes, 8ULL << 30);
  EXPECT_EQ(s.spool_segment_bytes, 64U << 20);
  EXPECT_EQ(s.spool_sync, SpoolSync::kInterval);
  EXPECT_EQ(s.spool_sync_interval, milliseconds(100));
  EXPECT_EQ(s.flush_interval, milliseconds(20));
  EXPECT_EQ(s.batch_size, 2000);
  EXPECT_EQ(s.ingest_worker_count, 2);
  EXPECT_EQ(s.chunk_max_bytes, 4U << 20);
  EXPECT_EQ(s.drain, seconds(20));
  EXPECT_EQ(s.pg_connect_timeout, seconds(5));
  EXPECT_EQ(s.write_timeout, seconds(30));
  EXPECT_EQ(s.retry_min, milliseconds(100));
  EXPECT_EQ(s.retry_max, seconds(10));
  EXPECT_EQ(s.telemetry_retention, seconds(0));
  EXPECT_EQ(s.partitions_ahead_days, 7);
  EXPECT_EQ(s.ts_max_age, hours(30 * 24));
  EXPECT_EQ(s.ts_max_ahead, minutes(10));
  EXPECT_EQ(s.identity_mode, IdentityMode::kTopic);
  EXPECT_EQ(s.auth_cache_negative_ttl, seconds(10));
  EXPECT_EQ(s.auth_cache_max_size, 100'000);
  EXPECT_TRUE(s.store_rejects);
  EXPECT_EQ(s.quarantine_per_device_per_minute, 60);
  EXPECT_EQ(s.quarantine_per_minute, 60'000);
  EXPECT_EQ(s.quarantine_payload_max_bytes, 16U << 10);
  EXPECT_EQ(s.http_host, "0.0.0.0");
  EXPECT_EQ(s.http_port, 8080);
  EXPECT_EQ(s.http_max_connections, 256);
  EXPECT_EQ(s.http_timeout, seconds(5));
  EXPECT_EQ(s.service_name, "ingest");
  EXPECT_EQ(s.log_level, LogLevel::kInfo);
  EXPECT_EQ(s.log_format, LogFormat::kText);
}

TEST(Settings, CountABareNumberInTheUnitOfTheirName) {
  const Settings s = Loaded({{"FLUSH_INTERVAL_MS", "1000"},
                             {"AUTH_CACHE_TTL_SECONDS", "90"},
                             {"BUCKET_CLEANUP_INTERVAL", "60"},
                             {"TELEMETRY_RETENTION", "90"},
                             {"DRAIN_SECONDS", "1m"}});
  EXPECT_EQ(s.flush_interval, seconds(1));
  EXPECT_EQ(s.auth_cache_ttl, seconds(90));
  EXPECT_EQ(s.bucket_cleanup_interval, minutes(1));
  EXPECT_EQ(s.telemetry_retention, hours(90 * 24));
  EXPECT_EQ(s.drain, minutes(1));
}

TEST(Settings, KnowTheLogLevelsInAnyCase) {
  EXPECT_EQ(Loaded({{"LOG_LEVEL", "debug"}}).log_level, LogLevel::kDebug);
  EXPECT_EQ(Loaded({{"LOG_LEVEL", "Warning"}}).log_level, LogLevel::kWarning);
  EXPECT_EQ(Loaded({{"LOG_LEVEL", "ERROR"}}).log_level, LogLevel::kError);
}

TEST(Settings, RefuseContradictionsAndNameBothSides) {
  const std::pair<Variables, std::string> cases[] = {
      {{{"FLUSH_INTERVAL_MS", "30s"}}, "FLUSH_INTERVAL_MS=30s, DRAIN_SECONDS=20: "},
      {{{"DRAIN_SECONDS", "20ms"}}, "FLUSH_INTERVAL_MS=20, DRAIN_SECONDS=20ms: "},
      {{{"AUTH_CACHE_TTL_SECONDS", "9"}},
       "AUTH_CACHE_NEGATIVE_TTL_SECONDS=10, AUTH_CACHE_TTL_SECONDS=9: "},
      {{{"BATCH_SIZE", "25001"}},
       "INGEST_WORKER_COUNT=2, BATCH_SIZE=25001, INGEST_QUEUE_SIZE=50000: "},
      {{{"SPOOL_MAX_BYTES", "255MiB"}}, "SPOOL_SEGMENT_BYTES=64MiB, SPOOL_MAX_BYTES=255MiB: "},
      {{{"MAX_PAYLOAD_BYTES", "5MiB"}}, "MAX_PAYLOAD_BYTES=5MiB, CHUNK_MAX_BYTES=4MiB: "},
      {{{"QUARANTINE_PAYLOAD_MAX_BYTES", "5MiB"}},
       "QUARANTINE_PAYLOAD_MAX_BYTES=5MiB, CHUNK_MAX_BYTES=4MiB: "},
      {{{"MQTT_SHARED_GROUP", "a/b"}}, "MQTT_SHARED_GROUP=a/b: "},
      {{{"MQTT_RECONNECT_MIN", "31s"}}, "MQTT_RECONNECT_MIN=31s, MQTT_RECONNECT_MAX=10s: "},
      {{{"RETRY_MIN", "11s"}}, "RETRY_MIN=11s, RETRY_MAX=10s: "},
      {{{"WRITE_TIMEOUT", "5s"}}, "WRITE_TIMEOUT=5s, PG_CONNECT_TIMEOUT=5s: "},
      {{{"TELEMETRY_RETENTION", "1h"}}, "TELEMETRY_RETENTION=1h: "},
      {{{"TELEMETRY_RETENTION", "7d"}}, "TS_MAX_AGE=30d, TELEMETRY_RETENTION=7d: "},
      {{{"BUCKET_TTL_SECONDS", "3"}},
       "BUCKET_TTL_SECONDS=3, RATE_LIMIT_RPS=5, RATE_LIMIT_BURST=20: "},
      {{{"IDENTITY_MODE", "stamp"}}, "IDENTITY_MODE=stamp, STAMP_KEY_FILE=: "},
      {{{"CERT_AUTH_ENABLED", "yes"}}, "IDENTITY_MODE=stamp, STAMP_KEY_FILE=: "},
  };
  for (const auto& [variables, beginning] : cases) {
    EXPECT_THAT(Mistakes(variables), ElementsAre(StartsWith(beginning))) << beginning;
  }
}

TEST(Settings, AllowWhatIsJustNoContradiction) {
  EXPECT_THAT(Mistakes({{"AUTH_CACHE_TTL_SECONDS", "10"}}), IsEmpty());
  EXPECT_THAT(Mistakes({{"BATCH_SIZE", "25000"}}), IsEmpty());
  EXPECT_THAT(Mistakes({{"SPOOL_MAX_BYTES", "256MiB"}}), IsEmpty());
  EXPECT_THAT(Mistakes({{"MQTT_RECONNECT_MIN", "10s"}}), IsEmpty());
  EXPECT_THAT(Mistakes({{"TELEMETRY_RETENTION", "30d"}}), IsEmpty());
  EXPECT_THAT(Mistakes({{"BUCKET_TTL_SECONDS", "4"}}), IsEmpty());
  EXPECT_THAT(Mistakes({{"REQUIRE_TOKEN", "0"}, {"CERT_AUTH_ENABLED", "0"}}), IsEmpty());
  EXPECT_THAT(Mistakes({{"IDENTITY_MODE", "topic"}, {"CERT_AUTH_ENABLED", "1"}}), IsEmpty());
}

TEST(Settings, BoundTheSessionExpiryBelowTwoToThe31Seconds) {
  EXPECT_THAT(Mistakes({{"MQTT_SESSION_EXPIRY", "2147483647"}}), IsEmpty());
  EXPECT_THAT(Mistakes({{"MQTT_SESSION_EXPIRY", "2147483648"}}), SizeIs(1));
  EXPECT_THAT(Mistakes({{"MQTT_SESSION_EXPIRY", "0"}}), SizeIs(1));
}

TEST(Settings, ReportMistakesAndContradictionsTogetherButJudgeNoRuleByAWrongValue) {
  EXPECT_THAT(Mistakes({{"BATCH_SIZE", "many"},
                        {"INGEST_QUEUE_SIZE", "1000"},
                        {"LOG_FORMAT", "xml"},
                        {"RETRY_MIN", "1m"}}),
              ElementsAre(StartsWith("BATCH_SIZE=many: it must be a whole number"),
                          "LOG_FORMAT=xml: it must be text or json", StartsWith("RETRY_MIN=1m, ")));
}

TEST(Settings, ShowNoSecretInAMistake) {
  const auto mistakes = Mistakes({{"DATABASE_URL", "postgres://u:hunter2@h/d"},
                                  {"DATABASE_URL_FILE", "/nowhere"},
                                  {"MQTT_PASSWORD", "hunter2"},
                                  {"MQTT_PASSWORD_FILE", "/nowhere"}});
  ASSERT_THAT(mistakes, SizeIs(2));
  for (const std::string& mistake : mistakes) EXPECT_THAT(mistake, Not(HasSubstr("hunter2")));
}

class SettingsFiles : public testing::Test {
 protected:
  SettingsFiles() : directory_(testing::TempDir() + "settings." + std::to_string(::getpid())) {
    std::filesystem::create_directories(directory_);
  }
  ~SettingsFiles() override { std::filesystem::remove_all(directory_); }

  std::string File(const std::string& name, const std::string& text) {
    std::string path = directory_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }

  const std::string directory_;
};

TEST_F(SettingsFiles, UseTheDefaultCaOnlyWhereItExists) {
  const std::string path = "/mosquitto/certs/ca.crt";
  EXPECT_EQ(Loaded({}).mqtt_ca_cert, std::filesystem::exists(path) ? path : "");
}

TEST_F(SettingsFiles, RefuseACaThatWasNamedAndIsMissing) {
  const std::string path = directory_ + "/ca.crt";
  EXPECT_THAT(
      Mistakes({{"MQTT_CA_CERT", path}}),
      ElementsAre("MQTT_CA_CERT=" + path + ": the file cannot be read: No such file or directory"));
  File("ca.crt", "x");
  EXPECT_EQ(Loaded({{"MQTT_CA_CERT", path}}).mqtt_ca_cert, path);
}

TEST_F(SettingsFiles, WantClientCertificateAndKeyTogetherAndWithACa) {
  const std::string ca = File("ca", "x");
  const std::string cert = File("cert", "x");
  const std::string key = File("key", "x");
  EXPECT_THAT(
      Mistakes({{"MQTT_CA_CERT", ca}, {"MQTT_CLIENT_CERT", cert}, {"MQTT_CLIENT_KEY", key}}),
      IsEmpty());
  EXPECT_THAT(Mistakes({{"MQTT_CA_CERT", ca}, {"MQTT_CLIENT_CERT", cert}}),
              ElementsAre("MQTT_CLIENT_CERT=" + cert +
                          ", MQTT_CLIENT_KEY=: a certificate and its key are set both or neither"));
  EXPECT_THAT(Mistakes({{"MQTT_CA_CERT", ca}, {"MQTT_CLIENT_KEY", key}}), SizeIs(1));
  EXPECT_THAT(
      Mistakes({{"MQTT_CA_CERT", ca}, {"MQTT_CLIENT_CERT", cert}, {"MQTT_CLIENT_KEY", "/none"}}),
      ElementsAre(StartsWith("MQTT_CLIENT_KEY=/none: the file cannot be read")));
  if (Loaded({}).mqtt_ca_cert.empty()) {
    EXPECT_THAT(Mistakes({{"MQTT_CLIENT_CERT", cert}, {"MQTT_CLIENT_KEY", key}}),
                ElementsAre(HasSubstr("a client certificate needs TLS")));
  }
}

TEST_F(SettingsFiles, ReadSecretsFromFiles) {
  const Settings s = Loaded(
      {{"PG_PASS_FILE", File("pg", "p'w\\\n")}, {"MQTT_PASSWORD_FILE", File("mqtt", "m\n")}});
  EXPECT_EQ(s.pg_pass, "p'w\\");
  EXPECT_EQ(s.mqtt_password, "m");
}

class StampSettings : public SettingsFiles {
 protected:
  std::string KeyFile(const std::string& text, std::filesystem::perms perms) {
    std::string path = File("stamp.key", text);
    std::filesystem::permissions(path, perms);
    return path;
  }

  static constexpr auto kOwnerOnly =
      std::filesystem::perms::owner_read | std::filesystem::perms::owner_write;
  const std::string key_ = std::string(64, 'a') + "\n";
};

TEST_F(StampSettings, TakeStampsByDefaultOnlyWhereCertificatesCount) {
  const std::string path = KeyFile(key_, kOwnerOnly);
  const std::tuple<const char*, const char*, IdentityMode> cases[] = {
      {"", "0", IdentityMode::kTopic},      {"", "", IdentityMode::kTopic},
      {"", "1", IdentityMode::kStamp},      {"", "On", IdentityMode::kStamp},
      {"topic", "1", IdentityMode::kTopic}, {"stamp", "0", IdentityMode::kStamp},
  };
  for (const auto& [mode, certificates, expected] : cases) {
    const Settings s = Loaded(
        {{"IDENTITY_MODE", mode}, {"CERT_AUTH_ENABLED", certificates}, {"STAMP_KEY_FILE", path}});
    EXPECT_EQ(s.identity_mode, expected) << mode << " " << certificates;
    EXPECT_EQ(s.stamp_key_file, path);
  }
}

TEST_F(StampSettings, ArePrintedAsTheyAreInForce) {
  EXPECT_THAT(RenderConfiguration(From({{"CERT_AUTH_ENABLED", "1"}})),
              HasSubstr("\nIDENTITY_MODE=stamp  # default\n"));
  EXPECT_THAT(RenderConfiguration(From({})), HasSubstr("\nIDENTITY_MODE=topic  # default\n"));
}

TEST_F(StampSettings, SayBothWaysOutWhenTheKeyIsMissing) {
  EXPECT_THAT(Mistakes({{"CERT_AUTH_ENABLED", "1"}}),
              ElementsAre(EndsWith("set STAMP_KEY_FILE, or IDENTITY_MODE=topic")));
}

TEST_F(StampSettings, RefuseAKeyFileThatWillNotDo) {
  const auto refusal = [](const std::string& path) {
    const auto mistakes = Mistakes({{"STAMP_KEY_FILE", path}});
    return mistakes.size() == 1 ? mistakes.front() : "not one mistake";
  };
  EXPECT_THAT(refusal("/nowhere"), StartsWith("STAMP_KEY_FILE=/nowhere: the file /nowhere cannot"));
  EXPECT_THAT(refusal(KeyFile("abcdef", kOwnerOnly)),
              AllOf(HasSubstr("does not have 64"), Not(HasSubstr("abcdef"))));
  EXPECT_THAT(refusal(KeyFile(key_, kOwnerOnly | std::filesystem::perms::others_read)),
              HasSubstr("is open to others than its owner"));
}

TEST(Conninfo, QuotesWhatThePgSettingsHold) {
  const Settings s = Loaded({{"PG_HOST", "/run/pg sock"},
                             {"PG_PORT", "6432"},
                             {"PG_DB", "a'b"},
                             {"PG_USER", "c\\d"},
                             {"PG_PASS", "x y='z' host=evil"}});
  EXPECT_EQ(s.Conninfo(), R"(host='/run/pg sock' port=6432 dbname='a\'b' user='c\\d' )"
                          R"(password='x y=\'z\' host=evil')");
}

TEST(Conninfo, IsTheUrlWhereThereIsOne) {
  EXPECT_EQ(Loaded({{"DATABASE_URL", "postgresql://u@h/d"}, {"PG_HOST", "x"}}).Conninfo(),
            "postgresql://u@h/d");
}

TEST(Conninfo, IsTheSameForListeningUnlessSaidOtherwise) {
  EXPECT_EQ(Loaded({{"DATABASE_URL", "postgresql://u@pooler/d"}}).ListenConninfo(),
            "postgresql://u@pooler/d");
  const Settings s = Loaded({{"DATABASE_URL", "postgresql://u@pooler/d"},
                             {"LISTEN_DATABASE_URL", "postgresql://u@server/d"}});
  EXPECT_EQ(s.ListenConninfo(), "postgresql://u@server/d");
  EXPECT_EQ(s.Conninfo(), "postgresql://u@pooler/d");
}

TEST(SettingsTable, MarksExactlyTheSecretsAndWhatMayBeReloaded) {
  std::set<std::string> secret;
  std::set<std::string> reloadable;
  for (const Setting& setting : SettingsTable().settings()) {
    if (setting.secret) secret.insert(setting.name);
    if (setting.reloadable) reloadable.insert(setting.name);
  }
  EXPECT_THAT(secret, ElementsAre("ADMIN_TOKEN", "DATABASE_URL", "LISTEN_DATABASE_URL",
                                  "MQTT_PASSWORD", "PG_PASS"));
  EXPECT_THAT(reloadable, ElementsAre("MAX_PAYLOAD_BYTES", "RATE_LIMIT_BURST", "RATE_LIMIT_RPS",
                                      "STORE_REJECTS"));
}

TEST(SettingsTable, DescribesEverySettingOnce) {
  std::set<std::string> names;
  for (const Setting& setting : SettingsTable().settings()) {
    EXPECT_TRUE(names.insert(setting.name).second) << setting.name;
    EXPECT_THAT(setting.meaning, EndsWith(".")) << setting.name;
    EXPECT_THAT(setting.group, Not(IsEmpty())) << setting.name;
  }
}

TEST(Configuration, IsPrintedWithSecretsMasked) {
  const std::string text = RenderConfiguration(From(
      {{"PG_PASS", "hunter2"}, {"DATABASE_URL", "postgres://u:hunter2@h/d"}, {"BATCH_SIZE", "?"}}));
  EXPECT_THAT(text, AllOf(HasSubstr("\nPG_PASS=********  # environment\n"),
                          HasSubstr("\nDATABASE_URL=********  # environment\n"),
                          HasSubstr("\nMQTT_PASSWORD=  # default\n"),
                          HasSubstr("\nBATCH_SIZE=?  # environment\n"), Not(HasSubstr("hunter2"))));
}

TEST(Configuration, HasAPageThatIsUpToDate) {
  std::ifstream file(SLUICE_SOURCE_DIR "/docs/configuration.md");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(page == RenderConfigurationPage())
      << "docs/configuration.md is stale. Make it again with\n"
         "  build/bin/sluice ingest --print-docs > docs/configuration.md";
}

}  // namespace
}  // namespace sluice
