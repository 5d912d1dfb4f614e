#include "ingest/spool/watermark_file.h"

#include <utility>

namespace sluice {
namespace {

constexpr size_t kReadSize = 64;  // more than a watermark has, to notice a longer file

}  // namespace

WatermarkFile::WatermarkFile(FileSystem& fs, std::string directory)
    : fs_(fs), directory_(std::move(directory)) {}

Result<Watermark> WatermarkFile::Read() const {
  Result<std::unique_ptr<ReadableFile>> file =
      fs_.OpenRead(directory_ + "/" + std::string(kWatermarkName));
  if (!file.ok()) return file.status();
  std::string bytes(kReadSize, '\0');
  const Result<size_t> size = (*file)->ReadAt(0, bytes.data(), bytes.size());
  if (!size.ok()) return size.status();
  bytes.resize(*size);
  return ParseWatermark(bytes);
}

Status WatermarkFile::Write(const Watermark& watermark) {
  const std::string temporary = directory_ + "/" + std::string(kWatermarkTemporaryName);
  Result<std::unique_ptr<WritableFile>> file = fs_.OpenAppend(temporary);
  if (!file.ok()) return file.status();
  Status status = (*file)->Truncate(0);  // of an attempt that failed
  if (status.ok()) status = (*file)->Append(EncodeWatermark(watermark));
  if (status.ok()) status = (*file)->Sync();
  if (status.ok()) status = fs_.Rename(temporary, directory_ + "/" + std::string(kWatermarkName));
  if (status.ok()) status = fs_.SyncDirectory(directory_);
  return status;
}

}  // namespace sluice
