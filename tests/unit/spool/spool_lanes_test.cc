// Live traffic beside an old backlog.
#include "tests/unit/spool/spool_fixture.h"

namespace sluice {
namespace {

using testing::ElementsAre;

constexpr uint64_t kBacklog = 30'000;

class SpoolLanesTest : public SpoolTest {
 protected:
  SpoolLanesTest() {
    options_.max_bytes = 64 << 20;
    options_.segment_bytes = 1 << 20;
    options_.live_first_after = std::chrono::seconds(10);
  }
  // A backlog of `age`, of which the first chunk is handed out.
  std::unique_ptr<Chunk> OpenWithBacklog(std::chrono::seconds age) {
    Open();
    AppendMany(kBacklog);
    clock_.Advance(age);
    return Next();
  }
  void AppendMany(uint64_t count) {
    SpoolMessage message;
    message.topic = "tenant/t/device/d/telemetry";
    message.received = clock_.Now();
    const std::vector<SpoolMessage> batch(count, message);
    ASSERT_TRUE(spool_->Append(batch).ok());
  }
  std::unique_ptr<Chunk> Next() {
    return spool_->NextChunk(1000, 1 << 20, std::chrono::milliseconds(0));
  }
};

TEST_F(SpoolLanesTest, HandsOutWhatArrivesBeforeABacklogThatIsOld) {
  const auto first = OpenWithBacklog(std::chrono::seconds(60));
  EXPECT_EQ(first->first_seq, 1U);
  EXPECT_FALSE(first->behind);
  AppendMany(5);
  const auto live = Next();
  EXPECT_EQ(live->first_seq, kBacklog + 1);
  EXPECT_EQ(live->last_seq, kBacklog + 5);
  EXPECT_FALSE(live->behind);
  EXPECT_NE(live->lane, first->lane);
  const auto backlog = Next();
  EXPECT_EQ(backlog->first_seq, 1001U);
  EXPECT_TRUE(backlog->behind);
  EXPECT_EQ(backlog->lane, first->lane);
  EXPECT_EQ(spool_->stats().behind_records, kBacklog - 2000);
}

TEST_F(SpoolLanesTest, KeepsOneLaneForAYoungBacklogAndForAShortOne) {
  OpenWithBacklog(std::chrono::seconds(5));
  AppendMany(5);
  EXPECT_EQ(Next()->first_seq, 1001U);
  Close();
  Replace(std::make_unique<FakeFileSystem>());
  Open();
  AppendMany(5000);
  clock_.Advance(std::chrono::seconds(60));
  Next();
  AppendMany(5);
  EXPECT_EQ(Next()->first_seq, 1001U);
  EXPECT_EQ(spool_->stats().behind_records, 0U);
}

TEST_F(SpoolLanesTest, KeepsOneLaneWhenToldTo) {
  options_.live_first_after = std::chrono::seconds(0);
  OpenWithBacklog(std::chrono::seconds(60));
  AppendMany(5);
  EXPECT_EQ(Next()->first_seq, 1001U);
}

TEST_F(SpoolLanesTest, GoesOnInOneLaneOnceTheBacklogIsThrough) {
  auto chunk = OpenWithBacklog(std::chrono::seconds(60));
  uint64_t handed_out = chunk->records.size();
  AppendMany(100);
  while (handed_out < kBacklog + 100) {
    spool_->Complete(*chunk);
    chunk = Next();
    handed_out += chunk->records.size();
  }
  spool_->Complete(*chunk);
  EXPECT_EQ(spool_->stats().backlog_records, 0U);
  EXPECT_EQ(spool_->stats().first_uncommitted, kBacklog + 101);
  AppendMany(1);
  chunk = Next();
  EXPECT_EQ(chunk->first_seq, kBacklog + 101);
  EXPECT_FALSE(chunk->behind);
}

TEST_F(SpoolLanesTest, GivesTheBacklogEveryOtherTurnWhenLiveTrafficTakesAllThereIs) {
  OpenWithBacklog(std::chrono::seconds(60));
  AppendMany(10'000);
  std::vector<bool> behind;
  for (int i = 0; i < 6; ++i) behind.push_back(Next()->behind);
  EXPECT_THAT(behind, ElementsAre(false, true, false, true, false, true));
}

TEST_F(SpoolLanesTest, HandsOutTheRestAfterAKillInTheMiddle) {
  const auto first = OpenWithBacklog(std::chrono::seconds(60));
  AppendMany(500);
  const auto live = Next();
  ASSERT_EQ(live->first_seq, kBacklog + 1);
  const std::vector<SeqRange> committed = {{first->first_seq, first->last_seq},
                                           {live->first_seq, live->last_seq}};
  Disk disk = disk_->AfterKill();
  Replace(std::move(disk));
  Open();
  spool_->SkipCommitted(committed);
  uint64_t handed_out = 0;
  while (spool_->stats().backlog_records > 0) {
    const auto chunk = Next();
    EXPECT_GT(chunk->first_seq, first->last_seq);
    EXPECT_TRUE(chunk->last_seq < live->first_seq || chunk->first_seq > live->last_seq);
    handed_out += chunk->records.size();
    spool_->Complete(*chunk);
  }
  EXPECT_EQ(handed_out, kBacklog + 500 - first->records.size() - live->records.size());
}

}  // namespace
}  // namespace sluice
