#include "ingest/signals.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <string_view>

#include "base/clock.h"
#include "base/log.h"

namespace sluice {
namespace {

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

sigset_t AllSignals() {
  sigset_t set = StopSignals();
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGHUP);
  return set;
}

volatile sig_atomic_t exit_status = 0;

void ExitNow(int) {
  constexpr std::string_view kLine = "second signal: exiting at once\n";
  (void)!write(STDERR_FILENO, kLine.data(), kLine.size());
  _exit(exit_status);
}

}  // namespace

void SignalWaiter::BlockSignals() {
  const sigset_t set = AllSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

void SignalWaiter::ExitOnNext(int status) {
  exit_status = status;
  signal(SIGTERM, ExitNow);
  signal(SIGINT, ExitNow);
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

Signal SignalWaiter::Wait(std::chrono::milliseconds time) {
  const sigset_t set = AllSignals();
  const timespec wait{.tv_sec = time.count() / 1000, .tv_nsec = (time.count() % 1000) * 1'000'000};
  const int signal = sigtimedwait(&set, nullptr, &wait);
  if (signal < 0) return Signal::kNone;
  if (signal == SIGHUP) return Signal::kReload;
  return signal == SIGUSR1 ? Signal::kDrain : Signal::kStop;
}

ExitIfStuck::ExitIfStuck(int64_t deadline, std::function<void()> last_words)
    : thread_([this, deadline, last_words = std::move(last_words)] {
        std::unique_lock lock(mutex_);
        const std::chrono::microseconds left(deadline - SystemClock().Monotonic());
        if (disarmed_.wait_for(lock, left, [this] { return done_; })) return;
        LogWarning("drain_deadline", {{"action", "exiting; the rest stays in the spool"}});
        last_words();
        _exit(0);
      }) {}

void ExitIfStuck::Disarm() {
  {
    std::lock_guard lock(mutex_);
    done_ = true;
  }
  disarmed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace sluice
