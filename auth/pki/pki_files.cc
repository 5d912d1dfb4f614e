#include "auth/pki/pki_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "base/file_system.h"
#include "base/unique_fd.h"

namespace sluice {
namespace {

constexpr uint64_t kLargestFile = 64ULL << 20;

Status Failure(const std::string& operation, const std::string& path) {
  const int error = errno;
  return {error == ENOENT   ? ErrorCode::kNotFound
          : error == ENOSPC ? ErrorCode::kNoSpace
                            : ErrorCode::kIo,
          operation + " " + path + ": " + std::generic_category().message(error)};
}

Status WriteTo(int fd, const std::string& path, std::string_view content, mode_t mode) {
  if (::fchmod(fd, mode) != 0) return Failure("chmod", path);
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno != EINTR) return Failure("write", path);
    if (written > 0) content.remove_prefix(static_cast<size_t>(written));
  }
  return ::fsync(fd) == 0 ? Status::Ok() : Failure("fsync", path);
}

Status PutInPlace(const std::string& from, const std::string& to, Existing existing) {
  if (existing == Existing::kReplace) {
    return ::rename(from.c_str(), to.c_str()) == 0 ? Status::Ok() : Failure("rename to", to);
  }
  // Unlike rename, link never replaces.
  if (::link(from.c_str(), to.c_str()) == 0) return Status::Ok();
  if (errno != EEXIST) return Failure("link", to);
  return {ErrorCode::kInvalidArgument, to + " exists already and is left alone"};
}

}  // namespace

Status WriteWholeFile(const std::string& path, std::string_view content, mode_t mode,
                      Existing existing) {
  std::string temporary = path + ".XXXXXX";
  const UniqueFd file(::mkostemp(temporary.data(), O_CLOEXEC));  // made with mode 0600
  if (!file.valid()) return Failure("create", path);
  Status status = WriteTo(file.get(), temporary, content, mode);
  if (status.ok()) status = PutInPlace(temporary, path, existing);
  ::unlink(temporary.c_str());
  if (!status.ok()) return status;
  const std::string directory = std::filesystem::path(path).parent_path().string();
  return SystemFileSystem().SyncDirectory(directory.empty() ? "." : directory);
}

Result<std::string> ReadWholeFile(const std::string& path) {
  const auto file = SystemFileSystem().OpenRead(path);
  if (!file.ok()) return file.status();
  const Result<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  if (*size > kLargestFile) return Status(ErrorCode::kInvalidArgument, path + " is too large");
  std::string content(*size, '\0');
  const Result<size_t> read = (*file)->ReadAt(0, content.data(), content.size());
  if (!read.ok()) return read.status();
  content.resize(*read);
  return content;
}

}  // namespace sluice
