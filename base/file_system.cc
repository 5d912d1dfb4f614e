#include "base/file_system.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/failpoint.h"
#include "base/unique_fd.h"

namespace sluice {
namespace {

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kFileMode = 0600;

Status Failure(std::string_view operation, const std::string& path, int error) {
  ErrorCode code = ErrorCode::kIo;
  if (error == ENOSPC || error == EDQUOT) code = ErrorCode::kNoSpace;
  if (error == ENOENT) code = ErrorCode::kNotFound;
  return {code, std::string(operation) + " " + path + ": " +
                    std::error_code(error, std::generic_category()).message()};
}

int OpenRetrying(const std::string& path, int flags) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, kFileMode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

struct flock WholeFile() {
  struct flock record {};
  record.l_type = F_WRLCK;
  record.l_whence = SEEK_SET;
  return record;
}

class SystemWritableFile final : public WritableFile {
 public:
  SystemWritableFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Status Append(std::string_view bytes) override {
    SLUICE_FAILPOINT_RETURN("file.append");
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
      if (written < 0) {
        if (errno == EINTR) continue;
        return Failure("write", path_, errno);
      }
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return Status::Ok();
  }

  Status Sync() override {
    SLUICE_FAILPOINT_RETURN("file.sync");
    return ::fdatasync(fd_.get()) == 0 ? Status::Ok() : Failure("fdatasync", path_, errno);
  }

  Status Truncate(uint64_t size) override {
    return ::ftruncate(fd_.get(), static_cast<off_t>(size)) == 0
               ? Status::Ok()
               : Failure("ftruncate", path_, errno);
  }

 private:
  UniqueFd fd_;
  std::string path_;
};

class SystemReadableFile final : public ReadableFile {
 public:
  SystemReadableFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<size_t> ReadAt(uint64_t offset, char* buffer, size_t size) const override {
    size_t done = 0;
    while (done < size) {
      const ssize_t n =
          ::pread(fd_.get(), buffer + done, size - done, static_cast<off_t>(offset + done));
      if (n == 0) break;
      if (n < 0) {
        if (errno == EINTR) continue;
        return Failure("pread", path_, errno);
      }
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Result<uint64_t> Size() const override {
    struct stat info {};
    if (::fstat(fd_.get(), &info) != 0) return Failure("fstat", path_, errno);
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  UniqueFd fd_;
  std::string path_;
};

class SystemFileLock final : public FileLock {
 public:
  explicit SystemFileLock(UniqueFd fd) : fd_(std::move(fd)) {}

 private:
  UniqueFd fd_;
};

class RealFileSystem final : public FileSystem {
 public:
  Status CreateDirectories(const std::string& path) override {
    for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
      const std::string part = path.substr(0, end);
      if (::mkdir(part.c_str(), kDirectoryMode) != 0 && errno != EEXIST) {
        return Failure("mkdir", part, errno);
      }
      if (end == std::string::npos) break;
    }
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return Failure("stat", path, errno);
    return S_ISDIR(info.st_mode) ? Status::Ok() : Failure("mkdir", path, ENOTDIR);
  }

  Result<std::vector<std::string>> List(const std::string& directory) override {
    std::vector<std::string> names;
    std::error_code error;
    std::filesystem::directory_iterator it(directory, error);
    while (!error && it != std::filesystem::directory_iterator()) {
      names.push_back(it->path().filename().string());
      it.increment(error);
    }
    if (error) return Failure("list", directory, error.value());
    return names;
  }

  Result<std::unique_ptr<WritableFile>> OpenAppend(const std::string& path) override {
    UniqueFd fd(OpenRetrying(path, O_WRONLY | O_CREAT | O_APPEND));
    if (!fd.valid()) return Failure("open", path, errno);
    return {std::make_unique<SystemWritableFile>(std::move(fd), path)};
  }

  Result<std::unique_ptr<ReadableFile>> OpenRead(const std::string& path) override {
    UniqueFd fd(OpenRetrying(path, O_RDONLY));
    if (!fd.valid()) return Failure("open", path, errno);
    return {std::make_unique<SystemReadableFile>(std::move(fd), path)};
  }

  Status Reserve(const std::string& path, uint64_t size) override {
    const UniqueFd fd(OpenRetrying(path, O_WRONLY));
    if (!fd.valid()) return Failure("open", path, errno);
    while (::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size)) != 0) {
      if (errno == EINTR) continue;
      if (errno == EOPNOTSUPP || errno == ENOSYS) break;
      return Failure("fallocate", path, errno);
    }
    return Status::Ok();
  }

  Status Rename(const std::string& from, const std::string& to) override {
    return ::rename(from.c_str(), to.c_str()) == 0 ? Status::Ok() : Failure("rename", from, errno);
  }

  Status Remove(const std::string& path) override {
    return ::unlink(path.c_str()) == 0 ? Status::Ok() : Failure("unlink", path, errno);
  }

  Status SyncDirectory(const std::string& directory) override {
    const UniqueFd fd(OpenRetrying(directory, O_RDONLY | O_DIRECTORY));
    if (!fd.valid()) return Failure("open", directory, errno);
    return ::fsync(fd.get()) == 0 ? Status::Ok() : Failure("fsync", directory, errno);
  }

  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    UniqueFd fd(OpenRetrying(path, O_RDWR | O_CREAT));
    if (!fd.valid()) return Failure("open", path, errno);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return Failure("flock", path, errno);
      return Status(ErrorCode::kUnavailable, path + " is locked by another process");
    }
    // flock excludes, also within one process; only a record lock says who holds it.
    struct flock record = WholeFile();
    if (::fcntl(fd.get(), F_SETLK, &record) != 0) return Failure("lock", path, errno);
    return {std::make_unique<SystemFileLock>(std::move(fd))};
  }
};

}  // namespace

FileSystem& SystemFileSystem() {
  static RealFileSystem file_system;
  return file_system;
}

Result<pid_t> LockHolder(const std::string& path) {
  const UniqueFd fd(OpenRetrying(path, O_RDONLY));
  if (!fd.valid()) return Failure("open", path, errno);
  struct flock record = WholeFile();
  if (::fcntl(fd.get(), F_GETLK, &record) != 0) return Failure("lock", path, errno);
  if (record.l_type == F_UNLCK) {
    return Status(ErrorCode::kNotFound, path + " is not locked by any process");
  }
  return record.l_pid;
}

}  // namespace sluice
