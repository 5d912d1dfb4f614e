// Lanes: the order in which the log is handed out. From the oldest record on, as a rule. When what
// is handed out is older than `live_first_after`, the log is cut in two: the backlog goes on up to
// what was the end then, and what arrives from then on is handed out beside it, first. So live
// traffic does not wait behind hours of backlog. Once the backlog is through, there is one lane
// again. Any number of threads may call Next; they take turns.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ingest/spool/chunk_reader.h"

namespace sluice {

class Lanes {
 public:
  // Starts with the number `first`. `live_first_after` 0: never two lanes. The others outlive this.
  Lanes(FileSystem& fs, Clock& clock, const SegmentList& segments, Tail& tail, const Uuid& spool,
        uint64_t first, std::chrono::microseconds live_first_after);

  // As ChunkReader's; before the first Next.
  void Skip(std::vector<SeqRange> ranges) { oldest_->Skip(std::move(ranges)); }
  void Rewind(uint64_t first) { oldest_->Rewind(first); }

  // As Spool::NextChunk.
  std::unique_ptr<Chunk> Next(size_t max_records, size_t max_bytes,
                              std::chrono::milliseconds linger);

  uint64_t damaged_records() const;
  std::optional<UnixMicros> OldestReceived() const { return Oldest()->OldestReceived(); }
  std::string problem() const;
  // There are two lanes: this many records of the backlog are not handed out yet. Else 0.
  uint64_t backlog() const;

 private:
  using Reader = std::shared_ptr<ChunkReader>;

  Reader MakeReader(uint64_t first) const;
  Reader Oldest() const;
  Reader Live() const;  // null when there is one lane
  void Split(const Chunk& chunk);
  void Merge();
  // The live lane's next chunk when it is its turn, else null.
  std::unique_ptr<Chunk> NextLive(size_t max_records, size_t max_bytes,
                                  std::chrono::milliseconds linger);

  FileSystem& fs_;
  Clock& clock_;
  const SegmentList& segments_;
  Tail& tail_;
  const Uuid spool_;
  const std::chrono::microseconds live_first_after_;

  std::mutex turn_;  // held by the thread whose turn it is, also while it waits
  uint64_t lane_ = 0;
  bool live_was_full_ = false;
  std::chrono::steady_clock::time_point live_served_;

  mutable std::mutex mutex_;  // the members below change with both mutexes held
  Reader oldest_;
  Reader live_;
  uint64_t backlog_end_ = 0;     // the last number of the backlog, with two lanes
  uint64_t damaged_before_ = 0;  // by readers that are through
};

}  // namespace sluice
