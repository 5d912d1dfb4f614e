// Tail: the last number given out, and the way from the appender to those who wait for more. The
// appender takes no lock unless somebody waits for exactly what it appended.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <mutex>

namespace sluice {

class Tail {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  uint64_t Load() const { return seq_.load(std::memory_order_acquire); }

  // By one thread at a time; never goes back.
  void Publish(uint64_t seq) {
    // Both this store and the load are sequentially consistent, as are their counterparts in Wait:
    // either we see the waiter's threshold, or the waiter sees our number.
    seq_.store(seq, std::memory_order_seq_cst);
    if (seq >= wake_at_.load(std::memory_order_seq_cst)) Wake(seq);
  }

  // One waiter at a time. Until `seq` is published or Stop; false after Stop.
  bool Wait(uint64_t seq) { return WaitUntil(seq, TimePoint::max()); }
  // At most until `deadline`; false only after Stop.
  bool WaitUntil(uint64_t seq, TimePoint deadline) {
    std::unique_lock lock(mutex_);
    wake_at_.store(seq, std::memory_order_seq_cst);
    const auto done = [&] { return stopped_ || seq_.load(std::memory_order_seq_cst) >= seq; };
    // wait_until with the largest time point overflows in some standard libraries.
    if (deadline == TimePoint::max()) {
      woken_.wait(lock, done);
    } else {
      woken_.wait_until(lock, deadline, done);
    }
    wake_at_.store(kNobody, std::memory_order_relaxed);
    return !stopped_;
  }

  void Stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    woken_.notify_all();
  }

 private:
  static constexpr uint64_t kNobody = std::numeric_limits<uint64_t>::max();

  void Wake(uint64_t seq) {
    const std::lock_guard lock(mutex_);
    if (seq < wake_at_.load(std::memory_order_relaxed)) return;  // another wait has begun
    wake_at_.store(kNobody, std::memory_order_relaxed);
    woken_.notify_all();
  }

  std::atomic<uint64_t> seq_{0};
  std::atomic<uint64_t> wake_at_{kNobody};
  std::mutex mutex_;
  std::condition_variable woken_;
  bool stopped_ = false;
};

}  // namespace sluice
