// What the spool's tests share: a spool on a fake disk, and words for what one does with it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ingest/spool/format.h"
#include "ingest/spool/spool.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"

namespace sluice {

inline constexpr char kDirectory[] = "/spool";

enum class AppendOutcome { kAppended, kDuplicate };

class SpoolTest : public testing::Test {
 protected:
  using Disk = std::unique_ptr<FakeFileSystem>;

  SpoolTest() {
    options_.directory = kDirectory;
    options_.max_bytes = 1 << 20;
    options_.segment_bytes = 64 << 10;
    options_.sync = SpoolSync::kNone;
    options_.redelivery_window = 0;
  }
  ~SpoolTest() override { Close(); }

  static std::string Path(const std::string& name) { return std::string(kDirectory) + "/" + name; }
  static std::string Segment(uint64_t first) { return Path(SegmentName(first)); }

  Status TryOpen() {
    Close();
    Result<std::unique_ptr<Spool>> spool = Spool::Open(options_, *disk_, clock_);
    if (!spool.ok()) return spool.status();
    spool_ = *std::move(spool);
    return Status::Ok();
  }
  void Open() {
    const Status status = TryOpen();
    ASSERT_TRUE(status.ok()) << status.message();
  }
  void Close() { spool_.reset(); }
  void Replace(Disk disk) {
    Close();
    disk_ = std::move(disk);
  }
  void KillAndOpen() {
    Disk disk = disk_->AfterKill();
    Replace(std::move(disk));
    Open();
  }
  void CutPowerAndOpen() {
    Disk disk = disk_->AfterPowerCut();
    Replace(std::move(disk));
    Open();
  }

  Result<AppendOutcome> TryAppend(const std::string& payload, bool duplicate = false) {
    SpoolMessage message;
    message.topic = "tenant/t/device/d/telemetry";
    message.payload = payload;
    message.stamp = "stamp";
    message.received = clock_.Now();
    message.duplicate = duplicate;
    const Result<uint64_t> duplicates = spool_->Append({&message, 1});
    if (!duplicates.ok()) return duplicates.status();
    return *duplicates == 0 ? AppendOutcome::kAppended : AppendOutcome::kDuplicate;
  }
  AppendOutcome Append(const std::string& payload, bool duplicate = false) {
    const Result<AppendOutcome> outcome = TryAppend(payload, duplicate);
    EXPECT_TRUE(outcome.ok()) << outcome.status().message();
    return outcome.ok() ? *outcome : AppendOutcome::kDuplicate;
  }
  // Appends messages whose payload is their number, as text.
  void AppendNumbers(uint64_t first, uint64_t last) {
    for (uint64_t i = first; i <= last; ++i) Append(std::to_string(i));
  }

  std::unique_ptr<Chunk> Next(size_t max_records = 1000, size_t max_bytes = 1 << 20) {
    return spool_->NextChunk(max_records, max_bytes, std::chrono::milliseconds(0));
  }
  // Takes all there is, and completes it.
  std::vector<std::string> Drain() {
    std::vector<std::string> payloads;
    damaged_ = 0;
    while (spool_->stats().backlog_records > 0) {
      const std::unique_ptr<Chunk> chunk = Next();
      damaged_ += chunk->damaged;
      for (const SpoolRecord& record : chunk->records) payloads.emplace_back(record.payload);
      spool_->Complete(*chunk);
    }
    return payloads;
  }
  static std::vector<std::string> Numbers(uint64_t first, uint64_t last) {
    std::vector<std::string> numbers;
    for (uint64_t i = first; i <= last; ++i) numbers.push_back(std::to_string(i));
    return numbers;
  }
  static std::vector<std::string> Without(std::vector<std::string> all, const std::string& one) {
    std::erase(all, one);
    return all;
  }
  std::vector<std::string> Segments() const {
    std::vector<std::string> segments;
    for (const std::string& path : disk_->Names()) {
      if (ParseSegmentName(path.substr(sizeof kDirectory))) segments.push_back(path);
    }
    return segments;
  }

  FakeClock clock_;
  Disk disk_ = std::make_unique<FakeFileSystem>();
  SpoolOptions options_;
  std::unique_ptr<Spool> spool_;
  uint64_t damaged_ = 0;  // of the last Drain
};

}  // namespace sluice
