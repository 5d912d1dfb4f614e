#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/units.h"
#include "ingest/descriptors.h"
#include "ingest/doctor/checks.h"
#include "ingest/doctor/file_system_kind.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// "7.3 GiB"
std::string Size(uint64_t bytes) {
  constexpr std::array kUnits = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  auto amount = static_cast<double>(bytes);
  size_t unit = 0;
  for (; amount >= 1024 && unit + 1 < kUnits.size(); ++unit) amount /= 1024;
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f " : "%.1f ", amount);
  return text.data() + std::string(kUnits[unit]);
}

// The directory, or the first one above it that is there.
std::string NearestOf(const std::string& directory) {
  std::error_code error;
  fs::path path = fs::absolute(directory, error);
  while (!fs::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  return path.string();
}

uint64_t BytesIn(const std::string& directory) {
  uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    struct stat info {};
    if (::stat(entry.path().c_str(), &info) == 0)
      bytes += static_cast<uint64_t>(info.st_blocks) * 512;
  }
  return bytes;
}

bool CheckDirectory(const std::string& directory, const std::string& nearest, Findings* out) {
  struct stat info {};
  if (::stat(nearest.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    out->Fail("directory", nearest + " is no directory", "set SPOOL_DIR to a directory");
    return false;
  }
  if (::faccessat(AT_FDCWD, nearest.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
    out->Fail("directory", nearest + ": " + std::strerror(errno),
              "make SPOOL_DIR a directory of the daemon's user (mode 0700), and run this as that "
              "user");
    return false;
  }
  std::error_code error;
  out->Ok("directory", directory + (fs::exists(directory, error) ? " can be written"
                                                                 : " is not there yet and can be "
                                                                   "made"));
  return true;
}

void CheckSpace(const Settings& settings, const std::string& nearest, Findings* out) {
  struct statvfs space {};
  if (::statvfs(nearest.c_str(), &space) != 0) {
    return out->Fail("space", nearest + ": " + std::strerror(errno), "look at the disk");
  }
  const uint64_t free = space.f_bavail * space.f_frsize;
  const uint64_t whole = space.f_blocks * space.f_frsize;
  const uint64_t room = free + BytesIn(settings.spool_dir);
  const std::string seen = Size(room) + " for the spool (" + Size(free) +
                           " free), SPOOL_MAX_BYTES is " + Size(settings.spool_max_bytes);
  if (settings.spool_max_bytes > whole) {
    out->Fail("space", seen + ", and the whole disk has " + Size(whole),
              "lower SPOOL_MAX_BYTES, or give the spool a larger disk: this one is full before the "
              "daemon holds back");
  } else if (room < 2 * settings.spool_segment_bytes) {
    out->Fail("space", seen, "free the disk: there is hardly room for one segment");
  } else if (room < settings.spool_max_bytes) {
    out->Warn("space", seen, "free the disk, or lower SPOOL_MAX_BYTES to what there is");
  } else {
    out->Ok("space", seen);
  }
}

void CheckKind(const std::string& nearest, Findings* out) {
  struct statfs info {};
  if (::statfs(nearest.c_str(), &info) != 0) return;
  const FileSystemKind kind = KindOf(static_cast<uint64_t>(info.f_type));
  if (kind.trouble == nullptr) return out->Ok("file system", kind.name);
  out->Warn("file system", std::string(kind.name) + ": " + kind.trouble,
            "put SPOOL_DIR on a local disk that outlives the process, in a container on a volume");
}

void CheckLock(const DaemonHere& daemon, Findings* out) {
  out->Ok("lock", daemon.pid ? "the daemon, process " + std::to_string(*daemon.pid) + ", holds it"
                             : "free: no daemon works on this spool");
}

void CheckDescriptors(const Settings& settings, Findings* out) {
  const uint64_t needed = DescriptorsNeeded(settings);
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const std::string seen =
      std::to_string(needed) + " are needed, " + std::to_string(limit.rlim_max) + " allowed here";
  if (limit.rlim_max >= needed) return out->Ok("descriptors", seen);
  out->Fail("descriptors", seen, "raise LimitNOFILE= or ulimit -n, or lower HTTP_MAX_CONNECTIONS");
}

}  // namespace

std::vector<Finding> CheckDisk(const Patient& patient) {
  Findings out("disk");
  const Settings& settings = patient.settings();
  const std::string nearest = NearestOf(settings.spool_dir);
  if (CheckDirectory(settings.spool_dir, nearest, &out)) {
    CheckSpace(settings, nearest, &out);
    CheckKind(nearest, &out);
  }
  CheckLock(patient.daemon, &out);
  CheckDescriptors(settings, &out);
  return out.Take();
}

}  // namespace sluice
