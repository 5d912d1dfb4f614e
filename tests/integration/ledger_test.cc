// The ledger as the next process and the housekeeper read it.
#include "ingest/ledger.h"

#include <gmock/gmock.h>

#include "ingest/housekeeper.h"
#include "tests/integration/database_writer_fixture.h"
#include "tests/support/free_port.h"
#include "tests/support/test_pki.h"

namespace sluice {
namespace {

using std::chrono::seconds;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::SharedPostgres;
using ::testing::SizeIs;

class LedgerTest : public DatabaseWriterTest {
 protected:
  void CommitChunk(uint64_t first_seq, size_t messages = 2) {
    TestChunk chunk(first_seq);
    for (size_t i = 0; i < messages; ++i) chunk.Add(kGood);
    Batch batch = parts_.Judge(chunk);
    MustCommit(&batch);
  }
  Result<std::vector<SeqRange>> Read(const std::string& spool = kSpool) {
    return ReadLedger(*session_, spool, &health_);
  }
  std::string Concern(sluice::Concern concern) const {
    return health_.concerns()[static_cast<size_t>(concern)];
  }

  DatabaseHealth health_;
};

TEST_F(LedgerTest, TellsTheNextProcessWhatIsCommitted) {
  CommitChunk(1);
  CommitChunk(3);
  const auto committed = Read();
  ASSERT_TRUE(committed.ok()) << committed.message();
  ASSERT_THAT(*committed, SizeIs(2));
  EXPECT_EQ((*committed)[0].first, 1U);
  EXPECT_EQ((*committed)[0].last, 2U);
  EXPECT_EQ((*committed)[1].last, 4U);
  const auto other = Read("ffffffff-0000-0000-0000-000000000000");
  ASSERT_TRUE(other.ok());
  EXPECT_THAT(*other, IsEmpty());
}

TEST_F(LedgerTest, IsReadOnlyAfterTheLastTransactionOfADeadProcess) {
  auto dead = SharedPostgres().Connect(database_, kRole);
  ASSERT_TRUE(dead->Exec("BEGIN; SELECT pg_advisory_xact_lock_shared(" +
                         std::to_string(SpoolLockKey(kSpool)) +
                         "); INSERT INTO ingest_ledger (spool_id, first_seq, last_seq, messages, "
                         "rows, quarantined, damaged) VALUES ('" +
                         std::string(kSpool) + "', 1, 2, 2, 2, 0, 0)")
                  .ok());
  EXPECT_FALSE(Read().ok()) << "it may still commit";
  EXPECT_EQ(health_.view().state, DatabaseState::kRetrying);
  EXPECT_THAT(health_.view().reason,
              HasSubstr("waiting for a transaction that an earlier process of this spool left open "
                        "(PostgreSQL backend " +
                        std::to_string(dead->backend_pid()) + ")"));
  ASSERT_TRUE(dead->Exec("COMMIT").ok());
  const auto committed = Read();
  ASSERT_TRUE(committed.ok()) << committed.message();
  EXPECT_THAT(*committed, SizeIs(1));
}

TEST_F(LedgerTest, IsNotReadFromAnotherSchema) {
  Sql("DELETE FROM sluice_schema_migrations WHERE version > 5");
  const auto refused = Read();
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.message(), HasSubstr("sluice migrate"));
  EXPECT_EQ(health_.view().state, DatabaseState::kPaused);
}

TEST_F(LedgerTest, SaysWhichTableItMayNotRead) {
  Sql("REVOKE SELECT ON ingest_ledger FROM " + std::string(kRole));
  ASSERT_FALSE(Read().ok());
  EXPECT_EQ(health_.view().state, DatabaseState::kPaused);
  EXPECT_THAT(health_.view().reason, HasSubstr("reading ingest_ledger: 42501"));
}

class HousekeeperTest : public LedgerTest {
 protected:
  void SetUp() override {
    LedgerTest::SetUp();
    auto loaded = LoadSettings([](const char* /*name*/) { return nullptr; });
    ASSERT_TRUE(loaded.ok());
    settings_ = std::move(*loaded);
    for (const auto& [key, value] : {std::pair<const char*, std::string>{"PG_HOST", "127.0.0.1"},
                                     {"PG_PORT", std::to_string(SharedPostgres().port())},
                                     {"PG_DB", database_},
                                     {"PG_USER", kRole}}) {
      const Status set = SettingsTable().Assign(key, value, &settings_);
      ASSERT_TRUE(set.ok()) << set.message();
    }
    housekeeper_ = std::make_unique<Housekeeper>(settings_, *spool_.spool, runtime_, limiter_,
                                                 health_, SystemClock());
  }
  void CommitAs(const std::string& first_seq) {
    Sql("INSERT INTO ingest_ledger (spool_id, first_seq, last_seq, messages, rows, quarantined, "
        "damaged) VALUES ('" +
        spool_.spool->id() + "', " + first_seq + ", " + first_seq + ", 1, 1, 0, 0)");
  }

  Settings settings_;
  TestSpool spool_;
  RuntimeSettings runtime_;
  RateLimiter limiter_;
  std::unique_ptr<Housekeeper> housekeeper_;
};

TEST_F(HousekeeperTest, NoticesThatTheDatabaseHasForgotten) {
  ASSERT_TRUE(housekeeper_->WatchLedger().ok());
  CommitAs("1");
  ASSERT_TRUE(housekeeper_->WatchLedger().ok());
  CommitAs("2");
  ASSERT_TRUE(housekeeper_->WatchLedger().ok());
  EXPECT_THAT(health_.concerns(), Each(IsEmpty()));
  Sql("DELETE FROM ingest_ledger WHERE first_seq = 2");
  CommitAs("3");
  ASSERT_TRUE(housekeeper_->WatchLedger().ok());
  EXPECT_THAT(Concern(Concern::kRestored), HasSubstr("restored from an older backup; restart"));
}

TEST_F(HousekeeperTest, DoesNotTakeItsOwnPruningForForgetting) {
  for (int i = 0; i < 3; ++i) spool_.Append();
  const auto chunk = spool_.Next();
  spool_.spool->Complete(*chunk);
  spool_.spool->Maintain();
  for (const char* seq : {"1", "2", "3"}) {
    CommitAs(seq);
    ASSERT_TRUE(housekeeper_->PruneLedger().ok());
    ASSERT_TRUE(housekeeper_->WatchLedger().ok());
  }
  EXPECT_THAT(health_.concerns(), Each(IsEmpty()));
}

TEST_F(HousekeeperTest, SaysWhichDaysHaveNoPartition) {
  ASSERT_TRUE(housekeeper_->MakePartitionsAhead().ok());
  EXPECT_THAT(health_.concerns(), Each(IsEmpty()));
  const std::string today = Value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')");
  Sql("DROP TABLE telemetry_p" + std::regex_replace(today, std::regex("-"), "") +
      "; INSERT INTO telemetry (time, tenant_id, device_id, site_id) VALUES (now(), 'a', 'b', "
      "'c')");
  ASSERT_TRUE(housekeeper_->MakePartitionsAhead().ok());
  EXPECT_THAT(Concern(Concern::kPartitionMissing), HasSubstr("no partition for " + today));

  // As docs/operations.md says.
  Sql("BEGIN; CREATE TEMP TABLE moved ON COMMIT DROP AS SELECT * FROM telemetry_default WHERE "
      "time >= date_trunc('day', now(), 'UTC');"
      "DELETE FROM telemetry_default WHERE time >= date_trunc('day', now(), 'UTC');"
      "SELECT sluice_ensure_partition('" +
      today +
      "'); INSERT INTO telemetry SELECT * FROM moved; "
      "COMMIT");
  ASSERT_TRUE(housekeeper_->MakePartitionsAhead().ok());
  EXPECT_THAT(health_.concerns(), Each(IsEmpty()));
  EXPECT_EQ(Count("telemetry_default"), 0);
  EXPECT_EQ(Count("telemetry"), 1);
}

TEST_F(HousekeeperTest, CountsDevicesWhoseLastCertificateEndsSoon) {
  EXPECT_EQ(housekeeper_->expiring_devices(), std::nullopt);
  Sql("INSERT INTO device_registry (tenant_id, device_id, site_id) SELECT 't', 'd' || n, 'north' "
      "FROM generate_series(1, 5) AS n");
  const auto certify = [&](const std::string& device, const std::string& status,
                           const std::string& ends_in) {
    Sql("INSERT INTO device_certificates (tenant_id, device_id, cert_pem, fingerprint_sha256, "
        "common_name, issuer, serial_number, status, not_before, not_after) VALUES ('t', '" +
        device + "', '', gen_random_uuid(), '', '', '', '" + status +
        "', now() - interval '1 y', " + "now() + interval '" + ends_in + "')");
  };
  certify("d1", "ACTIVE", "13 days");
  certify("d2", "ACTIVE", "1 day");
  certify("d2", "ACTIVE", "2 days");
  certify("d3", "ACTIVE", "1 day");
  certify("d3", "ACTIVE", "100 days");  // it has a new one already
  certify("d4", "REVOKED", "1 day");
  certify("d5", "ACTIVE", "-1 day");  // too late
  ASSERT_TRUE(housekeeper_->CountExpiringDevices().ok());
  EXPECT_EQ(housekeeper_->expiring_devices(), 2);
}

TEST_F(HousekeeperTest, ReadsWatchedFilesWithoutTheDatabaseAndSaysNothingOfIt) {
  const testing::TestPki pki;
  settings_.pki_watch_files = {pki.ca_file(), "/nowhere/crl.pem"};
  settings_.pg_port = testing::FreePort();
  Housekeeper alone(settings_, *spool_.spool, runtime_, limiter_, health_, SystemClock());
  alone.Start();
  ASSERT_TRUE(Soon([&] { return !alone.pki_files().empty(); }));
  alone.Stop();
  const std::vector<PkiFile> files = alone.pki_files();
  ASSERT_THAT(files, SizeIs(2));
  EXPECT_EQ(files[0].name, pki.ca_file());
  EXPECT_GT(files[0].end, SystemClock().Now());
  EXPECT_EQ(files[1].end, 0);
  EXPECT_EQ(health_.view().state, DatabaseState::kRetrying);
}

TEST_F(HousekeeperTest, SaysWhatItCouldNotRead) {
  Sql("REVOKE SELECT ON app_settings FROM " + std::string(kRole));
  const PgStatus refused = housekeeper_->ReadAppSettings();
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().Describe(), HasSubstr("reading app_settings: 42501"));
}

}  // namespace
}  // namespace sluice
