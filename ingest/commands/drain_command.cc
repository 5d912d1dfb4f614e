#include <fcntl.h>
#include <poll.h>
#include <signal.h>

// The header of glibc 2.36 does not say so itself.
extern "C" {
#include <sys/pidfd.h>
}

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <system_error>

#include "base/escape.h"
#include "base/file_system.h"
#include "base/unique_fd.h"
#include "base/units.h"
#include "ingest/commands/commands.h"
#include "ingest/drained_mark.h"
#include "ingest/settings.h"
#include "ingest/spool/format.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::days kLongestWait{365};

int Fail(const std::string& message) {
  return Complain("drain", message);
}

std::string Because(int error) {
  return ": " + std::generic_category().message(error);
}

// A running process, held so that its number cannot come to mean another one.
struct Daemon {
  pid_t pid = 0;
  UniqueFd process;
};

Result<Daemon> FindDaemon(const std::string& spool_dir) {
  const std::string lock = spool_dir + "/" + std::string(kLockName);
  const Result<pid_t> holder = LockHolder(lock);
  if (!holder.ok()) {
    if (holder.code() != ErrorCode::kNotFound) return holder.status();
    return Status(ErrorCode::kNotFound, "no daemon works on the spool " + spool_dir);
  }
  Daemon daemon{.pid = *holder, .process = UniqueFd(pidfd_open(*holder, 0))};
  const int error = errno;
  // Asked again with the process in hand: had it ended and its number been given away in between,
  // this would no longer be the holder.
  const Result<pid_t> still = LockHolder(lock);
  if (daemon.process.valid() && still.ok() && *still == *holder) return daemon;
  return Status(ErrorCode::kUnavailable,
                "the daemon, process " + std::to_string(*holder) + ", cannot be reached" +
                    (daemon.process.valid() ? ": it has just ended" : Because(error)));
}

// False when the time is up.
bool WaitForItsEnd(const Daemon& daemon, milliseconds timeout) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::min<milliseconds>(timeout, kLongestWait);
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd waiting{.fd = daemon.process.get(), .events = POLLIN, .revents = 0};
    const int ended = poll(
        &waiting, 1,
        static_cast<int>(std::clamp<int64_t>(left.count(), 0, std::numeric_limits<int>::max())));
    if (ended > 0) return true;
    if (left.count() <= 0) return false;
  }
}

int Run(const std::string& timeout_text) {
  const auto timeout = ParseDuration(timeout_text, std::chrono::seconds(1));
  if (!timeout) return Fail("--timeout " + timeout_text + " is no duration such as 90s or 10m");
  const Result<Settings> settings = LoadSettings(&std::getenv, SettingsFor::kTool);
  if (!settings.ok()) return RefuseSettings("drain", settings.message());
  const Result<Daemon> daemon = FindDaemon(settings->spool_dir);
  if (!daemon.ok()) return Fail(daemon.message());

  const std::string process = "process " + std::to_string(daemon->pid);
  if (pidfd_send_signal(daemon->process.get(), SIGUSR1, nullptr, 0) != 0) {
    return Fail(process + " cannot be told" + Because(errno));
  }
  std::printf("%s drains\n", process.c_str());
  std::fflush(stdout);
  if (!WaitForItsEnd(*daemon, *timeout)) {
    return Fail(process + " has not finished within " + timeout_text +
                "; it goes on, and /ready says what it waits for");
  }
  const Result<std::string> line = ReadDrainedMark(settings->spool_dir);
  if (!line.ok()) {
    return Fail(process + " has ended without having drained; its log says why");
  }
  std::printf("drained: %s\n", Escaped(*line).c_str());
  return kExitOk;
}

}  // namespace

void AddDrainCommand(CLI::App& app, int* status) {
  auto timeout = std::make_shared<std::string>("10m");
  CLI::App* command = app.add_subcommand(
      "drain", "Tells the daemon on SPOOL_DIR to leave for good, and waits until it has");
  command->add_option("--timeout", *timeout, "How long to wait for it")->capture_default_str();
  command->callback([timeout, status] { *status = Run(*timeout); });
}

}  // namespace sluice
