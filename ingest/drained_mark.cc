#include "ingest/drained_mark.h"

#include <memory>

#include "base/file_system.h"

namespace sluice {
namespace {

constexpr size_t kMaxLine = 1024;

std::string MarkPath(const std::string& spool_dir) {
  return spool_dir + "/drained";
}

}  // namespace

Status WriteDrainedMark(const std::string& spool_dir, const std::string& line) {
  const auto file = SystemFileSystem().OpenAppend(MarkPath(spool_dir));
  return file.ok() ? (*file)->Append(line) : file.status();
}

Status RemoveDrainedMark(const std::string& spool_dir) {
  Status status = SystemFileSystem().Remove(MarkPath(spool_dir));
  return !status.ok() && status.code() == ErrorCode::kNotFound ? Status::Ok() : status;
}

Result<std::string> ReadDrainedMark(const std::string& spool_dir) {
  const auto file = SystemFileSystem().OpenRead(MarkPath(spool_dir));
  if (!file.ok()) return file.status();
  std::string line(kMaxLine, '\0');
  const auto size = (*file)->ReadAt(0, line.data(), line.size());
  if (!size.ok()) return size.status();
  line.resize(*size);
  return line;
}

}  // namespace sluice
