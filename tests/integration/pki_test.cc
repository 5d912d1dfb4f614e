// Certificates from the command that issues them to the broker that refuses them.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "auth/pki/authority.h"
#include "auth/pki/pki_directory.h"
#include "base/clock.h"
#include "tests/support/free_port.h"
#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr UnixMicros kDay = 86'400'000'000;

struct Said {
  int code = -1;
  std::string out;
  std::string err;
};

Said RunCommand(const std::vector<std::string>& argv, const Env& env = {}) {
  const TempDir directory;
  const auto ended = sluice::testing::Run({.argv = argv,
                                           .env = env,
                                           .clear_env = true,
                                           .stdout_path = directory.Path("out"),
                                           .stderr_path = directory.Path("err")});
  return {ended ? ended->code : -1, ReadFile(directory.Path("out")),
          ReadFile(directory.Path("err"))};
}

int Occurrences(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// A migrated database, a PKI directory, and `sluice` working on both.
class PkiCommands : public ::testing::Test {
 protected:
  PkiCommands() : database_(SharedPostgres().CreateDatabase()) {
    env_ = {{"DATABASE_URL", SharedPostgres().Url(database_)}, {"PKI_DIR", files_.path}};
    Must({"migrate"});
    Must({"pki", "init", "--server-name", "localhost", "127.0.0.1"});
    sql_ = SharedPostgres().Connect(database_);
  }

  Said Sluice(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), BinaryPath("sluice"));
    return RunCommand(arguments, env_);
  }
  Said Must(const std::vector<std::string>& arguments) {
    const Said said = Sluice(arguments);
    EXPECT_EQ(said.code, 0) << ::testing::PrintToString(arguments) << said.out << said.err;
    return said;
  }
  std::string Value(const std::string& sql) {
    PgResult<PgRows> rows = sql_->Exec(sql);
    EXPECT_TRUE(rows.ok()) << sql;
    return rows.ok() && rows->size() > 0 ? std::string(rows->Text(0, 0)) : "";
  }
  // device.crt and device.key of a registered device, in the directory that is returned.
  std::string Issue(const std::string& device) {
    const std::string out = directory_.Path("issued-" + device);
    Must({"device", "cert", "issue", "orchard", device, "--out", out});
    return out;
  }
  void AddDevice(const std::string& device) {
    Must({"device", "add", "orchard", device, "--site", "north"});
  }
  // What openssl, another implementation's command line, says of a certificate and the list.
  Said Verify(const std::string& certificate) {
    return RunCommand({"openssl", "verify", "-crl_check", "-CAfile", files_.device_ca, "-CRLfile",
                       files_.crl, certificate});
  }

  TempDir directory_;
  PkiDirectory files_{directory_.Path("pki")};
  const std::string database_;
  Env env_;
  std::unique_ptr<PgConnection> sql_;
};

TEST_F(PkiCommands, InitRefusesToOverwrite) {
  const std::string key = ReadFile(files_.device_ca_key);
  const Said again = Sluice({"pki", "init"});
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.err, HasSubstr("exists already"));
  EXPECT_EQ(ReadFile(files_.device_ca_key), key);
}

TEST_F(PkiCommands, ATokenIsShownOnceAndKeptAsItsDigest) {
  const Said added = Must({"device", "add", "orchard", "probe-1", "--site", "north"});
  ASSERT_EQ(added.out.size(), 65U);
  const std::string token = added.out.substr(0, 64);
  EXPECT_THAT(added.err, Not(HasSubstr(token)));
  const std::string hash = "SELECT provision_token_hash = encode(sha256('" + token +
                           "'), 'hex') AND provision_token IS NULL FROM device_registry";
  EXPECT_EQ(Value(hash), "t");

  sql_->Exec("UPDATE device_registry SET provision_token = 'in the clear'").ok();
  const Said rotated = Must({"device", "token", "rotate", "orchard", "probe-1"});
  EXPECT_NE(rotated.out, added.out);
  EXPECT_EQ(Value(hash), "f");
  EXPECT_EQ(Value("SELECT provision_token IS NULL AND provision_token_hash = encode(sha256('" +
                  rotated.out.substr(0, 64) + "'), 'hex') FROM device_registry"),
            "t");
  EXPECT_EQ(Sluice({"device", "token", "rotate", "orchard", "probe-2"}).code, 1);
}

TEST_F(PkiCommands, ADeviceTakesAPlaceOfItsSubscriptionAndGivesItBack) {
  sql_->Exec(
          "INSERT INTO subscriptions (subscription_id, tenant_id, device_limit)"
          " VALUES ('S', 'orchard', 1)")
      .ok();
  const auto add = [&](const std::string& tenant, const std::string& device) {
    return Sluice({"device", "add", tenant, device, "--site", "n", "--subscription", "S"}).code;
  };
  EXPECT_EQ(add("harbour", "crane"), 1);  // another tenant's
  EXPECT_EQ(add("orchard", "probe-1"), 0);
  EXPECT_EQ(add("orchard", "probe-2"), 1);
  EXPECT_EQ(Value("SELECT count(*) FROM device_registry"), "1");
  Must({"device", "revoke", "orchard", "probe-1"});
  Must({"device", "revoke", "orchard", "probe-1"});
  EXPECT_EQ(Value("SELECT active_device_count FROM subscriptions"), "0");
  EXPECT_EQ(add("orchard", "probe-2"), 0);
}

TEST_F(PkiCommands, RefusesNamesThatNoDeviceCanHave) {
  for (const char* bad : {"+", "#", "a/b", "..", ""}) {
    EXPECT_EQ(Sluice({"device", "add", "orchard", bad, "--site", "n"}).code, 1) << bad;
  }
  EXPECT_EQ(Value("SELECT count(*) FROM device_registry"), "0");
}

TEST_F(PkiCommands, AnIssuedCertificateIsARowAndTwoFilesAndItsKeyIsInOneOfThemOnly) {
  AddDevice("probe-1");
  const std::string out = Issue("probe-1");
  struct stat info {};
  ASSERT_EQ(::stat((out + "/device.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
  ASSERT_EQ(::stat(out.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700U);
  EXPECT_EQ(Verify(out + "/device.crt").code, 0);
  EXPECT_EQ(Value("SELECT cert_pem FROM device_certificates"), ReadFile(out + "/device.crt"));
  EXPECT_EQ(Value("SELECT status || common_name || issuer FROM device_certificates"),
            "ACTIVEorchard/probe-1CN=sluice device CA");
  EXPECT_EQ(Value("SELECT round(extract(epoch FROM not_after - now()) / 86400)"
                  " FROM device_certificates"),
            "365");
  EXPECT_EQ(Value("SELECT count(*) FROM device_certificates d WHERE d::text LIKE '%PRIVATE%'"),
            "0");
  const Said fingerprint = RunCommand(
      {"openssl", "x509", "-in", out + "/device.crt", "-noout", "-fingerprint", "-sha256"});
  EXPECT_EQ(Value("SELECT 'sha256 Fingerprint=' || trim(trailing ':' FROM regexp_replace("
                  "upper(fingerprint_sha256), '(..)', '\\1:', 'g')) FROM device_certificates"),
            fingerprint.out.substr(0, fingerprint.out.size() - 1));
}

TEST_F(PkiCommands, IssuesNothingToADeviceThatIsNotThereOrNotActiveAndOverwritesNoKey) {
  const std::string out = directory_.Path("out");
  const std::vector<std::string> issue = {"device",  "cert",  "issue", "orchard",
                                          "probe-1", "--out", out};
  EXPECT_EQ(Sluice(issue).code, 1);
  AddDevice("probe-1");
  Must(issue);
  const std::string key = ReadFile(out + "/device.key");
  EXPECT_EQ(Sluice(issue).code, 1);
  EXPECT_EQ(ReadFile(out + "/device.key"), key);
  EXPECT_EQ(Value("SELECT count(*) FROM device_certificates"), "1");
  Must({"device", "revoke", "orchard", "probe-1"});
  const Said revoked =
      Sluice({"device", "cert", "issue", "orchard", "probe-1", "--out", directory_.Path("other")});
  EXPECT_EQ(revoked.code, 1);
  EXPECT_THAT(revoked.err, HasSubstr("not ACTIVE"));
  EXPECT_EQ(ReadFile(directory_.Path("other/device.key")), "");
}

TEST_F(PkiCommands, TheListHoldsWhatWasRevokedByDeviceAndByFingerprint) {
  for (const char* device : {"probe-1", "probe-2", "probe-3"}) AddDevice(device);
  const std::string one = Issue("probe-1");
  const std::string two = Issue("probe-2");
  const std::string three = Issue("probe-3");
  Must({"device", "revoke", "orchard", "probe-1"});
  Must({"device", "cert", "revoke", "orchard", "probe-2", "--reason", "lost", "--fingerprint",
        Value("SELECT upper(fingerprint_sha256) FROM device_certificates"
              " WHERE device_id = 'probe-2'")});
  EXPECT_EQ(Verify(one + "/device.crt").code, 0) << "not before the list is written";
  EXPECT_THAT(Must({"crl", "write"}).out, HasSubstr("2 revoked"));
  EXPECT_THAT(Verify(one + "/device.crt").err, HasSubstr("certificate revoked"));
  EXPECT_THAT(Verify(two + "/device.crt").err, HasSubstr("certificate revoked"));
  EXPECT_EQ(Verify(three + "/device.crt").code, 0);
  EXPECT_EQ(Value("SELECT revoked_reason FROM device_certificates WHERE device_id = 'probe-2'"),
            "lost");
}

TEST_F(PkiCommands, RotatingKeepsTheOldCertificateUntilItIsToldNotTo) {
  AddDevice("probe-1");
  const auto rotate = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {
        "device", "cert", "rotate", "orchard", "probe-1", "--out", directory_.Path(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Sluice(arguments).code;
  };
  const std::string states = "SELECT string_agg(status, ' ' ORDER BY id) FROM device_certificates";
  EXPECT_EQ(rotate("none", {}), 1) << "nothing to rotate";
  Issue("probe-1");
  EXPECT_EQ(rotate("second", {}), 0);
  EXPECT_EQ(Value(states), "ACTIVE ACTIVE");
  EXPECT_EQ(rotate("third", {"--revoke-old"}), 0);
  EXPECT_EQ(Value(states), "REVOKED REVOKED ACTIVE");
}

TEST_F(PkiCommands, ImportsOnlyWhatTheAuthorityIssuedToThatDevice) {
  AddDevice("probe-1");
  AddDevice("probe-2");
  const UnixMicros now = SystemClock().Now();
  const auto ours = LoadDeviceAuthority(files_);
  const auto other = Authority::Create("sluice device CA", now, std::chrono::days(30));
  const auto import = [&](const Authority& authority, const std::string& device, UnixMicros from) {
    const auto issued = authority.IssueDevice("orchard/probe-1", from, std::chrono::days(9));
    WriteFile(directory_.Path("import"), issued->key_pem + issued->certificate_pem);
    return Sluice({"device", "cert", "import", "orchard", device, directory_.Path("import")}).code;
  };
  EXPECT_EQ(import(*other, "probe-1", now), 1);
  EXPECT_EQ(import(*ours, "probe-2", now), 1);
  EXPECT_EQ(import(*ours, "probe-1", now - 30 * kDay), 1);
  EXPECT_EQ(Value("SELECT count(*) FROM device_certificates"), "0");
  EXPECT_EQ(import(*ours, "probe-1", now), 0);
  EXPECT_EQ(Value("SELECT cert_pem LIKE '%PRIVATE%' FROM device_certificates"), "f");
}

TEST_F(PkiCommands, MarksExpiredRowsAndLeavesTheOthers) {
  AddDevice("probe-1");
  Issue("probe-1");
  EXPECT_THAT(Must({"crl", "write"}).out, Not(HasSubstr("EXPIRED")));
  sql_->Exec("UPDATE device_certificates SET not_after = now() - interval '1 second'").ok();
  EXPECT_THAT(Must({"crl", "write"}).out, HasSubstr("marked EXPIRED: 1"));
  EXPECT_EQ(Value("SELECT status FROM device_certificates"), "EXPIRED");
}

TEST_F(PkiCommands, SaysWhichRevokedRowsItCannotPutIntoTheList) {
  AddDevice("probe-1");
  const std::string out = Issue("probe-1");
  Must({"device", "revoke", "orchard", "probe-1"});
  sql_->Exec(
          "INSERT INTO device_certificates (tenant_id, device_id, cert_pem, fingerprint_sha256,"
          " common_name, issuer, serial_number, status, not_before, not_after) VALUES ('orchard',"
          " 'probe-1', 'garbage', 'f', 'c', 'i', '1', 'REVOKED', now(), now())")
      .ok();
  const Said said = Sluice({"crl", "write"});
  EXPECT_EQ(said.code, 1);
  EXPECT_THAT(said.err, HasSubstr("1 revoked certificates cannot be read"));
  EXPECT_THAT(Verify(out + "/device.crt").err, HasSubstr("certificate revoked"));
}

TEST_F(PkiCommands, ListsAreTablesForPeopleAndJsonForScripts) {
  AddDevice("probe-1");
  Issue("probe-1");
  const Said devices = Must({"device", "list"});
  EXPECT_THAT(devices.out, StartsWith("tenant   device   site   status  token  certificates\n"
                                      "orchard  probe-1  north  ACTIVE  t      1\n"));
  const auto json = nlohmann::json::parse(Must({"device", "cert", "list", "--json"}).out);
  ASSERT_EQ(json.size(), 1U);
  EXPECT_EQ(json[0]["device"], "probe-1");
  EXPECT_EQ(json[0]["status"], "ACTIVE");
  EXPECT_EQ(json[0]["fingerprint"], Value("SELECT fingerprint_sha256 FROM device_certificates"));
  EXPECT_EQ(Must({"device", "list", "harbour", "--json"}).out, "[]\n");
}

// To such a role the table looks empty, and an empty list lets everybody in.
TEST_F(PkiCommands, RefusesARoleThatRowLevelSecurityHidesRowsFrom) {
  AddDevice("probe-1");
  Issue("probe-1");
  Must({"device", "revoke", "orchard", "probe-1"});
  Must({"crl", "write"});
  const std::string list = ReadFile(files_.crl);
  Value("CREATE ROLE pki_gate LOGIN");
  ASSERT_EQ(RunCommand({"psql", "-q", "-v", "ON_ERROR_STOP=1", "-v", "role=pki_gate", "-d",
                        SharedPostgres().Url(database_), "-f",
                        std::string(SLUICE_SOURCE_DIR) + "/deploy/postgres/grants.sql"})
                .code,
            0);
  env_["DATABASE_URL"] = SharedPostgres().Url(database_, "pki_gate");
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"crl", "write"},
        {"device", "list"},
        {"device", "add", "orchard", "probe-2", "--site", "n"}}) {
    const Said said = Sluice(command);
    EXPECT_EQ(said.code, 1);
    EXPECT_THAT(said.err, HasSubstr("not the daemon's role"));
  }
  EXPECT_EQ(ReadFile(files_.crl), list);
}

TEST_F(PkiCommands, ARoleForTheListAloneCanWriteIt) {
  AddDevice("probe-1");
  Issue("probe-1");
  Must({"device", "revoke", "orchard", "probe-1"});
  Value(
      "CREATE ROLE pki_lister LOGIN BYPASSRLS;"
      "GRANT SELECT, UPDATE (status, updated_at) ON device_certificates TO pki_lister");
  env_["DATABASE_URL"] = SharedPostgres().Url(database_, "pki_lister");
  EXPECT_THAT(Must({"crl", "write"}).out, HasSubstr("1 revoked"));
  EXPECT_EQ(Sluice({"device", "token", "rotate", "orchard", "probe-1"}).code, 1);
}

// A broker with one mutual TLS listener on the directory's files.
class MutualTls : public PkiCommands {
 protected:
  MutualTls() : port_(FreePort()) {
    broker_ = std::make_unique<MosquittoServer>(
        MosquittoOptions{.lines = {"pid_file " + directory_.Path("pid"),
                                   "listener " + std::to_string(port_) + " 127.0.0.1",
                                   "allow_anonymous true", "cafile " + files_.combined_ca,
                                   "certfile " + files_.server, "keyfile " + files_.server_key,
                                   "crlfile " + files_.crl, "require_certificate true",
                                   "use_identity_as_username true", "tls_version tlsv1.2"}});
  }

  // Whether a client with this certificate gets a message through.
  bool Accepted(const std::string& certificate, const std::string& key) {
    return RunCommand({"mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(port_), "--cafile",
                       files_.server_ca, "--cert", certificate, "--key", key, "-q", "1", "-t",
                       "tenant/orchard/device/probe-1/telemetry", "-m", "{}"})
               .code == 0;
  }
  bool Accepted(const std::string& out) {
    return Accepted(out + "/device.crt", out + "/device.key");
  }
  bool Accepted(const IssuedCertificate& issued) {
    WriteFile(directory_.Path("crt"), issued.certificate_pem);
    WriteFile(directory_.Path("key"), issued.key_pem);
    return Accepted(directory_.Path("crt"), directory_.Path("key"));
  }

  const uint16_t port_;
  std::unique_ptr<MosquittoServer> broker_;
};

TEST_F(MutualTls, TheBrokerTakesAnIssuedCertificateAndItsNameAsUserName) {
  AddDevice("probe-1");
  EXPECT_TRUE(Accepted(Issue("probe-1")));
  EXPECT_THAT(broker_->Log(), HasSubstr("u'orchard/probe-1'"));
}

TEST_F(MutualTls, TheBrokerRefusesForeignExpiredAndPrematureCertificates) {
  const UnixMicros now = SystemClock().Now();
  const auto ours = LoadDeviceAuthority(files_);
  const auto other = Authority::Create("sluice device CA", now, std::chrono::days(365));
  const auto servers = Authority::Parse(ReadFile(files_.server_ca), ReadFile(files_.server_ca_key));
  const auto issue = [&](const Authority& authority, UnixMicros from) {
    return *authority.IssueDevice("orchard/probe-1", from, std::chrono::days(30));
  };
  EXPECT_TRUE(Accepted(issue(*ours, now)));
  EXPECT_FALSE(Accepted(issue(*other, now)));
  EXPECT_FALSE(Accepted(issue(*ours, now - 31 * kDay)));
  EXPECT_FALSE(Accepted(issue(*ours, now + kDay)));
  // The combined file makes the broker know the other authority; it has no list, so it admits none.
  EXPECT_FALSE(Accepted(issue(*servers, now)));
  EXPECT_FALSE(Accepted(files_.server, files_.server_key));
}

TEST_F(MutualTls, TheBrokerRefusesARevokedCertificateOnceItIsToldToReload) {
  AddDevice("probe-1");
  AddDevice("probe-2");
  const std::string one = Issue("probe-1");
  const std::string two = Issue("probe-2");
  // Twice in one second, and the second list must win.
  for (const auto& [device, out] : {std::pair("probe-1", one), std::pair("probe-2", two)}) {
    EXPECT_TRUE(Accepted(out));
    Must({"device", "cert", "revoke", "orchard", device});
    EXPECT_TRUE(Accepted(out)) << "the broker does not know yet";
    const Said written = Must({"crl", "write", "--broker-pid-file", directory_.Path("pid")});
    EXPECT_THAT(written.out, HasSubstr("the broker reloads"));
    EXPECT_TRUE(Eventually([&, dir = out] { return !Accepted(dir); }));
  }
  EXPECT_FALSE(Accepted(one));
}

TEST_F(MutualTls, WritingAgainAndAgainTellsTheBrokerOfChangesOnly) {
  AddDevice("probe-1");
  const std::string out = Issue("probe-1");
  const auto watcher =
      Process::Start({.argv = {BinaryPath("sluice"), "crl", "write", "--every", "100ms",
                               "--broker-pid-file", directory_.Path("pid")},
                      .env = env_,
                      .stdout_path = directory_.Path("watch.out"),
                      .stderr_path = directory_.Path("watch.out")});
  ASSERT_NE(watcher, nullptr);
  const auto said = [&] { return ReadFile(directory_.Path("watch.out")); };
  ASSERT_TRUE(Eventually([&] { return said().find("the broker reloads") != std::string::npos; }));
  EXPECT_TRUE(Accepted(out));
  Must({"device", "revoke", "orchard", "probe-1"});
  EXPECT_TRUE(Eventually([&] { return !Accepted(out); }));
  watcher->Signal(SIGTERM);
  const auto ended = watcher->Wait(std::chrono::seconds(30));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->code, 0);
  EXPECT_EQ(Occurrences(said(), "the broker reloads"), 2) << said();
}

TEST_F(MutualTls, TheTestScriptTellsStoredFromRejectedFromRefused) {
  const std::string http = std::to_string(FreePort());
  env_.insert({{"MQTT_HOST", "127.0.0.1"},
               {"MQTT_PORT", std::to_string(broker_->port())},
               {"HTTP_HOST", "127.0.0.1"},
               {"HTTP_PORT", http},
               {"SPOOL_DIR", directory_.Path("spool")},
               {"SPOOL_SEGMENT_BYTES", "4MiB"},
               {"CERT_AUTH_ENABLED", "1"},
               {"IDENTITY_MODE", "topic"}});
  const auto daemon = Process::Start({.argv = {BinaryPath("sluice"), "ingest"}, .env = env_});
  ASSERT_TRUE(Eventually([&] {
    return RunCommand({"curl", "-sf", "http://127.0.0.1:" + http + "/ready"}).code == 0;
  }));
  AddDevice("probe-1");
  sql_->Exec(
          "INSERT INTO subscriptions (subscription_id, tenant_id, device_limit, status)"
          " VALUES ('S', 'orchard', 9, 'SUSPENDED')")
      .ok();
  Must({"device", "add", "orchard", "probe-2", "--site", "north", "--subscription", "S"});
  env_["SLUICE"] = BinaryPath("sluice");
  const auto script = [&](const std::string& device, uint16_t port) {
    return RunCommand({std::string(SLUICE_SOURCE_DIR) + "/deploy/test_mtls_device.sh", "orchard",
                       device, "127.0.0.1", std::to_string(port)},
                      env_);
  };
  const Said stored = script("probe-1", port_);
  EXPECT_EQ(stored.code, 0) << stored.out << stored.err;
  EXPECT_THAT(stored.out, HasSubstr("VERDICT: ACCEPTED"));
  const Said rejected = script("probe-2", port_);
  EXPECT_EQ(rejected.code, 1);
  EXPECT_THAT(rejected.out, HasSubstr("VERDICT: REJECTED by the daemon: SUBSCRIPTION_SUSPENDED"));
  const Said refused = script("probe-1", broker_->port());  // does not speak TLS
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.out, HasSubstr("VERDICT: REFUSED by the broker"));
  EXPECT_EQ(script("nobody", port_).code, 2);
  EXPECT_EQ(Value("SELECT count(*) FROM device_certificates WHERE status <> 'REVOKED'"), "0");
}

TEST_F(MutualTls, TheBrokerDoesNotStartWithoutItsList) {
  broker_->Stop();
  ASSERT_EQ(::unlink(files_.crl.c_str()), 0);
  // What MosquittoServer starts, which would end this program for it.
  const std::string configuration = directory_.Path("mosquitto.conf");
  WriteFile(configuration, "user root\nlistener " + std::to_string(port_) + " 127.0.0.1\ncafile " +
                               files_.combined_ca + "\ncertfile " + files_.server + "\nkeyfile " +
                               files_.server_key + "\ncrlfile " + files_.crl +
                               "\nrequire_certificate true\n");
  const Said said = RunCommand({"/usr/sbin/mosquitto", "-c", configuration});
  EXPECT_GT(said.code, 0);
  EXPECT_THAT(said.out + said.err, HasSubstr("Unable to load certificate revocation file"));
}

}  // namespace
}  // namespace sluice::testing
