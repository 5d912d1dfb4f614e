// A spool whose database was restored from an older backup: the ledger ends before the watermark.
#include "tests/unit/spool/spool_fixture.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

class SpoolWithAnOlderDatabase : public SpoolTest {
 protected:
  // 1 to `last` are appended and completed, the watermark is on disk.
  void CommitNumbers(uint64_t last) {
    Open();
    AppendNumbers(1, last);
    Drain();
    spool_->Maintain();
    ASSERT_EQ(spool_->watermark(), last);
  }
};

TEST_F(SpoolWithAnOlderDatabase, HandsOutAgainWhatIsOnDiskAndNotInTheLedger) {
  CommitNumbers(30);
  KillAndOpen();
  spool_->SkipCommitted({{1, 10}, {13, 15}});
  EXPECT_EQ(spool_->stats().forgotten_held, 17U);
  EXPECT_EQ(spool_->stats().forgotten_gone, 0U);
  EXPECT_EQ(spool_->stats().backlog_records, 17U);
  std::vector<std::string> expected = Numbers(16, 31);
  expected.insert(expected.begin(), {"11", "12"});
  Append("31");
  EXPECT_EQ(Drain(), expected);
  EXPECT_EQ(damaged_, 0U);
  EXPECT_EQ(spool_->stats().first_uncommitted, 32U);
}

TEST_F(SpoolWithAnOlderDatabase, HandsOutEverythingWhenTheDatabaseIsNew) {
  CommitNumbers(10);
  KillAndOpen();
  spool_->SkipCommitted({});
  EXPECT_EQ(Drain(), Numbers(1, 10));
}

TEST_F(SpoolWithAnOlderDatabase, CountsWhatIsNotOnDiskAnyMore) {
  CommitNumbers(3000);
  const uint64_t first = spool_->stats().first_on_disk;
  ASSERT_GT(first, 101U);
  KillAndOpen();
  spool_->SkipCommitted({{1, 100}});
  EXPECT_EQ(spool_->stats().forgotten_gone, first - 101);
  EXPECT_EQ(spool_->stats().forgotten_held, 3001 - first);
  EXPECT_EQ(Drain(), Numbers(first, 3000));
  EXPECT_EQ(damaged_, 0U);
}

// It was set back under a running daemon, which has committed more since.
TEST_F(SpoolWithAnOlderDatabase, IsNoticedByAHoleInTheLedger) {
  CommitNumbers(30);
  KillAndOpen();
  spool_->SkipCommitted({{1, 10}, {21, 30}});
  EXPECT_EQ(spool_->stats().forgotten_held, 10U);
  EXPECT_EQ(Drain(), Numbers(11, 20));
}

TEST_F(SpoolWithAnOlderDatabase, IsNotOneWhoseRowsOfTrimmedRecordsArePruned) {
  CommitNumbers(3000);
  const uint64_t first = spool_->stats().first_on_disk;
  ASSERT_GT(first, 101U);
  KillAndOpen();
  spool_->SkipCommitted({{first - 5, 3000}});
  EXPECT_EQ(spool_->stats().backlog_records, 0U);
  EXPECT_EQ(spool_->watermark(), 3000U);
}

TEST_F(SpoolWithAnOlderDatabase, GoesOnAfterAKillInTheMiddle) {
  CommitNumbers(20);
  KillAndOpen();
  spool_->SkipCommitted({{1, 10}});
  Append("21");
  spool_->Complete(*Next(5));
  KillAndOpen();
  spool_->SkipCommitted({{1, 10}, {11, 15}, {21, 21}});
  EXPECT_EQ(spool_->stats().forgotten_held, 0U);
  EXPECT_EQ(Drain(), Numbers(16, 20));
}

TEST_F(SpoolWithAnOlderDatabase, DoesNotTakeAGapLeftOnPurposeForForgotten) {
  options_.redelivery_window = 100;  // keeps the first segment
  Open();
  AppendNumbers(1, 10);
  KillAndOpen();
  spool_->SkipCommitted({{20, 20}});
  Append("new");
  EXPECT_THAT(Drain(), SizeIs(11));
  spool_->Maintain();
  KillAndOpen();
  spool_->SkipCommitted({{1, 9}});
  EXPECT_EQ(spool_->stats().forgotten_held, 2U);
  EXPECT_THAT(Drain(), ElementsAre("10", "new"));
  EXPECT_EQ(damaged_, 0U);
}

TEST_F(SpoolWithAnOlderDatabase, IsNotOneThatIsNewItself) {
  Open();
  spool_->SkipCommitted({});
  EXPECT_EQ(spool_->stats().forgotten_held + spool_->stats().forgotten_gone, 0U);
  EXPECT_EQ(spool_->stats().backlog_records, 0U);
}

TEST_F(SpoolWithAnOlderDatabase, IsNotOneThatHasARowForEverythingOnDisk) {
  CommitNumbers(10);
  KillAndOpen();
  spool_->SkipCommitted({{1, 6}, {7, 10}});
  EXPECT_EQ(spool_->stats().backlog_records, 0U);
  EXPECT_EQ(spool_->watermark(), 10U);
}

}  // namespace
}  // namespace sluice
