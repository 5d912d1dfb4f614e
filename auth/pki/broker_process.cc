#include "auth/pki/broker_process.h"

#include <signal.h>
#include <unistd.h>

// The header of glibc 2.36 does not say so itself.
extern "C" {
#include <sys/pidfd.h>
}

#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <system_error>

#include "auth/pki/pki_files.h"
#include "base/file_system.h"
#include "base/unique_fd.h"

namespace sluice {
namespace {

Result<pid_t> ReadPid(const std::string& pid_file) {
  const Result<std::string> text = ReadWholeFile(pid_file);
  if (!text.ok()) return text.status();
  pid_t pid = 0;
  const char* end = text->data() + text->size();
  const auto parsed = std::from_chars(text->data(), end, pid);
  const std::string_view rest(parsed.ptr, static_cast<size_t>(end - parsed.ptr));
  if (parsed.ec == std::errc() && pid > 0 && (rest.empty() || rest == "\n")) return pid;
  return Status(ErrorCode::kInvalidArgument, pid_file + " does not hold a process's number");
}

// "" for a process that is gone. Files of /proc have no size, so this reads what there is.
std::string NameOf(pid_t pid) {
  const auto file = SystemFileSystem().OpenRead("/proc/" + std::to_string(pid) + "/comm");
  std::array<char, 64> name{};
  if (!file.ok()) return "";
  const Result<size_t> size = (*file)->ReadAt(0, name.data(), name.size());
  return size.ok() ? std::string(name.data(), *size) : "";
}

}  // namespace

Status TellBrokerToReload(const std::string& pid_file) {
  const Result<pid_t> pid = ReadPid(pid_file);
  if (!pid.ok()) return pid.status();
  const std::string who = "process " + std::to_string(*pid) + " of " + pid_file;
  // Held before its name is asked for, so that the number cannot come to mean another in between.
  const UniqueFd process(pidfd_open(*pid, 0));
  if (!process.valid()) {
    return {ErrorCode::kNotFound, who + ": " + std::generic_category().message(errno)};
  }
  if (NameOf(*pid) != "mosquitto\n") {
    return {ErrorCode::kInvalidArgument, who + " is not a running mosquitto"};
  }
  if (pidfd_send_signal(process.get(), SIGHUP, nullptr, 0) == 0) return Status::Ok();
  return {ErrorCode::kIo, who + " cannot be told: " + std::generic_category().message(errno)};
}

}  // namespace sluice
