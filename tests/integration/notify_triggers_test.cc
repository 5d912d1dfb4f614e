// What the triggers of 008_notify.sql say about a change, and about what they keep quiet.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <string>
#include <vector>

#include "base/postgres.h"
#include "schema/migrator.h"
#include "tests/support/postgres_server.h"
#include "tests/support/temp_dir.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::SharedPostgres;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using Said = std::vector<std::string>;

class NotifyTriggers : public ::testing::Test {
 protected:
  void SetUp() override {
    database_ = SharedPostgres().CreateDatabase();
    admin_ = SharedPostgres().Connect(database_);
    Prepare();
    ASSERT_TRUE(Migrate(*admin_, {}).ok());
    Execute(
        "INSERT INTO subscriptions (subscription_id, tenant_id) VALUES ('S', 't'), ('T', 't');"
        "INSERT INTO device_registry (tenant_id, device_id, site_id, subscription_id,"
        " provision_token_hash) VALUES ('t', 'a', 'n', 'S', 'h'), ('t', 'b', 'n', 'S', 'h'),"
        " ('t', 'c', 'n', 'T', NULL)");
    Certify("a");
    Certify("b");
    listener_ = SharedPostgres().Connect(database_);
    ASSERT_TRUE(listener_->Exec("LISTEN sluice_changed; LISTEN sluice_revoked").ok());
  }
  virtual void Prepare() {}

  void Execute(const std::string& sql) { Execute(*admin_, sql); }
  static void Execute(PgConnection& connection, const std::string& sql) {
    auto done = connection.Exec(sql);
    ASSERT_TRUE(done.ok()) << sql << ": " << done.error().Describe();
  }
  void Certify(const std::string& device) {
    Execute(
        "INSERT INTO device_certificates (tenant_id, device_id, cert_pem, fingerprint_sha256,"
        " common_name, issuer, serial_number, not_before, not_after) VALUES ('t', '" +
        device + "', '', 'of " + device + "', '', '', '', now(), now() + interval '1 day')");
  }
  // Runs it; what was said then, e.g. "device t/a" and "revoked t/a".
  Said Saying(const std::string& sql) {
    Execute(sql);
    // Everything that was committed before comes before this statement's answer.
    Execute(*listener_, "SELECT");
    Said said;
    while (PGnotify* const heard = PQnotifies(listener_->native())) {
      const bool revoked = std::string(heard->relname) == "sluice_revoked";
      said.push_back((revoked ? "revoked " : "") + std::string(heard->extra));
      PQfreemem(heard);
    }
    return said;
  }

  std::string database_;
  std::unique_ptr<PgConnection> admin_;
  std::unique_ptr<PgConnection> listener_;
};

TEST_F(NotifyTriggers, NameADeviceThatIsRegistered) {
  EXPECT_THAT(Saying("INSERT INTO device_registry (tenant_id, device_id, site_id)"
                     " VALUES ('t', 'new', 'n')"),
              ElementsAre("device t/new"));
}

TEST_F(NotifyTriggers, TellOfEveryChangeThatDecidesAboutADevice) {
  for (const char* change :
       {"site_id = 'south'", "subscription_id = 'T'", "location_source = 'manual'"}) {
    EXPECT_THAT(
        Saying("UPDATE device_registry SET " + std::string(change) + " WHERE device_id = 'a'"),
        ElementsAre("device t/a"))
        << change;
  }
}

TEST_F(NotifyTriggers, SayAlsoRevokedWhenADeviceLosesSomething) {
  const std::string update = "UPDATE device_registry SET ";
  for (const char* change :
       {"status = 'REVOKED'", "provision_token_hash = 'other'", "provision_token_hash = NULL"}) {
    EXPECT_THAT(Saying(update + change + " WHERE device_id = 'a'"),
                UnorderedElementsAre("device t/a", "revoked t/a"))
        << change;
  }
  for (const char* change : {"status = 'DECOMMISSIONED'", "status = 'ACTIVE'",
                             "provision_token_hash = 'its first again'"}) {
    EXPECT_THAT(Saying(update + change + " WHERE device_id = 'a'"), ElementsAre("device t/a"))
        << change;
  }
  EXPECT_THAT(Saying("DELETE FROM device_registry WHERE device_id = 'c'"),
              UnorderedElementsAre("device t/c", "revoked t/c"));
}

TEST_F(NotifyTriggers, NameBothSidesOfARename) {
  EXPECT_THAT(Saying("UPDATE device_registry SET device_id = 'z' WHERE device_id = 'c'"),
              UnorderedElementsAre("device t/c", "revoked t/c", "device t/z"));
}

TEST_F(NotifyTriggers, KeepQuietAboutWhatDecidesNothing) {
  EXPECT_THAT(Saying("UPDATE device_registry SET latitude = 1, longitude = 2, updated_at = now(),"
                     " metadata = '{\"seen\": 1}'"),
              IsEmpty());
  EXPECT_THAT(Saying("UPDATE device_registry SET status = status, site_id = site_id"), IsEmpty());
  EXPECT_THAT(Saying("UPDATE device_registry SET status = 'REVOKED' WHERE device_id = 'nobody'"),
              IsEmpty());
  EXPECT_THAT(Saying("UPDATE device_certificates SET updated_at = now()"), IsEmpty());
  EXPECT_THAT(Saying("UPDATE subscriptions SET active_device_count = 7, updated_at = now()"),
              IsEmpty());
}

TEST_F(NotifyTriggers, SayNothingOfWhatIsRolledBack) {
  EXPECT_THAT(Saying("BEGIN; UPDATE device_registry SET status = 'REVOKED'; ROLLBACK"), IsEmpty());
}

TEST_F(NotifyTriggers, TellOfTheCertificatesOfADevice) {
  EXPECT_THAT(Saying("INSERT INTO device_certificates (tenant_id, device_id, cert_pem,"
                     " fingerprint_sha256, common_name, issuer, serial_number, not_before,"
                     " not_after) VALUES ('t', 'a', '', 'second', '', '', '', now(), now())"),
              ElementsAre("device t/a"));
  EXPECT_THAT(Saying("UPDATE device_certificates SET not_after = now() + interval '1 year'"
                     " WHERE fingerprint_sha256 = 'second'"),
              ElementsAre("device t/a"));
  EXPECT_THAT(Saying("UPDATE device_certificates SET status = 'REVOKED' WHERE device_id = 'a'"),
              UnorderedElementsAre("device t/a", "revoked t/a"));
  EXPECT_THAT(Saying("DELETE FROM device_certificates WHERE device_id = 'a'"),
              ElementsAre("device t/a"))
      << "they were not ACTIVE any more";
  EXPECT_THAT(Saying("DELETE FROM device_certificates WHERE device_id = 'b'"),
              UnorderedElementsAre("device t/b", "revoked t/b"));
}

TEST_F(NotifyTriggers, SayRevokedWhenOneCertificateReplacesAnother) {
  Execute(
      "INSERT INTO device_certificates (tenant_id, device_id, cert_pem, fingerprint_sha256,"
      " common_name, issuer, serial_number, status, not_before, not_after)"
      " VALUES ('t', 'a', '', 'spare', '', '', '', 'REVOKED', now(), now())");
  Saying("");
  EXPECT_THAT(Saying("UPDATE device_certificates SET status = CASE status WHEN 'ACTIVE' THEN"
                     " 'REVOKED' ELSE 'ACTIVE' END WHERE device_id = 'a'"),
              UnorderedElementsAre("device t/a", "revoked t/a"));
}

TEST_F(NotifyTriggers, NameBothDevicesWhenACertificateMoves) {
  EXPECT_THAT(Saying("UPDATE device_certificates SET device_id = 'c' WHERE device_id = 'a'"),
              UnorderedElementsAre("device t/a", "revoked t/a", "device t/c"));
}

TEST_F(NotifyTriggers, NameTheDevicesOfASubscription) {
  EXPECT_THAT(Saying("UPDATE subscriptions SET status = 'SUSPENDED' WHERE subscription_id = 'S'"),
              UnorderedElementsAre("device t/a", "device t/b"));
  EXPECT_THAT(Saying("DELETE FROM subscriptions WHERE subscription_id = 'T'"),
              ElementsAre("device t/c"));
  EXPECT_THAT(Saying("INSERT INTO subscriptions (subscription_id, tenant_id) VALUES ('T', 't'),"
                     " ('unused', 't')"),
              ElementsAre("device t/c"));
}

TEST_F(NotifyTriggers, SayAllForMoreThanAThousandButNeverSumUpRevocations) {
  const std::string insert =
      "INSERT INTO device_registry (tenant_id, device_id, site_id, subscription_id)"
      " SELECT 'bulk', n::text, 'n', 'B' FROM generate_series(";
  EXPECT_THAT(Saying(insert + "1, 1000) n"), SizeIs(1000));
  EXPECT_THAT(Saying(insert + "1001, 2001) n"), ElementsAre("all"));
  EXPECT_THAT(Saying("INSERT INTO subscriptions (subscription_id, tenant_id) VALUES ('B', 'bulk')"),
              ElementsAre("all"));
  const Said said =
      Saying("UPDATE device_registry SET status = 'REVOKED' WHERE tenant_id = 'bulk'");
  EXPECT_THAT(said, SizeIs(2002));
  EXPECT_THAT(said, ::testing::Contains("revoked bulk/2001"));
}

TEST_F(NotifyTriggers, SayAllForNamesThatNoTopicCanHave) {
  for (const char* name :
       {"'with/slash'", "'with space'", "E'new\\nline'", "''", "repeat('long', 5000)"}) {
    EXPECT_THAT(Saying("INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('t', " +
                       std::string(name) + ", 'n')"),
                ElementsAre("all"))
        << name;
    EXPECT_THAT(Saying("DELETE FROM device_registry WHERE device_id = " + std::string(name)),
                ElementsAre("all"))
        << name;
  }
}

TEST_F(NotifyTriggers, TellOfTruncatedTables) {
  EXPECT_THAT(Saying("TRUNCATE device_certificates"),
              UnorderedElementsAre("device t/a", "device t/b", "revoked t/a", "revoked t/b"));
  EXPECT_THAT(Saying("TRUNCATE device_registry CASCADE"),
              UnorderedElementsAre("device t/a", "device t/b", "device t/c", "revoked t/a",
                                   "revoked t/b", "revoked t/c"));
  EXPECT_THAT(Saying("TRUNCATE subscriptions CASCADE"), ElementsAre("all"));
}

TEST_F(NotifyTriggers, TellThatSettingsHaveChanged) {
  for (const char* change : {"INSERT INTO app_settings (key, value) VALUES ('K', '1')",
                             "UPDATE app_settings SET value = '2'", "DELETE FROM app_settings",
                             "TRUNCATE app_settings"}) {
    EXPECT_THAT(Saying(change), ElementsAre("settings")) << change;
  }
}

TEST_F(NotifyTriggers, WorkForARoleThatMayOnlyChangeASubscription) {
  const std::string role = "billing_" + database_;  // roles are the server's, not the database's
  Execute("CREATE ROLE " + role + " LOGIN; GRANT SELECT, UPDATE ON subscriptions TO " + role +
          "; CREATE POLICY billing_all ON subscriptions TO " + role + " USING (true)");
  auto billing = SharedPostgres().Connect(database_, role);
  EXPECT_FALSE(billing->Exec("SELECT FROM device_registry").ok());
  EXPECT_FALSE(billing->Exec("SELECT sluice_notify_devices(NULL, ARRAY['t/a'])").ok());
  Execute(*billing, "UPDATE subscriptions SET status = 'EXPIRED' WHERE subscription_id = 'T'");
  EXPECT_THAT(Saying("SELECT"), ElementsAre("device t/c"));
}

TEST_F(NotifyTriggers, CopeWithManyRowsAfterTheyWerePlannedForOne) {
  Execute("UPDATE device_registry SET site_id = 'south' WHERE device_id = 'a'");
  Execute(
      "INSERT INTO device_registry (tenant_id, device_id, site_id)"
      " SELECT 'bulk', n::text, 'n' FROM generate_series(1, 100000) n");
  Saying("SELECT");
  EXPECT_THAT(Saying("UPDATE device_registry SET site_id = 'x' WHERE tenant_id = 'bulk'"),
              ElementsAre("all"));
}

class NotifyTriggersOnTheOldDatabase : public NotifyTriggers {
 protected:
  void Prepare() override {
    Execute(testing::ReadFile(SLUICE_SOURCE_DIR "/tests/support/legacy_schema.sql"));
    admin_ = SharedPostgres().Connect(database_);
  }
};

TEST_F(NotifyTriggersOnTheOldDatabase, AreThereToo) {
  EXPECT_THAT(Saying("UPDATE device_registry SET status = 'REVOKED' WHERE device_id = 'probe-1'"),
              UnorderedElementsAre("device orchard/probe-1", "revoked orchard/probe-1"));
  EXPECT_THAT(Saying("UPDATE subscriptions SET status = 'SUSPENDED'"
                     " WHERE subscription_id = 'SUB-HARBOUR'"),
              ElementsAre("device harbour/crane-1"));
  EXPECT_THAT(Saying("DELETE FROM device_registry WHERE device_id = 'probe-1'"),
              UnorderedElementsAre("device orchard/probe-1", "revoked orchard/probe-1"))
      << "with its certificate, by cascade";
}

}  // namespace
}  // namespace sluice
