// The plugin in a real Mosquitto with a real registry: tokens, revocation, certificates.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "auth/broker_plugin/registry_watcher.h"
#include "auth/digest.h"
#include "schema/migrator.h"
#include "tests/integration/broker_plugin_fixture.h"
#include "tests/support/postgres_server.h"

namespace sluice::testing {
namespace {

using std::chrono::seconds;

class BrokerPluginRegistry : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    database_ = new std::string(SharedPostgres().CreateDatabase());
    auto admin = SharedPostgres().Connect(*database_);
    ASSERT_TRUE(Migrate(*admin, {}).ok());
    broker_ = new BrokerWithPlugin(SharedPostgres().Url(*database_));
  }
  static void TearDownTestSuite() {
    delete broker_;
    delete database_;
  }
  void SetUp() override { admin_ = SharedPostgres().Connect(*database_); }

  void Execute(const std::string& sql) {
    auto done = admin_->Exec(sql);
    ASSERT_TRUE(done.ok()) << done.error().Describe();
  }
  void Register(const std::string& device, const std::string& token) {
    Execute(
        "INSERT INTO device_registry (tenant_id, device_id, site_id, status, "
        "provision_token_hash) VALUES ('t1', '" +
        device + "', 's', 'ACTIVE', '" + DigestToHex(Sha256(token)) + "')");
  }
  static Sha256Digest Fingerprint(const std::string& device) {
    return FingerprintOf(broker_->Certificate("t1/" + device).certificate_file);
  }
  void Certify(const std::string& device, const std::string& status = "ACTIVE") {
    Execute(
        "INSERT INTO device_certificates (tenant_id, device_id, cert_pem, fingerprint_sha256, "
        "common_name, issuer, serial_number, status, not_before, not_after) VALUES ('t1', '" +
        device + "', '', '" + DigestToHex(Fingerprint(device)) + "', '', '', '', '" + status +
        "', now() - interval '1 day', now() + interval '1 day')");
  }
  // As a superuser may, and as in a database that was migrated no further.
  static std::string WithoutTriggers(const std::string& sql) {
    return "SET LOCAL session_replication_role = replica; " + sql;
  }
  // Logs in like a device: again and again until the broker says yes or no.
  std::unique_ptr<RawMqtt> Login(const std::string& device, const std::string& token,
                                 int expected) {
    const auto until = std::chrono::steady_clock::now() + seconds(10);
    int code = kClosed;
    while (true) {
      auto client = std::make_unique<RawMqtt>(broker_->server->port());
      code = client->Connect({.client_id = device, .username = "t1/" + device, .password = token});
      if (code == expected) return client;
      if (std::chrono::steady_clock::now() > until) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    ADD_FAILURE() << "CONNACK " << code << " instead of " << expected << "\n"
                  << broker_->server->Log();
    return nullptr;
  }

  static inline std::string* database_ = nullptr;
  static inline BrokerWithPlugin* broker_ = nullptr;
  std::unique_ptr<PgConnection> admin_;
};

TEST_F(BrokerPluginRegistry, LogsADeviceInWithItsTokenAndStampsIt) {
  Register("tok", "secret");
  auto watcher = broker_->Watcher();
  auto device = Login("tok", "secret", 0);
  ASSERT_NE(device, nullptr);
  EXPECT_EQ(device->Publish({.topic = "tenant/t1/device/tok/telemetry"}), 0);
  EXPECT_EQ(device->Publish({.topic = kOwn}), kNotAuthorized5);
  const auto arrived = broker_->Arrived(*watcher);
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_EQ(ProvenSender(broker_->Keys(), arrived[0]), "token t1/tok");
  EXPECT_NE(Login("tok", "wrong", kNotAuthorized5), nullptr);
}

TEST_F(BrokerPluginRegistry, ClosesOnADeviceThatNobodyRegisteredUntilSomebodyDoes) {
  for (int i = 0; i < 5; ++i) EXPECT_NE(Login("late", "secret", kClosed), nullptr);
  Register("late", "secret");
  EXPECT_NE(Login("late", "secret", 0), nullptr);
}

TEST_F(BrokerPluginRegistry, RefusesAnInactiveDevice) {
  Register("off", "secret");
  Execute("UPDATE device_registry SET status = 'REVOKED' WHERE device_id = 'off'");
  EXPECT_NE(Login("off", "secret", kNotAuthorized5), nullptr);
}

// The trigger tells; without it, the watcher looks again soon enough.
TEST_F(BrokerPluginRegistry, DisconnectsADeviceThatIsRevoked) {
  for (const bool told : {true, false}) {
    const std::string name = told ? "told" : "polled";
    Register(name, "secret");
    auto device = Login(name, "secret", 0);
    ASSERT_NE(device, nullptr);
    EXPECT_FALSE(device->IsClosed());
    const std::string revoke =
        "UPDATE device_registry SET status = 'REVOKED' WHERE device_id = '" + name + "'";
    Execute(told ? revoke : WithoutTriggers(revoke));
    const auto committed = std::chrono::steady_clock::now();
    EXPECT_TRUE(device->WaitUntilClosed());
    const auto took = std::chrono::steady_clock::now() - committed;
    EXPECT_TRUE(took < seconds(1) || !told) << took.count() << " ns";
    EXPECT_NE(Login(name, "secret", kNotAuthorized5), nullptr);
  }
}

// By deleting and adding it in one transaction nothing is different when the watcher looks again:
// only the trigger's word can end the session.
TEST_F(BrokerPluginRegistry, HearsFromTheTriggerThatADeviceWasDeletedAndAddedAgain) {
  for (const bool told : {false, true}) {
    const std::string name = told ? "replaced" : "replaced-quietly";
    Register(name, "secret");
    auto device = Login(name, "secret", 0);
    ASSERT_NE(device, nullptr);
    const std::string replace =
        "CREATE TEMP TABLE moved ON COMMIT DROP AS "
        "SELECT * FROM device_registry WHERE device_id = '" +
        name + "'; DELETE FROM device_registry WHERE device_id = '" + name +
        "'; INSERT INTO device_registry SELECT * FROM moved";
    Execute(told ? replace : WithoutTriggers(replace));
    if (told) {
      EXPECT_TRUE(device->WaitUntilClosed());
    } else {
      std::this_thread::sleep_for(3 * RegistryWatcher::kPollInterval);
      EXPECT_FALSE(device->IsClosed());
    }
  }
}

TEST_F(BrokerPluginRegistry, DisconnectsADeviceThatTheDatabaseNamesAndLetsItComeBack) {
  Register("named", "secret");
  auto device = Login("named", "secret", 0);
  ASSERT_NE(device, nullptr);
  Execute("NOTIFY sluice_revoked, 'nonsense'; NOTIFY sluice_revoked, 't1/named'");
  EXPECT_TRUE(device->WaitUntilClosed());
  EXPECT_NE(Login("named", "secret", 0), nullptr);
}

TEST_F(BrokerPluginRegistry, DisconnectsADeviceWhoseTokenIsAnother) {
  Register("rotated", "old");
  auto device = Login("rotated", "old", 0);
  ASSERT_NE(device, nullptr);
  Execute("UPDATE device_registry SET provision_token_hash = '" + DigestToHex(Sha256("new")) +
          "' WHERE device_id = 'rotated'");
  EXPECT_TRUE(device->WaitUntilClosed());
  EXPECT_NE(Login("rotated", "new", 0), nullptr);
  EXPECT_NE(Login("rotated", "old", kNotAuthorized5), nullptr);
}

TEST_F(BrokerPluginRegistry, DisconnectsACertificateThatTheRegistryDoesNotBear) {
  Register("certless", "x");
  Register("revoked", "x");
  Certify("revoked", "REVOKED");
  auto watcher = broker_->Watcher();
  for (const std::string name : {"unregistered", "certless", "revoked"}) {
    auto device = broker_->Device("t1/" + name);
    const RawPublish publish{.topic = "tenant/t1/device/" + name + "/telemetry"};
    EXPECT_EQ(device->Publish(publish), 0);  // nothing was known of it yet
    EXPECT_TRUE(device->WaitUntilClosed()) << name;
    EXPECT_EQ(broker_->PublishOnce("t1/" + name, publish), kNotAuthorized5) << name;
  }
}

TEST_F(BrokerPluginRegistry, LetsACertificateGoOnUntilItIsRevoked) {
  Register("cert", "x");
  Certify("cert");
  auto watcher = broker_->Watcher();
  auto device = broker_->Device("t1/cert");
  const RawPublish publish{.topic = "tenant/t1/device/cert/telemetry"};
  EXPECT_EQ(device->Publish(publish), 0);
  std::this_thread::sleep_for(seconds(1));  // the registry's answer is in
  EXPECT_EQ(device->Publish(publish), 0);
  Execute("UPDATE device_certificates SET status = 'REVOKED' WHERE device_id = 'cert'");
  EXPECT_TRUE(device->WaitUntilClosed());
  // It can connect again, where the broker names it, until the revocation list says no.
  auto again = broker_->Device("t1/cert");
  EXPECT_NE(again->Subscribe("tenant/t1/device/cert/commands"), 1);
  EXPECT_TRUE(again->WaitUntilClosed());
  RawMqtt named_by_plugin(broker_->unnamed_port, broker_->Certificate("t1/cert"));
  EXPECT_EQ(named_by_plugin.Connect({}), kNotAuthorized5);
}

TEST_F(BrokerPluginRegistry, KnowsWhichOfADevicesCertificatesIsRevoked) {
  Register("two", "x");
  Certify("two");
  auto watcher = broker_->Watcher();
  const RawTls other = broker_->pki.Client({{"t1/two"}});
  const RawPublish publish{.topic = "tenant/t1/device/two/telemetry"};
  auto device = broker_->Device("t1/two");
  EXPECT_EQ(device->Publish(publish), 0);
  std::this_thread::sleep_for(seconds(1));  // the registry's answer is in
  RawMqtt stranger(broker_->named_port, other);
  EXPECT_EQ(stranger.Connect({.client_id = "other"}), 0);
  EXPECT_EQ(stranger.Publish(publish), kNotAuthorized5);
  EXPECT_EQ(device->Publish(publish), 0);
}

TEST_F(BrokerPluginRegistry, LetsNobodyNewInWhileTheDatabaseIsAway) {
  PostgresServer server;
  const std::string database = server.CreateDatabase();
  BrokerWithPlugin broker(server.Url(database));
  server.Stop(PostgresServer::StopMode::kImmediate);
  for (int i = 0; i < 3; ++i) {
    RawMqtt device(broker.server->port());
    EXPECT_EQ(device.Connect({.username = "t1/d1", .password = "x"}), kClosed);
  }
  auto watcher = broker.Watcher();
  EXPECT_EQ(broker.PublishOnce("t1/d1", {.topic = kOwn}), 0);  // its certificate still speaks
}

}  // namespace
}  // namespace sluice::testing
