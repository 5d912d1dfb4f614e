// Signals, taken synchronously by one thread, and the way out when stopping takes too long.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace sluice {

enum class Signal {
  kNone,    // the time is up
  kStop,    // SIGTERM or SIGINT: end soon, everything stays where it is
  kDrain,   // SIGUSR1: leave for good, and leave nothing behind
  kReload,  // SIGHUP: read again what can change while the process runs
};

class SignalWaiter {
 public:
  // Blocks SIGTERM, SIGINT, SIGUSR1 and SIGHUP (and ignores SIGPIPE) in this thread and all it
  // starts: before the first other thread.
  static void BlockSignals();
  // From now on SIGTERM and SIGINT end the process with that status, whatever it is doing. The
  // others stay blocked.
  static void ExitOnNext(int status);
  // What came within that time; each is reported once.
  Signal Wait(std::chrono::milliseconds time);
};

// Ends the process with status 0 when the deadline passes, after calling `last_words` from a thread
// of its own: everything that matters is on disk by then, and a stop has a limit.
class ExitIfStuck {
 public:
  // `deadline` in microseconds of Clock::Monotonic.
  ExitIfStuck(int64_t deadline, std::function<void()> last_words);
  ~ExitIfStuck() { Disarm(); }
  void Disarm();

 private:
  std::mutex mutex_;
  std::condition_variable disarmed_;
  bool done_ = false;
  std::thread thread_;
};

}  // namespace sluice
