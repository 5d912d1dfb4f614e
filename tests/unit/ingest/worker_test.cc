#include "ingest/worker.h"

#include <gmock/gmock.h>

#include <mutex>
#include <thread>

#include "tests/support/ingest_fixture.h"

namespace sluice {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

// Fails as often as it is told, then takes everything; writes down each attempt's verdicts.
class FakeSink final : public RowSink {
 public:
  PgResult<CommitReport> Commit(Batch* batch) override {
    const std::lock_guard lock(mutex_);
    std::vector<std::string>& verdicts = attempts_.emplace_back();
    for (const Message& message : batch->messages) verdicts.push_back(Verdict(message));
    if (failures_ > 0) {
      --failures_;
      return error_;
    }
    return CommitReport{};
  }
  void FailNext(int times, const std::string& sqlstate) {
    const std::lock_guard lock(mutex_);
    failures_ = times;
    error_ = PgError{sqlstate, "the server's words", "", false, false};
  }
  std::vector<std::vector<std::string>> attempts() const {
    const std::lock_guard lock(mutex_);
    return attempts_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::vector<std::string>> attempts_;
  int failures_ = 0;
  PgError error_;
};

class WorkerTest : public testing::Test {
 protected:
  ~WorkerTest() override { Stop(); }

  void Start(size_t batch_size = 1000) {
    worker_ = std::make_unique<Worker>(WorkerOptions{.batch_size = batch_size,
                                                     .flush_interval = std::chrono::milliseconds(0),
                                                     .retry_min = std::chrono::milliseconds(1),
                                                     .retry_max = std::chrono::milliseconds(2)},
                                       *spool_.spool, parts_.shared, parts_.store, sink_,
                                       accounting_, health_, metrics_, parts_.clock);
    thread_ = std::jthread([this](std::stop_token stop) { worker_->Run(std::move(stop)); });
  }
  void Stop() {
    spool_.spool->Stop();
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }
  bool Drained() {
    return Soon([this] { return accounting_.Snapshot().spooled == 0; });
  }
  double Retries() {
    for (const auto& family : registry_.Collect()) {
      if (family.name == "sluice_database_retries_total") return family.metric[0].counter.value;
    }
    return -1;
  }

  TestSpool spool_;
  PipelineParts parts_;
  FakeSink sink_;
  Accounting accounting_{*spool_.spool};
  DatabaseHealth health_;
  prometheus::Registry registry_;
  StageMetrics metrics_{registry_};
  std::unique_ptr<Worker> worker_;
  std::jthread thread_;
};

TEST_F(WorkerTest, TakesAChunkFromTheSpoolToItsCommit) {
  spool_.Append(kGood);
  spool_.Append("junk");
  Start();
  ASSERT_TRUE(Drained());
  Stop();
  EXPECT_THAT(sink_.attempts(), ElementsAre(ElementsAre("accepted", "INVALID_JSON")));
  EXPECT_EQ(accounting_.Snapshot().Line(),
            "received=2 stored=1 quarantined=1 duplicates=0 spooled=0");
  EXPECT_EQ(health_.view().state, DatabaseState::kUp);
}

TEST_F(WorkerTest, MakesBatchesOfAtMostTheirSize) {
  for (int i = 0; i < 7; ++i) spool_.Append();
  Start(3);
  ASSERT_TRUE(Drained());
  Stop();
  EXPECT_THAT(sink_.attempts(), ElementsAre(SizeIs(3), SizeIs(3), SizeIs(1)));
}

TEST_F(WorkerTest, TriesUntilTheDatabaseTakesIt) {
  spool_.Append();
  sink_.FailNext(4, "57P01");
  Start();
  ASSERT_TRUE(Drained());
  Stop();
  EXPECT_THAT(sink_.attempts(), SizeIs(5));
  EXPECT_EQ(Retries(), 4);
  EXPECT_EQ(accounting_.Snapshot().stored, 1U);
  EXPECT_EQ(health_.view().state, DatabaseState::kUp);
}

TEST_F(WorkerTest, DecidesOnceHoweverOftenItTries) {
  parts_.runtime.rate_limit_burst = 2;
  for (int i = 0; i < 3; ++i) spool_.Append();
  sink_.FailNext(3, "40P01");
  Start();
  ASSERT_TRUE(Drained());
  Stop();
  EXPECT_THAT(sink_.attempts(), SizeIs(4));
  EXPECT_THAT(sink_.attempts(), Each(ElementsAre("accepted", "accepted", "RATE_LIMITED")));
}

TEST_F(WorkerTest, TakesNoAnswerOfTheRegistryForNobodyWhenThereWasNone) {
  spool_.Append();
  parts_.store.FailNext(3);
  Start();
  ASSERT_TRUE(Drained());
  Stop();
  EXPECT_THAT(parts_.store.lookups, SizeIs(4));
  EXPECT_THAT(sink_.attempts(), ElementsAre(ElementsAre("accepted")));
}

TEST_F(WorkerTest, LeavesTheChunkInTheSpoolWhenStoppedWhileTheDatabaseRefuses) {
  spool_.Append();
  spool_.Append();
  sink_.FailNext(1'000'000, "42501");
  Start();
  ASSERT_TRUE(Soon([this] { return sink_.attempts().size() > 2; }));
  EXPECT_EQ(health_.view().state, DatabaseState::kPaused);
  EXPECT_THAT(health_.view().reason, HasSubstr("42501"));
  Stop();
  EXPECT_EQ(accounting_.Snapshot().spooled, 2U);
  EXPECT_TRUE(accounting_.Snapshot().Balances());
  spool_.Reopen();
  EXPECT_EQ(spool_.spool->stats().backlog_records, 2U);
}

TEST_F(WorkerTest, FinishesTheChunkItHasWhenTheSpoolStops) {
  spool_.Append();
  sink_.FailNext(2, "57P03");
  Start();
  ASSERT_TRUE(Soon([this] { return !sink_.attempts().empty(); }));
  spool_.spool->Stop();
  EXPECT_TRUE(Drained());
}

TEST(StageMetrics, MeasuresFromArrivalForAllAndFromPublishingForWhatWasAccepted) {
  prometheus::Registry registry;
  StageMetrics metrics(registry);
  PipelineParts parts;
  TestChunk chunk;
  chunk.Add(kGood).Add(kGood).Add("junk");
  metrics.Committed(parts.Judge(chunk), kReceived + 50'000, 0.25);
  std::map<std::string, prometheus::ClientMetric::Histogram> seen;
  for (const auto& family : registry.Collect()) seen[family.name] = family.metric[0].histogram;
  EXPECT_EQ(seen["sluice_receive_to_commit_seconds"].sample_count, 3U);
  EXPECT_NEAR(seen["sluice_receive_to_commit_seconds"].sample_sum, 0.15, 1e-9);
  EXPECT_EQ(seen["sluice_publish_to_commit_seconds"].sample_count, 2U);
  EXPECT_EQ(seen["sluice_chunk_messages"].sample_sum, 3);
}

}  // namespace
}  // namespace sluice
