// What becomes of rows that PostgreSQL refuses for their own fault, and of a table that refuses
// all.
#include <gmock/gmock.h>

#include <set>

#include "ingest/database_health.h"
#include "tests/integration/database_writer_fixture.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

class PoisonRows : public DatabaseWriterTest {
 protected:
  // Good messages with poison at these places, committed; what the ledger says about them.
  std::string Commit(size_t messages, const std::set<size_t>& poison) {
    for (size_t i = 0; i < messages; ++i) chunk_.Add(poison.contains(i) ? kPoison : kGood);
    batch_ = parts_.Judge(chunk_);
    report_ = MustCommit(&batch_);
    return Value("SELECT concat_ws(' ', messages, rows, quarantined) FROM ingest_ledger");
  }
  // What is in quarantine_events, as numbers of the chunk's messages.
  std::string Quarantined() {
    return Value(
        "SELECT coalesce(string_agg((spool_seq - 1)::text, ' ' ORDER BY spool_seq), '') "
        "FROM quarantine_events WHERE reason = 'STORAGE_REJECTED' "
        "AND payload->'metrics' ? 'poison'");
  }
  // As RefusePoison, but at the end of the statement, when no line is known any more.
  void RefusePoisonAtTheEnd() {
    Sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF EXISTS (SELECT FROM fresh WHERE metrics ? 'poison') THEN "
        "RAISE EXCEPTION 'poison' USING ERRCODE = '23514'; END IF; RETURN NULL; END $$;"
        "CREATE TRIGGER refuse AFTER INSERT ON telemetry REFERENCING NEW TABLE AS fresh "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse()");
  }

  TestChunk chunk_;
  Batch batch_;
  CommitReport report_;
};

TEST_F(PoisonRows, GoToTheQuarantineAndTheRestIsStored) {
  RefusePoison();
  EXPECT_EQ(Commit(50, {0, 7, 8, 31, 49}), "50 45 5");
  EXPECT_EQ(report_.accepted, 45U);
  EXPECT_EQ(report_.rows, 45U);
  EXPECT_EQ(Count("telemetry"), 45);
  EXPECT_EQ(Quarantined(), "0 7 8 31 49");
  EXPECT_THAT(Value("SELECT detail FROM quarantine_events LIMIT 1"),
              HasSubstr("23514: new row for relation"));
  EXPECT_EQ(Value("SELECT cnt FROM quarantine_counters_minute"), "5");
}

TEST_F(PoisonRows, AreFoundWithoutALineNumberToo) {
  RefusePoisonAtTheEnd();
  EXPECT_EQ(Commit(50, {0, 7, 8, 31, 49}), "50 45 5");
  EXPECT_EQ(Count("telemetry"), 45);
  EXPECT_EQ(Quarantined(), "0 7 8 31 49");
}

TEST_F(PoisonRows, AreFoundWithoutALineNumberWhenTheyAreMany) {
  RefusePoisonAtTheEnd();
  std::set<size_t> poison;
  for (size_t i = 0; i < 800; i += 40) poison.insert(i);
  EXPECT_EQ(Commit(800, poison), "800 780 20");
  EXPECT_EQ(Count("telemetry"), 780);
}

TEST_F(PoisonRows, AreQuarantinedWhenThereIsNothingElse) {
  RefusePoison();
  EXPECT_EQ(Commit(4, {0, 1, 2, 3}), "4 0 4");
  EXPECT_EQ(Quarantined(), "0 1 2 3");
  EXPECT_EQ(Count("telemetry"), 0) << "the probe leaves no row";
}

TEST_F(PoisonRows, TakeTheirWholeMessageWithThem) {
  RefusePoison();
  chunk_.Add(kGood);
  chunk_.Add(R"({"site_id":"north","provision_token":"tok-apple","readings":[)"
             R"({"metrics":{"a":1}},{"metrics":{"poison":1}},{"metrics":{"a":3}}]})");
  chunk_.Add(kGood);
  Batch batch = parts_.Judge(chunk_);
  EXPECT_EQ(MustCommit(&batch).accepted, 2U);
  EXPECT_EQ(Count("telemetry"), 2);
  EXPECT_EQ(Count("telemetry WHERE metrics ? 'a'"), 0);
  EXPECT_EQ(Count("quarantine_events WHERE spool_seq = 2"), 1);
}

TEST_F(PoisonRows, OfATableThatRefusesEverythingStayInTheSpool) {
  Sql("ALTER TABLE telemetry ADD CONSTRAINT never CHECK (tenant_id = '')");
  chunk_.Add(kGood).Add(kGood).Add("junk");
  Batch batch = parts_.Judge(chunk_);
  auto refused = writer_->Commit(&batch);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().sqlstate, "F0000");
  EXPECT_THAT(refused.error().message, HasSubstr("every row is refused: 23514"));
  EXPECT_EQ(Classify(refused.error()), Failure::kOperator);
  ExpectNothingWritten();
  EXPECT_TRUE(batch.messages[0].accepted());
  EXPECT_TRUE(batch.messages[1].accepted());

  Sql("ALTER TABLE telemetry DROP CONSTRAINT never");
  EXPECT_EQ(MustCommit(&batch).accepted, 2U) << "and is stored when the operator has mended it";
  EXPECT_EQ(Count("telemetry"), 2);
}

}  // namespace
}  // namespace sluice
