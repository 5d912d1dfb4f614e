#include "ingest/spool/lanes.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace sluice {
namespace {

// A backlog of fewer records than this is through before two lanes would help.
constexpr uint64_t kWorthALane = 20'000;

}  // namespace

Lanes::Lanes(FileSystem& fs, Clock& clock, const SegmentList& segments, Tail& tail,
             const Uuid& spool, uint64_t first, std::chrono::microseconds live_first_after)
    : fs_(fs),
      clock_(clock),
      segments_(segments),
      tail_(tail),
      spool_(spool),
      live_first_after_(live_first_after),
      oldest_(MakeReader(first)) {}

Lanes::Reader Lanes::MakeReader(uint64_t first) const {
  return std::make_shared<ChunkReader>(fs_, clock_, segments_, tail_, spool_, first);
}

std::unique_ptr<Chunk> Lanes::Next(size_t max_records, size_t max_bytes,
                                   std::chrono::milliseconds linger) {
  const std::lock_guard turn(turn_);
  if (live_ && oldest_->cursor() > backlog_end_) Merge();
  if (live_) {
    if (auto chunk = NextLive(max_records, max_bytes, linger)) return chunk;
  }
  auto chunk = oldest_->Next(max_records, max_bytes, linger);
  if (!chunk) return nullptr;
  chunk->lane = lane_;
  chunk->behind = live_ != nullptr;
  if (!live_) Split(*chunk);
  return chunk;
}

std::unique_ptr<Chunk> Lanes::NextLive(size_t max_records, size_t max_bytes,
                                       std::chrono::milliseconds linger) {
  const uint64_t tail = tail_.Load();
  const uint64_t cursor = live_->cursor();
  if (tail < cursor) return nullptr;
  const uint64_t waiting = tail + 1 - cursor;
  const auto now = std::chrono::steady_clock::now();
  // A live lane that fills chunk after chunk takes every other one, so that the backlog ends, too.
  const bool alternate = std::exchange(live_was_full_, false);
  if (alternate || (waiting < max_records && now - live_served_ < linger)) return nullptr;
  auto chunk = live_->Next(max_records, max_bytes, std::chrono::milliseconds(0));
  if (!chunk) return nullptr;
  live_served_ = now;
  live_was_full_ = waiting >= max_records;
  chunk->lane = lane_ + 1;
  return chunk;
}

void Lanes::Split(const Chunk& chunk) {
  if (live_first_after_.count() == 0 || chunk.records.empty()) return;
  const uint64_t tail = tail_.Load();
  const int64_t age = AgeOf(chunk.records.front().received, clock_.Now());
  if (age < live_first_after_.count() || tail < oldest_->cursor() + kWorthALane) return;
  oldest_->Skip({{tail + 1, kMaxSeq}});
  const std::lock_guard lock(mutex_);
  backlog_end_ = tail;
  live_ = MakeReader(tail + 1);
  LogInfo("backlog_behind_live_traffic",
          {{"records", tail + 1 - oldest_->cursor()}, {"oldest_seconds", age / 1'000'000}});
}

void Lanes::Merge() {
  const std::lock_guard lock(mutex_);
  damaged_before_ += oldest_->damaged_records();
  oldest_ = std::exchange(live_, nullptr);
  ++lane_;
  LogInfo("backlog_through");
}

Lanes::Reader Lanes::Oldest() const {
  const std::lock_guard lock(mutex_);
  return oldest_;
}

Lanes::Reader Lanes::Live() const {
  const std::lock_guard lock(mutex_);
  return live_;
}

uint64_t Lanes::damaged_records() const {
  const std::lock_guard lock(mutex_);
  return damaged_before_ + oldest_->damaged_records() + (live_ ? live_->damaged_records() : 0);
}

std::string Lanes::problem() const {
  std::string problem = Oldest()->problem();
  if (const Reader live = Live(); live && problem.empty()) problem = live->problem();
  return problem;
}

uint64_t Lanes::backlog() const {
  const std::lock_guard lock(mutex_);
  return live_ ? backlog_end_ + 1 - std::min(oldest_->cursor(), backlog_end_ + 1) : 0;
}

}  // namespace sluice
