// One appender, several workers, one control thread; on a real disk.
#include <array>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <thread>

#include "tests/unit/spool/spool_fixture.h"

namespace sluice {
namespace {

class SpoolThreadsTest : public SpoolTest {
 protected:
  SpoolThreadsTest() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-spool-XXXXXX").string();
    options_.directory = ::mkdtemp(name.data());
    options_.sync = SpoolSync::kInterval;
    options_.sync_interval = std::chrono::milliseconds(2);
    options_.redelivery_window = 100;
  }
  ~SpoolThreadsTest() override {
    Close();
    std::filesystem::remove_all(options_.directory);
  }
  void OpenReal() {
    auto spool = Spool::Open(options_, SystemFileSystem(), SystemClock());
    ASSERT_TRUE(spool.ok()) << spool.status().message();
    spool_ = *std::move(spool);
  }
};

TEST_F(SpoolThreadsTest, HandEachRecordToExactlyOneWorker) {
  constexpr uint64_t kMessages = 20'000;
  OpenReal();
  std::mutex mutex;
  std::vector<int> seen(kMessages + 1);
  std::atomic<uint64_t> done{0};
  std::atomic<bool> finished{false};

  std::array<std::thread, 4> threads;
  for (std::thread& thread : threads) {
    thread = std::thread([&] {
      while (auto chunk = spool_->NextChunk(100, 1 << 20, std::chrono::milliseconds(1))) {
        {
          const std::lock_guard lock(mutex);
          for (const SpoolRecord& record : chunk->records) {
            EXPECT_EQ(record.payload, std::to_string(record.seq));
            ++seen[record.seq];
          }
        }
        spool_->Complete(*chunk);
        done += chunk->records.size();
      }
    });
  }
  std::thread control([&] {
    while (!finished) {
      spool_->Maintain();
      (void)spool_->stats();
      spool_->OnReconnect(true);
      std::this_thread::yield();
    }
  });
  AppendNumbers(1, kMessages);
  while (done < kMessages) std::this_thread::yield();
  spool_->Stop();
  for (std::thread& thread : threads) thread.join();
  finished = true;
  control.join();

  EXPECT_EQ(std::count(seen.begin() + 1, seen.end(), 1), int64_t{kMessages});
  EXPECT_EQ(spool_->stats().first_uncommitted, kMessages + 1);
  EXPECT_EQ(spool_->stats().damaged_records, 0U);
}

TEST_F(SpoolThreadsTest, WakeAWorkerThatWaitsForItsFirstRecord) {
  OpenReal();
  for (int i = 0; i < 200; ++i) {
    std::thread worker([this] {
      const auto chunk = spool_->NextChunk(1, 1 << 20, std::chrono::hours(1));
      EXPECT_EQ(chunk->records.size(), 1U);
    });
    Append("x");
    worker.join();
  }
}

TEST_F(SpoolThreadsTest, WakeAWorkerWhenItsChunkIsFull) {
  OpenReal();
  clock_.Set(SystemClock().Now());
  Append("x");
  std::thread worker([this] {
    const auto chunk = spool_->NextChunk(50, 1 << 20, std::chrono::hours(1));
    EXPECT_EQ(chunk->records.size(), 50U);
  });
  AppendNumbers(2, 50);
  worker.join();
}

TEST_F(SpoolThreadsTest, WakeAllWorkersAtStop) {
  OpenReal();
  std::array<std::thread, 4> workers;
  for (std::thread& worker : workers) {
    worker = std::thread(
        [this] { EXPECT_EQ(spool_->NextChunk(10, 1 << 20, std::chrono::hours(1)), nullptr); });
  }
  spool_->Stop();
  for (std::thread& worker : workers) worker.join();
}

TEST_F(SpoolThreadsTest, StopAWorkerThatLingers) {
  OpenReal();
  clock_.Set(SystemClock().Now());
  Append("x");
  std::thread worker(
      [this] { EXPECT_EQ(spool_->NextChunk(10, 1 << 20, std::chrono::hours(1)), nullptr); });
  spool_->Stop();
  worker.join();
  EXPECT_EQ(spool_->stats().backlog_records, 1U);
}

}  // namespace
}  // namespace sluice
