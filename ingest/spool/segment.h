// Segment and SegmentList: what the spool knows about its files while it runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

// Readable by any thread. The appender changes the active one; others do not change.
struct Segment {
  static constexpr uint64_t kActive = std::numeric_limits<uint64_t>::max();

  Segment(std::string file, uint64_t first) : path(std::move(file)), first_seq(first) {}

  const std::string path;
  const uint64_t first_seq;
  // The last number that belongs to this segment, whether or not its record can still be read;
  // first_seq - 1 when there is none, kActive while it is appended to.
  std::atomic<uint64_t> last_seq{kActive};
  std::atomic<uint64_t> end{0};  // bytes that may be read

  bool active() const { return last_seq.load(std::memory_order_acquire) == kActive; }
};

// In the order of their numbers; the last one is active. Thread-safe.
class SegmentList {
 public:
  using Pointer = std::shared_ptr<Segment>;

  void Add(Pointer segment) {
    const std::lock_guard lock(mutex_);
    segments_.push_back(std::move(segment));
  }

  void RemoveFirst() {
    const std::lock_guard lock(mutex_);
    segments_.pop_front();
  }

  // The one that holds `seq`, or else the next one; never null once a segment was added, as the
  // active one has no end.
  Pointer Find(uint64_t seq) const {
    const std::lock_guard lock(mutex_);
    for (const Pointer& segment : segments_) {
      if (segment->last_seq.load(std::memory_order_acquire) >= seq) return segment;
    }
    return nullptr;
  }

  std::vector<Pointer> All() const {
    const std::lock_guard lock(mutex_);
    return {segments_.begin(), segments_.end()};
  }

 private:
  mutable std::mutex mutex_;
  std::deque<Pointer> segments_;
};

}  // namespace sluice
