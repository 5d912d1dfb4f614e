#include "ingest/spool/watermark_file.h"

#include <utility>

namespace sluice {
namespace {

constexpr size_t kReadSize = 64;  // more than a watermark has, to notice a longer file
constexpr uint64_t kReservedSize = 4096;

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

std::string WatermarkFile::Temporary() const {
  return directory_ + "/" + std::string(kWatermarkTemporaryName);
}

Status WatermarkFile::Reserve() {
  if (next_) return Status::Ok();
  Result<std::unique_ptr<WritableFile>> file = fs_.OpenAppend(Temporary());
  if (!file.ok()) return file.status();
  Status status = (*file)->Truncate(0);  // of an attempt that failed
  if (status.ok()) status = fs_.Reserve(Temporary(), kReservedSize);
  if (status.ok()) next_ = *std::move(file);
  return status;
}

Status WatermarkFile::Write(const Watermark& watermark) {
  if (Status reserved = Reserve(); !reserved.ok()) return reserved;
  Status status = Replace(watermark);
  next_.reset();
  if (status.ok()) (void)Reserve();  // a failure is for the next Write to return
  return status;
}

Status WatermarkFile::Replace(const Watermark& watermark) {
  Status status = next_->Append(EncodeWatermark(watermark));
  if (status.ok()) status = next_->Sync();
  if (status.ok()) status = fs_.Rename(Temporary(), directory_ + "/" + std::string(kWatermarkName));
  if (status.ok()) status = fs_.SyncDirectory(directory_);
  return status;
}

}  // namespace sluice
