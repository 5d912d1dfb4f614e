// A healthy spool.
#include "tests/unit/spool/spool_fixture.h"

namespace sluice {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::SizeIs;

TEST_F(SpoolTest, HandsOutWhatWasAppended) {
  Open();
  Append("one");
  Append("two");
  const auto chunk = Next();
  EXPECT_EQ(chunk->first_seq, 1U);
  EXPECT_EQ(chunk->last_seq, 2U);
  EXPECT_EQ(chunk->damaged, 0U);
  ASSERT_THAT(chunk->records, SizeIs(2));
  const SpoolRecord& record = chunk->records[1];
  EXPECT_EQ(record.seq, 2U);
  EXPECT_EQ(record.topic, "tenant/t/device/d/telemetry");
  EXPECT_EQ(record.payload, "two");
  EXPECT_EQ(record.stamp, "stamp");
  EXPECT_EQ(record.received, clock_.Now());
}

TEST_F(SpoolTest, TakesABatchThatReachesOverSegmentsInOrder) {
  Open();
  Append("first");
  const std::string payload(options_.segment_bytes / 10, 'x');
  std::vector<SpoolMessage> batch(50);
  for (SpoolMessage& message : batch) message.payload = payload;
  EXPECT_EQ(*spool_->Append(batch), 0U);
  Append("last");
  EXPECT_EQ(spool_->stats().next_seq, 53U);
  KillAndOpen();
  EXPECT_THAT(Drain(), AllOf(SizeIs(52), Contains(payload).Times(50), Contains("last")));
}

TEST_F(SpoolTest, TakesEmptyAndVeryLargeMessages) {
  Open();
  const std::string large(options_.segment_bytes * 2, 'x');
  Append("");
  Append(large);
  Append("after");
  EXPECT_THAT(Drain(), ElementsAre("", large, "after"));
}

TEST_F(SpoolTest, CutsChunksAtTheNumberOfRecords) {
  Open();
  AppendNumbers(1, 10);
  EXPECT_EQ(Next(4)->last_seq, 4U);
  EXPECT_EQ(Next(4)->last_seq, 8U);
  EXPECT_EQ(Next(4)->last_seq, 10U);
}

TEST_F(SpoolTest, CutsChunksAtTheNumberOfBytesButGivesOneRecordAtLeast) {
  Open();
  for (int i = 0; i < 3; ++i) Append(std::string(1000, 'x'));
  EXPECT_EQ(Next(100, 2500)->last_seq, 2U);
  EXPECT_EQ(Next(100, 10)->last_seq, 3U);
}

TEST_F(SpoolTest, KeepsAChunksViewsValidWhateverHappensLater) {
  Open();
  AppendNumbers(1, 100);
  const auto first = Next(50);
  const auto second = Next(50);
  spool_->Complete(*second);
  AppendNumbers(101, 200);
  Next();
  for (uint64_t i = 0; i < 50; ++i) EXPECT_EQ(first->records[i].payload, std::to_string(i + 1));
}

TEST_F(SpoolTest, CountsTheBacklogUntilItIsCompleted) {
  Open();
  AppendNumbers(1, 10);
  SpoolStats stats = spool_->stats();
  EXPECT_EQ(stats.first_uncommitted, 1U);
  EXPECT_EQ(stats.next_seq, 11U);
  EXPECT_EQ(stats.backlog_records, 10U);
  EXPECT_EQ(stats.backlog_bytes, disk_->Contents(Segment(1)).size() - kSegmentHeaderSize);

  const auto first = Next(3);
  const auto second = Next(7);
  spool_->Complete(*second);
  stats = spool_->stats();
  EXPECT_EQ(stats.first_uncommitted, 1U);
  EXPECT_EQ(stats.backlog_records, 3U);
  spool_->Complete(*first);
  stats = spool_->stats();
  EXPECT_EQ(stats.first_uncommitted, 11U);
  EXPECT_EQ(stats.backlog_records, 0U);
  EXPECT_EQ(stats.backlog_bytes, 0U);
}

TEST_F(SpoolTest, KnowsTheAgeOfTheOldestRecordWhetherHandedOutOrNot) {
  Open();
  EXPECT_EQ(spool_->stats().oldest_age_us, 0);
  Append("one");
  clock_.Advance(std::chrono::seconds(2));
  Append("two");
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_EQ(spool_->stats().oldest_age_us, 3'000'000);
  const auto one = Next(1);
  EXPECT_EQ(spool_->stats().oldest_age_us, 3'000'000);
  spool_->Complete(*one);
  EXPECT_EQ(spool_->stats().oldest_age_us, 1'000'000);
  Drain();
  EXPECT_EQ(spool_->stats().oldest_age_us, 0);
}

TEST_F(SpoolTest, RollsToANewSegmentAndReadsAcross) {
  Open();
  AppendNumbers(1, 3000);
  EXPECT_THAT(Segments(), SizeIs(testing::Gt(3)));
  EXPECT_EQ(Drain(), Numbers(1, 3000));
  EXPECT_EQ(damaged_, 0U);
}

TEST_F(SpoolTest, UnlinksSegmentsOnlyBehindTheContiguousWatermark) {
  Open();
  AppendNumbers(1, 3000);
  const size_t all = Segments().size();
  const auto first = Next(1);
  while (spool_->stats().backlog_records > 1) spool_->Complete(*Next());
  spool_->Maintain();
  EXPECT_THAT(Segments(), SizeIs(all));
  EXPECT_EQ(spool_->watermark(), 0U);
  spool_->Complete(*first);
  spool_->Maintain();
  EXPECT_THAT(Segments(), SizeIs(1));
  EXPECT_EQ(spool_->watermark(), 3000U);
}

TEST_F(SpoolTest, PersistsTheWatermarkBeforeItUnlinks) {
  Open();
  AppendNumbers(1, 3000);
  Drain();
  const size_t all = Segments().size();
  disk_->FailSyncs(true);
  spool_->Maintain();
  EXPECT_THAT(Segments(), SizeIs(all));
  EXPECT_EQ(spool_->watermark(), 0U);
  EXPECT_NE(spool_->stats().problem, "");
  disk_->FailSyncs(false);
  spool_->Maintain();
  EXPECT_THAT(Segments(), SizeIs(1));
  EXPECT_EQ(spool_->stats().problem, "");
}

TEST_F(SpoolTest, KeepsTheSegmentsThatRecogniseRedeliveries) {
  options_.redelivery_window = 1500;
  Open();
  AppendNumbers(1, 3000);
  Drain();
  spool_->Maintain();
  const SpoolStats stats = spool_->stats();
  EXPECT_GT(stats.first_on_disk, 1U);
  EXPECT_LE(stats.first_on_disk, 1501U);
  EXPECT_EQ(Segments().front(), Segment(stats.first_on_disk));
}

TEST_F(SpoolTest, GivesBackWhatASealedSegmentDidNotUse) {
  Open();
  AppendNumbers(1, 1000);
  spool_->Maintain();
  const std::string sealed = Segments().front();
  EXPECT_EQ(disk_->Reserved(sealed), disk_->Contents(sealed).size());
  EXPECT_EQ(disk_->Reserved(Segments().back()), options_.segment_bytes);
  EXPECT_EQ(disk_->Reserved(Path("reserve.seg")), options_.segment_bytes);
}

TEST_F(SpoolTest, HandsOutNothingAfterStopButStillAppends) {
  Open();
  Append("one");
  spool_->Stop();
  EXPECT_EQ(Next(), nullptr);
  Append("two");
  EXPECT_EQ(spool_->stats().backlog_records, 2U);
}

TEST_F(SpoolTest, ServesABacklogAtOnceHoweverLongTheLinger) {
  Open();
  Append("old");
  clock_.Advance(std::chrono::hours(1));
  const auto chunk = spool_->NextChunk(1000, 1 << 20, std::chrono::minutes(30));
  EXPECT_THAT(chunk->records, SizeIs(1));
}

TEST_F(SpoolTest, DoesNotWaitLongerThanLingerWhenTheWallClockWasSetBack) {
  Open();
  Append("from the future");
  clock_.Set(0);
  const auto chunk = spool_->NextChunk(1000, 1 << 20, std::chrono::milliseconds(1));
  EXPECT_THAT(chunk->records, SizeIs(1));
}

TEST_F(SpoolTest, DoesNotWaitForMoreThanFitsIntoTheChunk) {
  Open();
  AppendNumbers(1, 5);
  EXPECT_THAT(spool_->NextChunk(5, 1 << 20, std::chrono::hours(1))->records, SizeIs(5));
  AppendNumbers(6, 10);
  EXPECT_THAT(spool_->NextChunk(100, 100, std::chrono::hours(1))->records, SizeIs(1));
}

TEST_F(SpoolTest, RefusesASecondProcess) {
  Open();
  const auto second = Spool::Open(options_, *disk_, clock_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.code(), ErrorCode::kUnavailable);
  Close();
  Open();
}

TEST_F(SpoolTest, RefusesOptionsThatCannotWork) {
  options_.max_bytes = 100;
  EXPECT_EQ(TryOpen().code(), ErrorCode::kInvalidArgument);
  options_.max_bytes = 1 << 20;
  options_.directory = "";
  EXPECT_EQ(TryOpen().code(), ErrorCode::kInvalidArgument);
}

TEST_F(SpoolTest, RefusesAMessageThatARecordCannotHold) {
  Open();
  SpoolMessage message;
  const std::string topic(70'000, 't');
  message.topic = topic;
  EXPECT_EQ(spool_->Append({&message, 1}).code(), ErrorCode::kInvalidArgument);
}

class SpoolRedeliveryTest : public SpoolTest {
 protected:
  SpoolRedeliveryTest() { options_.redelivery_window = 100; }
};

TEST_F(SpoolRedeliveryTest, RecognisesWhatTheBrokerSendsAgain) {
  Open();
  AppendNumbers(1, 5);
  spool_->OnReconnect(true);
  EXPECT_EQ(Append("3", true), AppendOutcome::kDuplicate);
  EXPECT_EQ(Append("4", true), AppendOutcome::kDuplicate);
  EXPECT_EQ(Append("5", true), AppendOutcome::kDuplicate);
  EXPECT_EQ(Append("6", true), AppendOutcome::kAppended);
  EXPECT_EQ(Drain(), Numbers(1, 6));
}

TEST_F(SpoolRedeliveryTest, RecognisesThemInTheMiddleOfABatch) {
  Open();
  AppendNumbers(1, 3);
  spool_->OnReconnect(true);
  std::vector<SpoolMessage> batch(3);
  const std::vector<std::string> payloads = {"2", "3", "4"};
  for (size_t i = 0; i < 3; ++i) {
    batch[i].topic = "tenant/t/device/d/telemetry";
    batch[i].payload = payloads[i];
    batch[i].duplicate = true;
  }
  EXPECT_EQ(*spool_->Append(batch), 2U);
  EXPECT_EQ(Drain(), Numbers(1, 4));
}

TEST_F(SpoolRedeliveryTest, RecognisesThemAfterAKillToo) {
  Open();
  AppendNumbers(1, 5);
  Drain();
  spool_->Maintain();
  KillAndOpen();
  EXPECT_EQ(Append("4", true), AppendOutcome::kDuplicate);
  EXPECT_EQ(Append("5", true), AppendOutcome::kDuplicate);
  EXPECT_EQ(Append("6", true), AppendOutcome::kAppended);
  EXPECT_THAT(Drain(), ElementsAre("6"));
}

TEST_F(SpoolRedeliveryTest, RecognisesThemAcrossSegmentsAfterAKill) {
  options_.redelivery_window = 2000;
  Open();
  AppendNumbers(1, 3000);
  Drain();
  spool_->Maintain();
  KillAndOpen();
  for (uint64_t i = 1001; i <= 3000; ++i) {
    ASSERT_EQ(Append(std::to_string(i), true), AppendOutcome::kDuplicate) << i;
  }
}

TEST_F(SpoolRedeliveryTest, NeverTakesAMessageWithoutDupForADuplicate) {
  Open();
  Append("same");
  spool_->OnReconnect(true);
  EXPECT_EQ(Append("same"), AppendOutcome::kAppended);
  EXPECT_EQ(Append("same"), AppendOutcome::kAppended);
}

TEST_F(SpoolRedeliveryTest, TakesEqualMessagesForAsManyAsTheyWere) {
  Open();
  Append("same");
  Append("same");
  spool_->OnReconnect(true);
  EXPECT_EQ(Append("same", true), AppendOutcome::kDuplicate);
  EXPECT_EQ(Append("same", true), AppendOutcome::kDuplicate);
  EXPECT_EQ(Append("same", true), AppendOutcome::kAppended);
  EXPECT_EQ(Append("same", true), AppendOutcome::kAppended);
}

TEST_F(SpoolRedeliveryTest, ForgetsWhenTheBrokerHasNoSession) {
  Open();
  AppendNumbers(1, 2);
  spool_->OnReconnect(false);
  spool_->OnReconnect(true);
  EXPECT_EQ(Append("1", true), AppendOutcome::kAppended);
}

}  // namespace
}  // namespace sluice
