// What the tests of the ingest folder share: chunks made of text, and the pipeline's surroundings.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "ingest/pipeline.h"
#include "ingest/spool/spool.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_credential_store.h"
#include "tests/support/fake_file_system.h"

namespace sluice {

inline constexpr char kTopic[] = "tenant/orchard/device/probe-7/telemetry";
inline constexpr char kGood[] =
    R"({"site_id":"north","provision_token":"tok-apple","metrics":{"heat":21.5}})";
inline constexpr UnixMicros kReceived = 1'772'359'225'000'000;  // 2026-03-01 10:00:25 UTC

// A chunk that owns its text. Numbers go on from chunk to chunk when `first_seq` says so.
class TestChunk {
 public:
  explicit TestChunk(uint64_t first_seq = 1) {
    chunk_.first_seq = first_seq;
    chunk_.last_seq = first_seq - 1;
  }

  TestChunk& Add(const std::string& payload, const std::string& topic = kTopic,
                 UnixMicros received = kReceived, const std::string& stamp = "") {
    SpoolRecord record;
    record.seq = ++chunk_.last_seq;
    record.received = received;
    record.topic = text_.emplace_back(topic);
    record.payload = text_.emplace_back(payload);
    record.stamp = text_.emplace_back(stamp);
    chunk_.records.push_back(record);
    return *this;
  }
  Chunk& chunk() { return chunk_; }

 private:
  std::deque<std::string> text_;
  Chunk chunk_;
};

// All that a pipeline needs, with a registry in memory that knows orchard's probe-7.
class PipelineParts {
 public:
  PipelineParts()
      : PipelineParts(PipelineOptions{.decode = {.ts_max_age_us = kDay, .ts_max_ahead_us = kDay},
                                      .auth = {},
                                      .auto_provision = false}) {}
  explicit PipelineParts(const PipelineOptions& options, const FloodLimits& limits = {})
      : flood(limits), shared{options, runtime, directory, limiter, flood, stamp_keys} {
    store.Add("orchard", "probe-7");
    runtime.rate_limit_burst = 1000;
  }

  // All three steps; the chunk must outlive the batch.
  Batch Judge(TestChunk& chunk) {
    Batch batch;
    Pipeline pipeline(shared, store);
    pipeline.Decode(chunk.chunk(), &batch);
    EXPECT_TRUE(pipeline.Resolve(&batch).ok());
    pipeline.Decide(&batch);
    return batch;
  }

  static constexpr int64_t kDay = 86'400'000'000;

  FakeClock clock;
  FakeCredentialStore store;
  RuntimeSettings runtime;
  DeviceDirectory directory{DirectoryOptions{}, clock};
  RateLimiter limiter;
  FloodControl flood;
  StampKeyring stamp_keys;
  const PipelineShared shared;
};

// "accepted", or the name of the reason.
inline std::string Verdict(const Message& message) {
  return message.accepted() ? "accepted" : std::string(ReasonName(message.rejection->reason));
}

// A spool on a disk in memory.
class TestSpool {
 public:
  TestSpool() { Reopen(); }

  void Reopen() {
    spool.reset();
    auto opened = Spool::Open(
        {.directory = "/spool", .max_bytes = 64 << 20, .sync = SpoolSync::kNone}, disk, clock);
    EXPECT_TRUE(opened.ok());
    spool = *std::move(opened);
  }
  void Append(const std::string& payload = kGood, const std::string& topic = kTopic) {
    const SpoolMessage message = {
        .topic = topic, .payload = payload, .stamp = {}, .received = kReceived};
    EXPECT_TRUE(spool->Append({&message, 1}).ok());
  }
  std::unique_ptr<Chunk> Next(size_t max_records = 1000) {
    return spool->NextChunk(max_records, 1 << 20, std::chrono::milliseconds(0));
  }

  FakeClock clock;
  FakeFileSystem disk;
  std::unique_ptr<Spool> spool;
};

// Polls until it is true; false when that takes absurdly long.
inline bool Soon(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace sluice
