// `sluice doctor` on a whole stack, and on one with something broken.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "auth/pki/authority.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "ingest/doctor/rights.h"
#include "tests/support/free_port.h"
#include "tests/support/publisher.h"
#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Json = nlohmann::json;

constexpr const char* kGood = R"({"site_id":"north","provision_token":"tok-apple"})";
constexpr const char* kTopic = "tenant/orchard/device/probe-7/telemetry";

struct Said {
  int code = -1;
  std::string out;
  Json json;
};

class DoctorCommand : public ::testing::Test {
 protected:
  // The doctor minds a database that does not sync.
  static void SetUpTestSuite() {
    server_ = std::make_unique<PostgresServer>(PostgresOptions{.fsync = true});
  }
  static void TearDownTestSuite() { server_.reset(); }

  DoctorCommand()
      : stack_(Env{{"IDENTITY_MODE", "stamp"},
                   {"SPOOL_MAX_BYTES", "64MiB"},
                   {"STAMP_KEY_FILE", directory_.Path("stamp.key")}},
               server_.get()) {
    WriteFile(directory_.Path("stamp.key"), std::string(64, '7') + "\n");
    chmod(directory_.Path("stamp.key").c_str(), 0600);
  }

  Said Doctor(std::vector<std::string> arguments = {"--json"}) {
    const std::string out = directory_.Path("out" + std::to_string(++runs_));
    std::vector<std::string> argv = {BinaryPath("sluice"), "doctor"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    const auto ended = sluice::testing::Run({.argv = argv,
                                             .env = stack_.env(),
                                             .clear_env = true,
                                             .stdout_path = out,
                                             .stderr_path = out});
    Said said{ended ? ended->code : -1, ReadFile(out), {}};
    said.json = Json::parse(said.out, nullptr, false);
    EXPECT_THAT(said.out, Not(HasSubstr("hush")));
    return said;
  }
  // "area check: seen" of each finding with that result. Where the tests' directory lies, and how
  // fast the machine is, is not this test's business.
  static std::vector<std::string> Found(const Said& said, const std::string& result) {
    std::vector<std::string> found;
    EXPECT_TRUE(said.json.is_object()) << said.out;
    for (const Json& finding : said.json["findings"]) {
      if (finding["result"] != result || finding["check"] == "file system" ||
          finding["check"] == "round trip") {
        continue;
      }
      EXPECT_EQ(finding["advice"].get<std::string>().empty(), result == "ok") << finding;
      found.push_back(finding["area"].get<std::string>() + " " +
                      finding["check"].get<std::string>() + ": " +
                      finding["seen"].get<std::string>());
    }
    return found;
  }
  // Until the daemon has done all that it does at its start.
  void StartAndSettle() {
    stack_.Start();
    ASSERT_TRUE(Eventually([&] {
      return stack_.Count("pg_class WHERE relname LIKE 'telemetry\\_p%'") >= 2 &&
             stack_.Metric("sluice_broker_dropped_messages") == 0 &&
             stack_.Metric("sluice_listener_up") == 1;
    }));
  }
  // One thing fails, and all areas were looked at all the same.
  template <typename Matcher>
  void ExpectFails(const Matcher& matcher) {
    const Said said = Doctor();
    EXPECT_EQ(said.code, 1);
    EXPECT_THAT(Found(said, "fail"), Contains(matcher)) << said.out;
    std::set<std::string> areas;
    for (const Json& finding : said.json["findings"]) areas.insert(finding["area"]);
    for (const char* area : {"settings", "broker", "database", "disk", "http"}) {
      EXPECT_TRUE(areas.contains(area)) << area;
    }
  }

  static inline std::unique_ptr<PostgresServer> server_;
  TempDir directory_;
  SluiceStack stack_;
  int runs_ = 0;
};

TEST_F(DoctorCommand, FindsNothingToSayOfAHealthyStackWithTheDaemonAndWithout) {
  StartAndSettle();
  const Said running = Doctor();
  EXPECT_EQ(running.code, 0);
  EXPECT_THAT(Found(running, "fail"), IsEmpty());
  EXPECT_THAT(Found(running, "warning"), IsEmpty());
  EXPECT_THAT(Found(running, "ok"), Contains(HasSubstr("http ready: ")));
  EXPECT_TRUE(stack_.daemon().Running());

  stack_.Stop();
  const Said stopped = Doctor();
  EXPECT_EQ(stopped.code, 0);
  EXPECT_THAT(Found(stopped, "fail"), IsEmpty());
  EXPECT_THAT(Found(stopped, "warning"), IsEmpty());
  const auto ok = Found(stopped, "ok");
  for (const char* part :
       {"broker login: ", "broker subscribe: ", "broker session: the broker keeps",
        "broker dropped messages: none",
        "database rights: ", "clock difference: ", "disk lock: free", "http port: "}) {
    EXPECT_THAT(ok, Contains(HasSubstr(part)));
  }
}

TEST_F(DoctorCommand, TellsPeople) {
  const Said said = Doctor({});
  EXPECT_THAT(said.out, HasSubstr("\n  ok       login: nameless, without TLS\n"));
  EXPECT_THAT(said.out, HasSubstr("\n  warning  partitions: none for"));
  EXPECT_THAT(said.out, HasSubstr("\n           -> the daemon makes them when it starts"));
  EXPECT_THAT(said.out, HasSubstr(" failed\n"));
}

TEST_F(DoctorCommand, TellsPeopleAServersWordsAsTheyAre) {
  stack_.env()["DATABASE_URL"] = stack_.server().Url("no_such");
  EXPECT_THAT(Doctor({}).out, HasSubstr(R"(failed: FATAL: database "no_such" does not exist)"));
}

TEST_F(DoctorCommand, NamesAWrongPasswordOfTheDatabase) {
  stack_.Sql("CREATE ROLE locked LOGIN PASSWORD 'right'");
  const std::string hba = stack_.Value("SHOW hba_file");
  stack_.Sql(
      "COPY (VALUES ('local all all trust'), ('host all locked 127.0.0.1/32 scram-sha-256'), "
      "('host all all 127.0.0.1/32 trust')) TO '" +
      hba + "'; SELECT pg_reload_conf()");
  stack_.env()["DATABASE_URL"] =
      "postgresql://locked:hush@127.0.0.1:" + std::to_string(stack_.server().port()) + "/" +
      stack_.database();
  ExpectFails(AllOf(HasSubstr("database connect: 28P01"), HasSubstr("password")));
}

TEST_F(DoctorCommand, NamesAWrongPasswordOfTheBroker) {
  MosquittoServer broker({.username = "sluice", .password = "right"});
  stack_.env()["MQTT_PORT"] = std::to_string(broker.port());
  stack_.env()["MQTT_USERNAME"] = "sluice";
  stack_.env()["MQTT_PASSWORD"] = "hush";
  ExpectFails(AllOf(HasSubstr("broker login: "), HasSubstr("refuses")));
}

TEST_F(DoctorCommand, NamesASchemaThatIsNotMigrated) {
  stack_.env()["DATABASE_URL"] = stack_.server().Url(stack_.server().CreateDatabase());
  ExpectFails(AllOf(HasSubstr("database schema: "), HasSubstr("at version 0")));
}

TEST_F(DoctorCommand, NamesAMissingGrant) {
  stack_.Sql("REVOKE SELECT ON device_registry FROM sluice_ingest");
  ExpectFails(HasSubstr("database rights: missing: SELECT on device_registry"));
  stack_.Sql("GRANT SELECT ON device_registry TO sluice_ingest");
}

TEST_F(DoctorCommand, NamesRowSecurityThatRefusesAndThatHides) {
  stack_.Sql("ALTER TABLE telemetry FORCE ROW LEVEL SECURITY");
  ExpectFails(HasSubstr("database row security: it is active for COPY into telemetry"));
  stack_.Sql("DROP POLICY sluice_owner_all ON device_certificates");
  ExpectFails(HasSubstr("no policy shows the role all rows of device_certificates"));
}

TEST_F(DoctorCommand, NamesACertificateThatHasEnded) {
  const auto ended = Authority::Create("test", 1'600'000'000'000'000, std::chrono::days(1));
  WriteFile(directory_.Path("server.crt"), *ended->CertificatePem());
  stack_.env()["PKI_WATCH_FILES"] = directory_.Path("server.crt");
  ExpectFails(AllOf(HasSubstr("certificates PKI_WATCH_FILES: "), HasSubstr("2020-09-14")));
}

TEST_F(DoctorCommand, NamesADiskThatIsTooSmall) {
  stack_.env()["SPOOL_MAX_BYTES"] = "256TiB";
  ExpectFails(AllOf(HasSubstr("disk space: "), HasSubstr("SPOOL_MAX_BYTES is 256.0 TiB")));
}

TEST_F(DoctorCommand, NamesSettingsThatContradictEachOther) {
  stack_.env()["FLUSH_INTERVAL_MS"] = "30000";
  stack_.env()["DRAIN_SECONDS"] = "10";
  ExpectFails(AllOf(HasSubstr("FLUSH_INTERVAL_MS=30000"), HasSubstr("DRAIN_SECONDS=10")));
}

TEST_F(DoctorCommand, NamesABrokerThatIsAwayAlsoBesideARunningDaemon) {
  stack_.broker().Stop();
  ExpectFails(HasSubstr("broker connect: 127.0.0.1:"));
  stack_.Launch();
  ASSERT_TRUE(Eventually([&] {
    const std::string ready = stack_.Http("/ready");
    return ready.find("refused") != std::string::npos &&
           ready.find("starting") == std::string::npos;
  }));
  ExpectFails(HasSubstr("http ready: the daemon that runs here is not ready: broker"));
}

TEST_F(DoctorCommand, NamesAPortThatIsTaken) {
  const Listener other = ListenOnLoopback();
  stack_.env()["HTTP_PORT"] = std::to_string(other.port);
  ExpectFails(HasSubstr("http port: another program listens on"));
}

TEST_F(DoctorCommand, NamesAHostThatDoesNotResolveAndAListeningDatabaseThatIsAnother) {
  stack_.env()["MQTT_HOST"] = "no-such-host.invalid";
  stack_.env()["LISTEN_DATABASE_URL"] = stack_.server().Url("postgres");
  ExpectFails(HasSubstr("broker name: no-such-host.invalid"));
  ExpectFails(HasSubstr("database LISTEN_DATABASE_URL: it leads to another database"));
}

// A broker that takes the account for the client id gives the doctor the daemon's own session.
TEST_F(DoctorCommand, TakesNoMessageFromADaemonThatIsAway) {
  const std::string open = std::to_string(FreePort());
  MosquittoServer broker({.username = "sluice",
                          .password = "right",
                          .lines = {"use_username_as_clientid true",
                                    "listener " + open + " 127.0.0.1", "allow_anonymous true"}});
  stack_.env()["IDENTITY_MODE"] = "topic";
  stack_.env()["MQTT_PORT"] = std::to_string(broker.port());
  stack_.env()["MQTT_USERNAME"] = "sluice";
  stack_.env()["MQTT_PASSWORD"] = "right";
  stack_.Register({});
  // Before the daemon's first start, with a session of its own.
  EXPECT_THAT(Found(Doctor(), "ok"), Contains(HasSubstr("broker session: the broker keeps")));
  stack_.Start();
  stack_.Stop();
  Publisher publisher(static_cast<uint16_t>(std::stoi(open)));
  for (int i = 0; i < 20; ++i) publisher.Publish(kTopic, kGood);
  const Said said = Doctor();
  EXPECT_EQ(said.code, 0);
  EXPECT_THAT(Found(said, "ok"), Contains(HasSubstr("has kept the daemon's session"))) << said.out;
  stack_.Start();
  EXPECT_TRUE(Eventually([&] { return stack_.Count("telemetry") == 20; }));
  EXPECT_EQ(stack_.Metric("sluice_duplicate_messages_total"), 0);
}

TEST_F(DoctorCommand, LogsInNowhereWhenToldNotTo) {
  EXPECT_THAT(Found(Doctor({"--no-login", "--json"}), "ok"),
              Contains(HasSubstr("login: not tried")));
}

TEST_F(DoctorCommand, WritesNothing) {
  stack_.Start();
  stack_.Stop();
  const auto files = [&] {
    const auto listed = SystemFileSystem().List(stack_.spool_dir());
    return std::multiset<std::string>(listed->begin(), listed->end());
  };
  const auto before = files();
  const std::string tables =
      "SELECT (SELECT count(*) FROM telemetry) || ' ' || (SELECT count(*) FROM ingest_ledger) || ' "
      "' || (SELECT count(*) FROM pg_class)";
  const std::string rows = stack_.Value(tables);
  Doctor();
  EXPECT_EQ(files(), before);
  EXPECT_EQ(stack_.Value(tables), rows);
}

// The list of rights, against what deploy/postgres/grants.sql has given.
TEST_F(DoctorCommand, NoticesEachRightThatIsTakenAway) {
  auto db = stack_.server().Connect(stack_.database());
  const auto missing_without = [&](const std::string& revoke) {
    EXPECT_TRUE(db->Exec("BEGIN; " + revoke + "; SET LOCAL ROLE sluice_ingest").ok()) << revoke;
    const auto missing = MissingRights(*db, true);
    EXPECT_TRUE(db->Exec("ROLLBACK").ok());
    EXPECT_TRUE(missing.ok());
    return missing.ok() ? *missing : std::vector<std::string>();
  };
  EXPECT_THAT(missing_without("SELECT 1"), IsEmpty());
  for (const Right& right : AllRights()) {
    const std::string name = right.name;
    const std::string privilege = right.privilege;
    std::string revoke;
    switch (right.on) {
      case RightOn::kTable:
        revoke = privilege + " ON " + name;
        break;
      case RightOn::kColumn:
        revoke = privilege + " (" + name.substr(name.find('.') + 1) + ") ON " +
                 name.substr(0, name.find('.'));
        break;
      case RightOn::kFunction:
        revoke = privilege + " ON FUNCTION " + name;
        break;
      case RightOn::kSchema:
      case RightOn::kOwner:
        continue;
    }
    EXPECT_THAT(missing_without("REVOKE " + revoke + " FROM sluice_ingest, sluice_owner"),
                ElementsAre(privilege + " on " + name));
  }
  EXPECT_THAT(missing_without("REVOKE sluice_owner FROM sluice_ingest"),
              Contains("the rights of the owner on telemetry"));
}

}  // namespace
}  // namespace sluice::testing
