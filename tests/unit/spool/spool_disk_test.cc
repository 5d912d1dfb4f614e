// A spool on a disk that is full, broken or forgetful.
#include <thread>

#include "tests/unit/spool/spool_fixture.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

TEST_F(SpoolTest, AppendsIntoReservedSpaceWhenTheDiskFillsUp) {
  Open();
  disk_->SetCapacity(0);  // others have taken the rest
  uint64_t appended = 0;
  while (Segments().size() == 1) AppendNumbers(appended + 1, appended + 1), ++appended;
  while (disk_->Contents(Segments().back()).size() + 200 < options_.segment_bytes) {
    AppendNumbers(appended + 1, appended + 1);
    ++appended;
  }
  spool_->Maintain();
  EXPECT_TRUE(spool_->stats().full);
  EXPECT_THAT(spool_->stats().problem, HasSubstr("No space left"));
  EXPECT_EQ(Drain(), Numbers(1, appended));
}

TEST_F(SpoolTest, StopsForGoodWhenThereIsNoSpaceForARoll) {
  Open();
  disk_->SetCapacity(0);
  Result<AppendOutcome> outcome = AppendOutcome::kAppended;
  uint64_t appended = 0;
  while ((outcome = TryAppend(std::to_string(appended + 1))).ok()) ++appended;
  EXPECT_EQ(outcome.code(), ErrorCode::kNoSpace);
  disk_->SetCapacity(UINT64_MAX);
  EXPECT_FALSE(TryAppend("after").ok());
  EXPECT_EQ(Drain(), Numbers(1, appended));
  KillAndOpen();
  EXPECT_EQ(spool_->stats().next_seq, appended + 1);
  Append("again");
}

TEST_F(SpoolTest, StartsOnAFullDiskWithABacklogAndDrainsIt) {
  Open();
  AppendNumbers(1, 1000);
  Close();
  ASSERT_FALSE(disk_->Exists(Path("reserve.seg")));
  disk_->SetCapacity(0);
  Open();
  EXPECT_TRUE(spool_->stats().full);
  EXPECT_EQ(Drain(), Numbers(1, 1000));
  disk_->SetCapacity(1 << 20);
  spool_->Maintain();
  EXPECT_FALSE(spool_->stats().full) << spool_->stats().problem;
  Append("more");
}

TEST_F(SpoolTest, SaysWhyItCannotStartOnAFullDisk) {
  disk_->SetCapacity(100);
  const Status status = TryOpen();
  EXPECT_EQ(status.code(), ErrorCode::kNoSpace);
  EXPECT_THAT(status.message(), HasSubstr("No space left"));
}

TEST_F(SpoolTest, IsFullAtItsLimitAndNotBeforeItFallsWellBelow) {
  options_.max_bytes = 640'000;
  options_.segment_bytes = 64'000;
  Open();
  uint64_t appended = 0;
  while (!spool_->stats().full) {
    Append(std::string(1000, 'x'));
    ++appended;
    spool_->Maintain();
    ASSERT_LE(spool_->stats().disk_bytes, options_.max_bytes);
    ASSERT_LT(appended, 1000U);
  }
  EXPECT_THAT(spool_->stats().problem, HasSubstr("640000"));
  // What is still on its way fits into the active segment.
  for (int i = 0; i < 50; ++i) Append(std::string(1000, 'x'));

  const auto segments = Segments().size();
  while (Segments().size() == segments) {
    spool_->Complete(*Next(10));
    spool_->Maintain();
  }
  EXPECT_TRUE(spool_->stats().full) << "a spare fits, but that is above 90 %";
  EXPECT_NE(spool_->stats().problem, "");
  while (Segments().size() == segments - 1) {
    spool_->Complete(*Next(10));
    spool_->Maintain();
  }
  EXPECT_FALSE(spool_->stats().full);
  EXPECT_EQ(spool_->stats().problem, "");
}

TEST_F(SpoolTest, IsNotFilledByWhatIsCommitted) {
  options_.redelivery_window = 1'000'000;
  options_.max_bytes = 256 << 10;
  Open();
  for (int i = 0; i < 1000; ++i) {
    Append(std::string(1000, 'x'));
    Drain();
    spool_->Maintain();
    ASSERT_FALSE(spool_->stats().full) << i;
  }
}

TEST_F(SpoolTest, GivesUpOldRedeliveriesRatherThanStayFull) {
  options_.redelivery_window = 1'000'000;
  options_.max_bytes = 256 << 10;
  Open();
  while (!spool_->stats().full) {
    Append(std::string(1000, 'x'));
    spool_->Maintain();
  }
  Drain();
  spool_->Maintain();
  spool_->Maintain();
  EXPECT_FALSE(spool_->stats().full);
}

TEST_F(SpoolTest, StopsForGoodAfterAFailedWrite) {
  Open();
  Append("one");
  disk_->FailWrites(true);
  EXPECT_EQ(TryAppend("torn").code(), ErrorCode::kIo);
  disk_->FailWrites(false);
  const Result<AppendOutcome> after = TryAppend("after");
  ASSERT_FALSE(after.ok());
  EXPECT_THAT(after.message(), HasSubstr(Segment(1)));
  spool_->Maintain();
  EXPECT_NE(spool_->stats().problem, "");
  KillAndOpen();
  Append("two");
  EXPECT_THAT(Drain(), ElementsAre("one", "two"));
  EXPECT_EQ(damaged_, 0U);
}

TEST_F(SpoolTest, DoesNotAcknowledgeAfterAFailedSyncInTheBackground) {
  options_.sync = SpoolSync::kInterval;
  options_.sync_interval = std::chrono::milliseconds(1);
  Open();
  disk_->FailSyncs(true);
  while (TryAppend("x").ok()) std::this_thread::yield();
  disk_->FailSyncs(false);
  EXPECT_EQ(TryAppend("y").code(), ErrorCode::kIo);
}

TEST_F(SpoolTest, DoesNotAcknowledgeWhatCouldNotBeSynced) {
  options_.sync = SpoolSync::kAlways;
  Open();
  Append("one");
  disk_->FailSyncs(true);
  EXPECT_EQ(TryAppend("two").code(), ErrorCode::kIo);
  EXPECT_EQ(spool_->stats().next_seq, 2U);
  disk_->FailSyncs(false);
  EXPECT_EQ(TryAppend("three").code(), ErrorCode::kIo);
}

TEST_F(SpoolTest, LosesNothingToAPowerCutWhenItAlwaysSyncs) {
  options_.sync = SpoolSync::kAlways;
  options_.segment_bytes = 512;
  Open();
  const std::string id = spool_->id();
  for (uint64_t i = 1; i <= 50; ++i) {
    Append(std::to_string(i));
    const Disk after = disk_->AfterPowerCut();
    const auto reopened = Spool::Open(options_, *after, clock_);
    ASSERT_TRUE(reopened.ok());
    ASSERT_EQ((*reopened)->id(), id);
    ASSERT_EQ((*reopened)->stats().backlog_records, i);
  }
  CutPowerAndOpen();
  EXPECT_EQ(Drain(), Numbers(1, 50));
  EXPECT_EQ(damaged_, 0U);
}

TEST_F(SpoolTest, LosesNothingThatWasSyncedToAPowerCut) {
  options_.sync = SpoolSync::kInterval;
  options_.sync_interval = std::chrono::hours(1);
  options_.segment_bytes = 512;
  Open();
  AppendNumbers(1, 50);
  ASSERT_TRUE(spool_->Sync().ok());
  AppendNumbers(51, 60);
  CutPowerAndOpen();
  std::vector<std::string> kept = Drain();
  ASSERT_THAT(kept, SizeIs(testing::Ge(50)));
  kept.resize(50);
  EXPECT_EQ(kept, Numbers(1, 50));
}

TEST_F(SpoolTest, KeepsTheWatermarkThroughAPowerCut) {
  options_.sync = SpoolSync::kAlways;
  Open();
  AppendNumbers(1, 20);
  spool_->Complete(*Next(5));
  spool_->Maintain();
  spool_->Complete(*Next(5));
  CutPowerAndOpen();
  EXPECT_EQ(spool_->watermark(), 5U);
  EXPECT_FALSE(disk_->Exists(Path("watermark.unreadable")));
  EXPECT_EQ(Drain(), Numbers(6, 20));
}

TEST_F(SpoolTest, SyncsInTheBackgroundWhatWasAppended) {
  options_.sync = SpoolSync::kInterval;
  options_.sync_interval = std::chrono::milliseconds(1);
  Open();
  Append("one");
  const auto durable = [this] {
    const Disk after = disk_->AfterPowerCut();
    return after->Exists(Segment(1)) &&
           after->Contents(Segment(1)).size() == disk_->Contents(Segment(1)).size();
  };
  while (!durable()) std::this_thread::yield();
}

// The process that appended them was killed before it synced them; this one must not call their
// redelivery a duplicate while a power cut could still take them.
TEST_F(SpoolTest, MakesDurableWhatAKilledProcessLeftBehind) {
  options_.sync = SpoolSync::kInterval;
  options_.sync_interval = std::chrono::hours(1);
  options_.segment_bytes = 512;
  Open();
  AppendNumbers(1, 50);
  KillAndOpen();
  CutPowerAndOpen();
  EXPECT_EQ(Drain(), Numbers(1, 50));
}

TEST_F(SpoolTest, NeverSyncsInModeNone) {
  Open();
  const uint64_t before = disk_->syncs();
  AppendNumbers(1, 3000);
  EXPECT_EQ(disk_->syncs(), before);
}

}  // namespace
}  // namespace sluice
