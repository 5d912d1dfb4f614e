// A COMMIT whose answer never comes while its transaction is still under way: the others go on, and
// the chunk is written once, whichever way it ends.
#include <gmock/gmock.h>
#include <signal.h>

#include <future>

#include "ingest/database_health.h"
#include "tests/integration/database_writer_fixture.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::SharedPostgres;
using testing::TcpProxy;

class DoubtfulCommit : public DatabaseWriterTest {
 protected:
  void SetUp() override {
    DatabaseWriterTest::SetUp();
    Connect(milliseconds(1500));
    other_session_ = std::make_unique<PgSession>(SharedPostgres().Conninfo(database_, kRole),
                                                 seconds(10), seconds(10));
    other_ = std::make_unique<DatabaseWriter>(WriterOptions{.spool_id = kSpool}, *other_session_,
                                              parts_.shared);
    chunk_.Add(kGood);
    batch_ = parts_.Judge(chunk_);
  }

  // The COMMIT does not arrive, and `lost_` plays the backend that goes on with what did.
  void LeaveTransactionOpen() {
    proxy_.CutAt("); COMMIT", TcpProxy::Cut::kBeforeRequest);
    ASSERT_FALSE(writer_->Commit(&batch_).ok());
    lost_ = SharedPostgres().Connect(database_, kRole);
    const auto open = lost_->Exec(
        "BEGIN; SELECT pg_advisory_xact_lock_shared(" + std::to_string(SpoolLockKey(kSpool)) +
        "); INSERT INTO telemetry (time, tenant_id, device_id, site_id) VALUES "
        "('2026-03-01 10:00:25+00', 'orchard', 'probe-7', 'north'); "
        "INSERT INTO ingest_ledger (spool_id, first_seq, last_seq, messages, rows, quarantined, "
        "damaged) VALUES ('" +
        std::string(kSpool) + "', 1, 1, 1, 1, 0, 0)");
    ASSERT_TRUE(open.ok()) << open.error().Describe();
  }
  // Another worker's chunk, with a rejected message, at once.
  void ExpectTheOtherGoesOn(uint64_t first_seq) {
    TestChunk chunk(first_seq);
    chunk.Add(kGood).Add("junk");
    Batch batch = parts_.Judge(chunk);
    auto report = other_->Commit(&batch);
    ASSERT_TRUE(report.ok()) << report.error().Describe();
    EXPECT_EQ(report->accepted, 1U);
  }
  void ExpectRetry() {
    const auto waited = writer_->Commit(&batch_);
    ASSERT_FALSE(waited.ok());
    EXPECT_EQ(Classify(waited.error()), Failure::kRetry) << waited.error().Describe();
  }
  void ExpectWrittenOnce() {
    EXPECT_EQ(Count("ingest_ledger WHERE first_seq = 1"), 1);
    EXPECT_EQ(Value("SELECT sum(rows) FROM ingest_ledger"), "3");
    EXPECT_EQ(Count("telemetry"), 3);
  }

  TestChunk chunk_;
  Batch batch_;
  std::unique_ptr<PgSession> other_session_;
  std::unique_ptr<DatabaseWriter> other_;
  std::unique_ptr<PgConnection> lost_;
};

TEST_F(DoubtfulCommit, StallsNobodyElseAndIsConfirmedWhenItEndsWell) {
  LeaveTransactionOpen();
  ExpectTheOtherGoesOn(11);
  ExpectRetry();
  ExpectTheOtherGoesOn(21);
  ASSERT_TRUE(lost_->Exec("COMMIT").ok());
  EXPECT_TRUE(MustCommit(&batch_).already);
  ExpectWrittenOnce();
}

TEST_F(DoubtfulCommit, StallsNobodyElseAndIsMadeAgainWhenItIsRolledBack) {
  LeaveTransactionOpen();
  ExpectRetry();
  ExpectTheOtherGoesOn(11);
  ExpectTheOtherGoesOn(21);
  ASSERT_TRUE(lost_->Exec("ROLLBACK").ok());
  EXPECT_FALSE(MustCommit(&batch_).already);
  ExpectWrittenOnce();
}

TEST_F(DoubtfulCommit, IsConfirmedByTheLedgersKeyWhenItEndsDuringTheNextAttempt) {
  LeaveTransactionOpen();
  ExpectTheOtherGoesOn(11);
  ExpectTheOtherGoesOn(21);
  Connect(seconds(10));  // a patient one
  proxy_.CutAt("); COMMIT", TcpProxy::Cut::kBeforeRequest);
  ASSERT_FALSE(writer_->Commit(&batch_).ok());
  auto again = std::async(std::launch::async, [this] { return writer_->Commit(&batch_); });
  ASSERT_TRUE(Soon([this] {
    return Count(
               "pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%ingest_ledger%' "
               "AND datname = current_database()") == 1;
  }));
  ASSERT_TRUE(lost_->Exec("COMMIT").ok());
  auto report = again.get();
  ASSERT_TRUE(report.ok()) << report.error().Describe();
  EXPECT_TRUE(report->already);
  ExpectWrittenOnce();
}

TEST_F(DoubtfulCommit, OfAStoppedBackendStallsNobodyElse) {
  Sql("CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$;"
      "CREATE TRIGGER hold AFTER INSERT ON ingest_ledger FOR EACH ROW WHEN (NEW.first_seq = 1) "
      "EXECUTE FUNCTION hold(); SELECT pg_advisory_lock(42)");
  const pid_t backend = (*session_->Acquire())->backend_pid();
  auto first = std::async(std::launch::async, [this] { return writer_->Commit(&batch_); });
  ASSERT_TRUE(Soon([&] {
    return Count("pg_locks WHERE NOT granted AND pid = " + std::to_string(backend)) == 1;
  }));
  ASSERT_EQ(kill(backend, SIGSTOP), 0);
  ExpectTheOtherGoesOn(11);
  const auto lost = first.get();
  ASSERT_FALSE(lost.ok());
  EXPECT_TRUE(lost.error().timed_out);
  ExpectRetry();
  ExpectTheOtherGoesOn(21);
  Sql("SELECT pg_advisory_unlock(42)");
  ASSERT_EQ(kill(backend, SIGCONT), 0);
  EXPECT_TRUE(Soon([this] { return writer_->Commit(&batch_).ok(); }));
  ExpectWrittenOnce();
}

// A copied spool directory: taking the other's rows for ours would lose our messages.
TEST_F(DoubtfulCommit, IsNotWhatAnotherProcessWroteUnderTheSameNumbers) {
  other_session_->Drop();
  TestChunk chunk(1);
  chunk.Add(kGood);
  Batch batch = parts_.Judge(chunk);
  ASSERT_TRUE(other_->Commit(&batch).ok());
  const auto refused = writer_->Commit(&batch_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().sqlstate, "23505");
  EXPECT_EQ(refused.error().constraint, "ingest_ledger_pkey");
  EXPECT_EQ(Count("telemetry"), 1);
}

}  // namespace
}  // namespace sluice
