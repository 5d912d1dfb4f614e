// ChunkReader: cuts the log into chunks. Any number of threads may call Next; they take turns.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "ingest/spool/format.h"
#include "ingest/spool/record_reader.h"
#include "ingest/spool/segment.h"
#include "ingest/spool/tail.h"

namespace sluice {

class ChunkReader {
 public:
  // Starts with the number `first`.
  ChunkReader(FileSystem& fs, Clock& clock, const SegmentList& segments, Tail& tail,
              const Uuid& spool, uint64_t first);

  // These numbers are not handed out, and no chunk reaches over them. Before the first Next, or
  // numbers that lie behind the cursor and behind what was to be skipped before.
  void Skip(std::vector<SeqRange> ranges);
  // Starts again with the number `first`; what is to be skipped stays. Before the first Next.
  void Rewind(uint64_t first);

  // As Spool::NextChunk.
  std::unique_ptr<Chunk> Next(size_t max_records, size_t max_bytes,
                              std::chrono::milliseconds linger);

  // The next number to hand out.
  uint64_t cursor() const { return cursor_.load(std::memory_order_relaxed); }
  uint64_t damaged_records() const { return damaged_.load(std::memory_order_relaxed); }
  // When the oldest record not handed out was received, if there is one and it can be read.
  std::optional<UnixMicros> OldestReceived() const;
  // Why nothing can be read; empty when all is well.
  std::string problem() const;

 private:
  // A chunk while it is being filled.
  struct Draft {
    size_t max_records = 0;
    size_t max_bytes = 0;
    std::shared_ptr<const Segment> segment;
    uint64_t expected = 0;  // the next number; everything before it is in the chunk
    uint64_t damaged = 0;
    size_t bytes = 0;
    struct Found {
      uint64_t seq = 0;
      size_t body = 0;  // position in the buffer
      size_t size = 0;
    };
    std::vector<Found> found;
    UnixMicros first_received = 0;
  };
  enum class Filled { kComplete, kMayGrow, kFailed };
  enum class Position { kReady, kMissing, kFailed };
  struct Bookmark {
    std::shared_ptr<const Segment> segment;
    uint64_t offset = 0;
    uint64_t seq = 0;
  };

  void PassSkipped();
  uint64_t SkipLimit() const;  // the last number before the next range to skip
  Position Locate(Draft* draft);
  Filled Fill(Draft* draft);
  bool TakeRecord(Draft* draft);
  void CountMissing(Draft* draft, uint64_t last) const;
  void SayMissing(const Draft& draft, uint64_t first) const;
  bool Linger(Draft* draft, std::chrono::milliseconds linger);
  std::unique_ptr<Chunk> Finish(Draft draft);
  void SetProblem(const std::string& problem);

  FileSystem& fs_;
  Clock& clock_;
  const SegmentList& segments_;
  Tail& tail_;
  const uint32_t key_;
  std::atomic<uint64_t> damaged_{0};

  std::mutex mutex_;              // held by the thread whose turn it is, also while it waits
  std::atomic<uint64_t> cursor_;  // the next number to hand out; changes under the mutex
  std::vector<SeqRange> skip_;
  size_t next_skip_ = 0;
  std::shared_ptr<const Segment> segment_;  // the one that reader_ has open
  RecordReader reader_;

  mutable std::mutex bookmark_mutex_;
  Bookmark bookmark_;
  std::string problem_;
};

}  // namespace sluice
