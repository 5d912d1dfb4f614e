// A spool that is opened again: after a clean stop, a kill, a power cut; with a ledger that knows
// more than the spool; numbers are never used twice.
#include "tests/unit/spool/spool_fixture.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

TEST_F(SpoolTest, GoesOnWhereItStoppedWithTheSameId) {
  Open();
  const std::string id = spool_->id();
  AppendNumbers(1, 10);
  spool_->Complete(*Next(4));
  Open();
  EXPECT_EQ(spool_->id(), id);
  EXPECT_EQ(spool_->watermark(), 4U);
  EXPECT_EQ(spool_->stats().backlog_records, 6U);
  AppendNumbers(11, 12);
  EXPECT_EQ(Drain(), Numbers(5, 12));
  EXPECT_EQ(spool_->stats().next_seq, 13U);
}

TEST_F(SpoolTest, LosesNothingToAKillAtAnyMoment) {
  options_.segment_bytes = 512;
  Open();
  for (uint64_t i = 1; i <= 40; ++i) {
    Append(std::to_string(i));
    if (i % 7 == 0) spool_->Complete(*Next(3));
    if (i % 5 == 0) spool_->Maintain();
    const uint64_t watermark = spool_->watermark();
    const FakeFileSystem& before = *disk_;
    const Disk after = before.AfterKill();
    auto reopened = Spool::Open(options_, *after, clock_);
    ASSERT_TRUE(reopened.ok());
    EXPECT_EQ((*reopened)->id(), spool_->id());
    EXPECT_EQ((*reopened)->stats().next_seq, i + 1);
    EXPECT_EQ((*reopened)->stats().backlog_records, i - watermark);
    EXPECT_EQ((*reopened)->stats().damaged_records, 0U);
  }
}

TEST_F(SpoolTest, DoesNotHandOutWhatTheLedgerHolds) {
  Open();
  AppendNumbers(1, 30);
  KillAndOpen();
  spool_->SkipCommitted({{25, 30}, {4, 6}, {7, 8}, {12, 12}});
  EXPECT_EQ(spool_->stats().backlog_records, 18U);
  auto chunk = Next();
  EXPECT_EQ(chunk->first_seq, 1U);
  EXPECT_EQ(chunk->last_seq, 3U);
  spool_->Complete(*chunk);
  chunk = Next();
  EXPECT_EQ(chunk->first_seq, 9U);
  EXPECT_EQ(chunk->last_seq, 11U);
  spool_->Complete(*chunk);
  chunk = Next();
  EXPECT_EQ(chunk->first_seq, 13U);
  EXPECT_EQ(chunk->last_seq, 24U);
  EXPECT_THAT(chunk->records, SizeIs(12));
  EXPECT_EQ(chunk->damaged, 0U);
  spool_->Complete(*chunk);
  EXPECT_EQ(spool_->stats().backlog_records, 0U);
  EXPECT_EQ(spool_->stats().first_uncommitted, 31U);
}

TEST_F(SpoolTest, SkipsAcrossSegments) {
  Open();
  AppendNumbers(1, 3000);
  KillAndOpen();
  spool_->SkipCommitted({{1, 2990}});
  EXPECT_EQ(Drain(), Numbers(2991, 3000));
  spool_->Maintain();
  EXPECT_THAT(Segments(), SizeIs(1));
}

TEST_F(SpoolTest, NumbersOnBeyondALedgerThatKnowsMore) {
  Open();
  AppendNumbers(1, 10);
  KillAndOpen();
  spool_->SkipCommitted({{5, 20}});
  EXPECT_EQ(spool_->stats().next_seq, 21U);
  EXPECT_EQ(spool_->stats().backlog_records, 4U);
  Append("new");
  EXPECT_THAT(Drain(), ElementsAre("1", "2", "3", "4", "new"));
  EXPECT_EQ(damaged_, 0U);
  EXPECT_EQ(spool_->stats().first_uncommitted, 22U);
}

TEST_F(SpoolTest, DoesNotTakeAGapLeftOnPurposeForDamage) {
  Open();
  AppendNumbers(1, 10);
  KillAndOpen();
  spool_->SkipCommitted({{20, 20}});
  Append("new");
  KillAndOpen();
  EXPECT_EQ(spool_->stats().backlog_records, 11U);
  EXPECT_THAT(Drain(), SizeIs(11));
  EXPECT_EQ(damaged_, 0U);
  Close();
  ASSERT_TRUE(disk_->Remove(Path("watermark")).ok());
  Open();
  EXPECT_THAT(Drain(), SizeIs(11));
  EXPECT_EQ(damaged_, 0U);
}

TEST_F(SpoolTest, TakesALedgerThatIsAheadOfAnEmptySpool) {
  Open();
  spool_->SkipCommitted({{1, 5}});
  Append("six");
  const auto chunk = Next();
  EXPECT_EQ(chunk->first_seq, 6U);
  spool_->Complete(*chunk);
  KillAndOpen();
  EXPECT_EQ(spool_->stats().next_seq, 7U);
  EXPECT_THAT(Drain(), ElementsAre("six"));
}

// The record was appended, handed out and committed, and then the power cut took it from the file.
TEST_F(SpoolTest, NeverUsesANumberTwiceAfterAPowerCut) {
  options_.sync = SpoolSync::kInterval;
  options_.sync_interval = std::chrono::hours(1);
  Open();
  const std::string id = spool_->id();
  Append("durable");
  ASSERT_TRUE(spool_->Sync().ok());
  Append("lost");
  CutPowerAndOpen();
  EXPECT_EQ(spool_->id(), id);
  EXPECT_EQ(spool_->stats().next_seq, 2U);
  spool_->SkipCommitted({{1, 2}});
  Append("new");
  const auto chunk = Next();
  EXPECT_EQ(chunk->first_seq, 3U);
  EXPECT_EQ(chunk->records.at(0).payload, "new");
}

TEST_F(SpoolTest, NumbersOnBeyondAWatermarkThatOutlivedItsRecords) {
  Open();
  AppendNumbers(1, 10);
  Drain();
  spool_->Maintain();
  Close();
  const std::string bytes = disk_->Contents(Segment(1));
  disk_->SetContents(Segment(1), bytes.substr(0, bytes.size() / 2));
  Open();
  EXPECT_EQ(spool_->stats().next_seq, 11U);
  EXPECT_EQ(spool_->stats().backlog_records, 0U);
  Append("11");
  EXPECT_THAT(Drain(), ElementsAre("11"));
  EXPECT_EQ(damaged_, 0U);
}

TEST_F(SpoolTest, GetsANewIdWhenItsSegmentsAreGone) {
  Open();
  const std::string id = spool_->id();
  AppendNumbers(1, 10);
  Drain();
  Close();
  for (const std::string& path : Segments()) ASSERT_TRUE(disk_->Remove(path).ok());
  ASSERT_TRUE(disk_->Exists(Path("watermark")));
  Open();
  EXPECT_NE(spool_->id(), id);
  EXPECT_EQ(spool_->watermark(), 0U);
  const std::string second = spool_->id();
  Append("first of a new life");
  KillAndOpen();
  EXPECT_EQ(spool_->id(), second);
  EXPECT_THAT(Drain(), ElementsAre("first of a new life"));
}

TEST_F(SpoolTest, GetsANewIdWhenTheDirectoryIsRecreated) {
  Open();
  const std::string id = spool_->id();
  Replace(std::make_unique<FakeFileSystem>());
  Open();
  EXPECT_NE(spool_->id(), id);
  EXPECT_EQ(spool_->stats().next_seq, 1U);
}

TEST_F(SpoolTest, RebuildsADeletedWatermarkFromTheOldestSegment) {
  Open();
  AppendNumbers(1, 3000);
  for (int i = 0; i < 2; ++i) spool_->Complete(*Next(100000));
  spool_->Maintain();
  const uint64_t first = spool_->stats().first_on_disk;
  ASSERT_GT(first, 1U);
  const std::string id = spool_->id();
  Close();
  ASSERT_TRUE(disk_->Remove(Path("watermark")).ok());
  Open();
  EXPECT_EQ(spool_->id(), id);
  EXPECT_EQ(spool_->watermark(), first - 1);
  EXPECT_EQ(Drain(), Numbers(first, 3000));
}

TEST_F(SpoolTest, SurvivesAKillInTheMiddleOfARoll) {
  Open();
  AppendNumbers(1, 10);
  const Uuid spool = ParseSegmentHeader(disk_->Contents(Segment(1)).substr(0, 64))->spool;
  Close();
  // The header is in the spare, and the rename has not happened.
  disk_->SetContents(Path("reserve.seg"), EncodeSegmentHeader({spool, 11, 10, 0}));
  Open();
  AppendNumbers(11, 3000);
  EXPECT_EQ(Drain(), Numbers(1, 3000));
  EXPECT_EQ(damaged_, 0U);
}

TEST_F(SpoolTest, CanRunWithAnotherSegmentSize) {
  Open();
  AppendNumbers(1, 2000);
  Close();
  options_.segment_bytes = 4096;
  options_.max_bytes = 16384;
  Open();
  EXPECT_TRUE(spool_->stats().full);
  EXPECT_EQ(Drain(), Numbers(1, 2000));
  spool_->Maintain();
  spool_->Maintain();
  EXPECT_FALSE(spool_->stats().full) << spool_->stats().problem;
}

}  // namespace
}  // namespace sluice
