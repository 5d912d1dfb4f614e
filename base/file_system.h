// FileSystem: the seam between the spool and the disk, so that tests can make a disk full, broken
// or forgetful. Thread-safe. Statuses: kNoSpace for ENOSPC/EDQUOT, kNotFound for ENOENT, kIo else;
// messages name the operation, the path and strerror.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice {

// A file being appended to. One thread at a time, except Sync, which may run beside Append.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  // All bytes in one write(2) where the kernel takes them, or an error; after an error the file's
  // end is unspecified.
  virtual Status Append(std::string_view bytes) = 0;
  virtual Status Sync() = 0;  // fdatasync
  virtual Status Truncate(uint64_t size) = 0;
};

// Positioned reads; any thread.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  // Up to `size` bytes from `offset` into `buffer`; fewer only at the end of the file.
  virtual Result<size_t> ReadAt(uint64_t offset, char* buffer, size_t size) const = 0;
  virtual Result<uint64_t> Size() const = 0;
};

// Holds an exclusive lock while it lives.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Status CreateDirectories(const std::string& path) = 0;                    // mode 0700
  virtual Result<std::vector<std::string>> List(const std::string& directory) = 0;  // names
  // Creates or opens for appending at its end; mode 0600.
  virtual Result<std::unique_ptr<WritableFile>> OpenAppend(const std::string& path) = 0;
  virtual Result<std::unique_ptr<ReadableFile>> OpenRead(const std::string& path) = 0;
  // Reserves `size` bytes of disk for the file without changing its length (fallocate KEEP_SIZE).
  // Ok, too, where the file system knows no such thing.
  virtual Status Reserve(const std::string& path, uint64_t size) = 0;
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status Remove(const std::string& path) = 0;
  virtual Status SyncDirectory(const std::string& directory) = 0;
  // Creates the file if need be; kUnavailable when another process holds it. See LockHolder.
  virtual Result<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
};

// The operating system's. Lives as long as the process.
FileSystem& SystemFileSystem();

// The process that holds, right now, the lock that SystemFileSystem().Lock took on that file. It
// is the kernel's word, so it is never a process that is gone. kNotFound: there is no such file, or
// nobody holds it. Takes no lock itself. Not for the holder, and not across PID namespaces.
Result<pid_t> LockHolder(const std::string& path);

}  // namespace sluice
