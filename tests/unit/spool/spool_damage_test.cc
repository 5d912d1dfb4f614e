// A spool whose files were damaged between two starts.
#include <thread>

#include "base/crc32c.h"
#include "tests/unit/spool/spool_fixture.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

class SpoolDamageTest : public SpoolTest {
 protected:
  // A spool of `count` messages on the disk, closed; and where each record begins in its only
  // segment, with the end of the last one.
  void Make(uint64_t count) {
    Open();
    id_ = spool_->id();
    offsets_.clear();
    for (uint64_t i = 1; i <= count; ++i) {
      offsets_.push_back(disk_->Contents(Segment(1)).size());
      Append(std::to_string(i));
    }
    offsets_.push_back(disk_->Contents(Segment(1)).size());
    Close();
  }
  // The same spool with other bytes in its first segment.
  void OpenWith(const std::string& bytes) {
    Close();
    disk_->SetContents(Segment(1), bytes);
    Open();
  }
  std::string Bytes() const { return disk_->Contents(Segment(1)); }

  std::string id_;
  std::vector<size_t> offsets_;
};

TEST_F(SpoolDamageTest, SkipsATornTailOfAnyLengthAndKeepsEveryCompleteRecord) {
  Make(4);
  const Disk whole = disk_->AfterKill();
  const std::string bytes = Bytes();
  for (size_t size = kSegmentHeaderSize; size <= bytes.size(); ++size) {
    Replace(whole->AfterKill());
    OpenWith(bytes.substr(0, size));
    uint64_t complete = 0;
    while (offsets_[complete + 1] <= size) {
      if (++complete + 1 == offsets_.size()) break;
    }
    ASSERT_EQ(spool_->stats().next_seq, complete + 1) << size;
    ASSERT_EQ(Bytes().size(), offsets_[complete]) << size;
    Append("next");
    std::vector<std::string> expected = Numbers(1, complete);
    expected.emplace_back("next");
    ASSERT_EQ(Drain(), expected) << size;
    ASSERT_EQ(damaged_, 0U) << size;
    ASSERT_EQ(spool_->id(), id_);
  }
}

TEST_F(SpoolDamageTest, SkipsATailOfZeros) {
  Make(4);
  for (const size_t zeros : {1, 23, 24, 5000, 400'000}) {
    OpenWith(Bytes() + std::string(zeros, '\0'));
    EXPECT_EQ(spool_->stats().backlog_records, 4U);
    EXPECT_EQ(Bytes().size(), offsets_.back());
  }
  EXPECT_EQ(Drain(), Numbers(1, 4));
  EXPECT_EQ(damaged_, 0U);
}

TEST_F(SpoolDamageTest, LosesExactlyTheRecordInWhichABitWasFlipped) {
  Make(4);
  const Disk whole = disk_->AfterKill();
  const std::string bytes = Bytes();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Replace(whole->AfterKill());
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    OpenWith(flipped);
    ASSERT_EQ(spool_->id(), id_) << bit;
    Append("5");
    const size_t hit = static_cast<size_t>(
        std::upper_bound(offsets_.begin(), offsets_.end(), bit / 8) - offsets_.begin());
    const bool in_header = bit / 8 < kSegmentHeaderSize;
    const std::vector<std::string> all = Numbers(1, 5);
    ASSERT_EQ(Drain(), in_header ? all : Without(all, std::to_string(hit))) << bit;
    ASSERT_EQ(damaged_, in_header ? 0U : 1U) << bit;
    ASSERT_EQ(spool_->stats().damaged_records, damaged_) << bit;
    // It is over: no later start finds the damage again.
    Open();
    ASSERT_EQ(spool_->stats().backlog_records, 0U) << bit;
    ASSERT_EQ(spool_->stats().next_seq, 6U) << bit;
  }
}

TEST_F(SpoolDamageTest, LosesExactlyTheRecordsInARangeOfGarbage) {
  Make(100);
  std::string bytes = Bytes();
  const size_t from = offsets_[20] + 5;
  const size_t to = offsets_[30] + 5;
  for (size_t i = from; i < to; ++i) bytes[i] = static_cast<char>(i * 7 + 0xF5);
  OpenWith(bytes);
  std::vector<std::string> expected = Numbers(1, 20);
  for (const std::string& number : Numbers(32, 100)) expected.push_back(number);
  EXPECT_EQ(Drain(), expected);
  EXPECT_EQ(damaged_, 11U);
}

TEST_F(SpoolDamageTest, LosesOneRecordInTheMiddleOfALargeChunk) {
  options_.max_bytes = 4 << 20;
  options_.segment_bytes = 1 << 20;
  Open();
  const auto payload = [](uint64_t i) { return std::string(1000, 'x') + std::to_string(i); };
  size_t hit = 0;
  for (uint64_t i = 1; i <= 500; ++i) {
    if (i == 400) hit = Bytes().size();
    Append(payload(i));
  }
  std::string bytes = Bytes();
  bytes[hit] = 0;  // the marker of number 400
  OpenWith(bytes);
  std::vector<std::string> expected;
  for (uint64_t i = 1; i <= 500; ++i) {
    if (i != 400) expected.push_back(payload(i));
  }
  EXPECT_EQ(Drain(), expected);
  EXPECT_EQ(damaged_, 1U);
}

TEST_F(SpoolDamageTest, IsNotDeceivedByARecordInsideAPayload) {
  Make(1);
  const Uuid uuid = ParseSegmentHeader(Bytes().substr(0, kSegmentHeaderSize))->spool;
  SpoolMessage inner;
  inner.topic = "tenant/victim/device/d/telemetry";
  inner.payload = "planted";
  const auto record = [&](uint32_t key) {
    std::string text(RecordSize(inner), '\0');
    EncodeBody(inner, text.data());
    EncodeHeader(3, key, text.data(), text.size());
    return text;
  };
  const uint32_t guess = RecordKey(RandomUuid());
  ASSERT_NE(guess, RecordKey(uuid));
  Open();
  const size_t at = Bytes().size();
  Append("before" + record(guess) + "after");
  Append("3");
  Close();
  std::string bytes = Bytes();
  bytes[at + 4] = static_cast<char>(bytes[at + 4] ^ 1);  // the size of its record
  OpenWith(bytes);
  EXPECT_THAT(Drain(), ElementsAre("1", "3"));
  EXPECT_EQ(damaged_, 1U);
}

class SpoolSegmentsTest : public SpoolDamageTest {
 protected:
  void SetUp() override {
    Open();
    id_ = spool_->id();
    AppendNumbers(1, 3000);
    Close();
    ASSERT_THAT(Segments(), SizeIs(testing::Ge(4)));
    second_ = FirstOf(1);
    third_ = FirstOf(2);
  }
  uint64_t FirstOf(size_t i) const {
    return *ParseSegmentName(Segments()[i].substr(sizeof kDirectory));
  }
  std::vector<std::string> AllButTheSecondSegment() const {
    std::vector<std::string> expected = Numbers(1, second_ - 1);
    for (const std::string& number : Numbers(third_, 3000)) expected.push_back(number);
    return expected;
  }

  uint64_t second_ = 0;
  uint64_t third_ = 0;
};

TEST_F(SpoolSegmentsTest, CountsAMissingSegmentInTheMiddleAsDamage) {
  ASSERT_TRUE(disk_->Remove(Segment(second_)).ok());
  Open();
  EXPECT_EQ(Drain(), AllButTheSecondSegment());
  EXPECT_EQ(damaged_, third_ - second_);
}

TEST_F(SpoolSegmentsTest, CountsAMissingFirstSegmentAsDamage) {
  ASSERT_TRUE(disk_->Remove(Segment(1)).ok());
  Open();
  EXPECT_EQ(Drain(), Numbers(second_, 3000));
  EXPECT_EQ(damaged_, second_ - 1);
  Open();
  EXPECT_EQ(spool_->stats().backlog_records, 0U);
}

TEST_F(SpoolSegmentsTest, CountsASegmentDeletedUnderARunningSpoolAsDamage) {
  Open();
  ASSERT_TRUE(disk_->Remove(Segment(second_)).ok());
  EXPECT_EQ(Drain(), AllButTheSecondSegment());
  EXPECT_EQ(damaged_, third_ - second_);
  spool_->Maintain();
  EXPECT_EQ(spool_->stats().problem, "");
}

TEST_F(SpoolSegmentsTest, DoesNotCountWhatTheLedgerHoldsOfAMissingSegment) {
  ASSERT_TRUE(disk_->Remove(Segment(second_)).ok());
  Open();
  spool_->SkipCommitted({{1, third_ - 3}});
  EXPECT_EQ(Drain(), Numbers(third_, 3000));
  EXPECT_EQ(damaged_, 2U);
}

TEST_F(SpoolSegmentsTest, SetsAsideWhatIsNoSegmentOfThisSpool) {
  const std::string own = disk_->Contents(Segment(second_));
  std::string foreign = own;
  foreign.replace(0, kSegmentHeaderSize,
                  EncodeSegmentHeader({RandomUuid(), second_, second_ - 1, 0}));
  const std::string other_name = disk_->Contents(Segment(third_));
  const Disk whole = disk_->AfterKill();
  for (const std::string& bytes :
       {std::string(), std::string(own.size(), '\0'), std::string("#!/bin/sh\n"), foreign,
        other_name, std::string(300'000, '\xF5')}) {
    Replace(whole->AfterKill());
    disk_->SetContents(Segment(second_), bytes);
    disk_->SetContents(Segment(second_) + ".unreadable", "of an earlier accident");
    Open();
    EXPECT_EQ(spool_->id(), id_);
    EXPECT_EQ(disk_->Contents(Segment(second_) + ".unreadable"), "of an earlier accident");
    EXPECT_EQ(disk_->Contents(Segment(second_) + ".1.unreadable"), bytes);
    EXPECT_EQ(Drain(), AllButTheSecondSegment());
    EXPECT_EQ(damaged_, third_ - second_);
  }
}

// `bytes`, saying that they are of version 2, with a right CRC at `crc_at`.
std::string OfALaterVersion(std::string bytes, size_t crc_at) {
  bytes[8] = 2;
  const uint32_t crc = Crc32c({bytes.data(), crc_at});
  for (size_t i = 0; i < 4; ++i) bytes[crc_at + i] = static_cast<char>(crc >> (8 * i));
  return bytes;
}

// A program that was put back to an earlier version.
TEST_F(SpoolSegmentsTest, RefusesASpoolOfALaterVersionAndChangesNothing) {
  const std::string whole = disk_->Contents(Segment(second_));
  const std::string watermark = disk_->Contents(Path("watermark"));
  Close();
  const auto expect_refused = [this](const std::string& path) {
    disk_->SetContents(Segment(9000), "");  // what would be set aside
    const std::vector<std::string> before = disk_->Names();
    const Status opened = TryOpen();
    EXPECT_EQ(opened.code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(opened.message(), path +
                                    " is of version 2 of the spool's format, this program knows "
                                    "version 1");
    EXPECT_EQ(disk_->Names(), before);
  };
  disk_->SetContents(Segment(second_), OfALaterVersion(whole, 60));
  expect_refused(Segment(second_));
  disk_->SetContents(Segment(second_), whole);
  disk_->SetContents(Path("watermark"), OfALaterVersion(watermark, 40));
  expect_refused(Path("watermark"));
  disk_->SetContents(Path("watermark"), watermark);
  Open();
  EXPECT_EQ(Drain(), Numbers(1, 3000));
}

TEST_F(SpoolSegmentsTest, UsesASegmentOfWhichOnlyTheHeaderIsDamaged) {
  std::string bytes = disk_->Contents(Segment(second_));
  bytes.replace(0, 200, std::string(200, '\0'));
  disk_->SetContents(Segment(second_), bytes);
  Open();
  const uint64_t all = Drain().size();
  EXPECT_GT(damaged_, 0U);
  EXPECT_LT(damaged_, 5U);
  EXPECT_EQ(all + damaged_, 3000U);
}

TEST_F(SpoolSegmentsTest, AppendsToTheSegmentBeforeAZeroFilledLastOne) {
  const uint64_t last = FirstOf(Segments().size() - 1);
  disk_->SetContents(Segment(last), std::string(4096, '\0'));
  Open();
  EXPECT_EQ(spool_->stats().next_seq, last);
  Append("new");
  std::vector<std::string> expected = Numbers(1, last - 1);
  expected.emplace_back("new");
  EXPECT_EQ(Drain(), expected);
  EXPECT_EQ(damaged_, 0U);
}

TEST_F(SpoolSegmentsTest, StartsAfreshWhenNothingCanBeUsed) {
  for (const std::string& path : Segments()) disk_->SetContents(path, "rubbish");
  Open();
  EXPECT_NE(spool_->id(), id_);
  EXPECT_EQ(spool_->stats().backlog_records, 0U);
  Append("new");
  EXPECT_THAT(Drain(), ElementsAre("new"));
}

TEST_F(SpoolSegmentsTest, SetsAsideADamagedWatermark) {
  disk_->SetContents(Path("watermark"), "rubbish");
  Open();
  EXPECT_TRUE(disk_->Exists(Path("watermark.unreadable")));
  EXPECT_EQ(spool_->id(), id_);
  EXPECT_EQ(Drain(), Numbers(1, 3000));
}

TEST_F(SpoolSegmentsTest, DoesNotBelieveTheWatermarkOfAnotherSpool) {
  disk_->SetContents(Path("watermark"), EncodeWatermark({RandomUuid(), 2500}));
  Open();
  EXPECT_EQ(spool_->id(), id_);
  EXPECT_EQ(Drain(), Numbers(1, 3000));
}

TEST_F(SpoolSegmentsTest, TakesAPageThatCannotBeReadForDamage) {
  Open();
  disk_->FailReads(8192, 8193);
  const uint64_t all = Drain().size();
  EXPECT_GT(damaged_, 0U);
  EXPECT_EQ(all + damaged_, 3000U);
}

TEST_F(SpoolSegmentsTest, DoesNotTakeADeadDiskForDamage) {
  Open();
  disk_->FailReads(0, UINT64_MAX);
  // The reader waits for the disk; Stop ends that.
  std::thread stopper([this] {
    while (spool_->stats().problem.empty()) std::this_thread::yield();
    spool_->Stop();
  });
  EXPECT_EQ(Next(), nullptr);
  stopper.join();
  EXPECT_EQ(spool_->stats().damaged_records, 0U);
  EXPECT_EQ(spool_->stats().backlog_records, 3000U);
}

TEST_F(SpoolSegmentsTest, RefusesToStartOnADeadDiskInsteadOfStartingAfresh) {
  disk_->FailReads(0, UINT64_MAX);
  EXPECT_EQ(TryOpen().code(), ErrorCode::kIo);
  disk_->FailReads(0, 0);
  Open();
  EXPECT_EQ(spool_->id(), id_);
  EXPECT_EQ(Drain(), Numbers(1, 3000));
}

}  // namespace
}  // namespace sluice
