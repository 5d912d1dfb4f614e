#include "ingest/spool/record_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/crc32c.h"
#include "base/log.h"

namespace sluice {
namespace {

constexpr size_t kBlockSize = size_t{256} << 10;
constexpr size_t kPageSize = 4096;

}  // namespace

void RecordReader::Open(std::unique_ptr<ReadableFile> file, uint64_t offset) {
  file_ = std::move(file);
  buffer_.clear();
  base_ = offset;
  position_ = 0;
}

RecordReader::Step RecordReader::Peek(uint64_t end) {
  if (!Load(kRecordHeaderSize, end)) return Step::kFailed;
  if (loaded() == 0) return Step::kEnd;
  if (loaded() < kRecordHeaderSize) return Step::kGarbage;
  const auto header = ParseRecordHeader(&buffer_[position_], key_);
  if (!header || offset() + kRecordHeaderSize + header->body_size > end) return Step::kGarbage;
  header_ = *header;
  if (!Load(record_size(), end)) return Step::kFailed;
  if (loaded() < record_size()) return Step::kGarbage;
  SpoolRecord ignored;
  body_intact_ = Crc32c(body()) == header_.body_crc && DecodeBody(body(), &ignored);
  return Step::kRecord;
}

RecordReader::Step RecordReader::FindRecord(uint64_t end) {
  ++position_;
  for (;;) {
    DropBefore();
    if (!Load(kBlockSize, end)) return Step::kFailed;
    if (loaded() < kRecordHeaderSize) {
      position_ = buffer_.size();
      return Step::kEnd;
    }
    const size_t last = buffer_.size() - kRecordHeaderSize;
    while (position_ <= last) {
      const void* hit = std::memchr(&buffer_[position_], kRecordMarker[0], last - position_ + 1);
      if (hit == nullptr) {
        position_ = last + 1;
        break;
      }
      position_ = static_cast<size_t>(static_cast<const char*>(hit) - buffer_.data());
      const auto header = ParseRecordHeader(&buffer_[position_], key_);
      if (header && offset() + kRecordHeaderSize + header->body_size <= end) return Step::kRecord;
      ++position_;
    }
  }
}

void RecordReader::DropBefore() {
  if (position_ < kBlockSize) return;  // moving the rest for every record would cost more
  buffer_.erase(0, position_);
  base_ += position_;
  position_ = 0;
}

std::string RecordReader::TakeBuffer() {
  base_ += position_;
  position_ = 0;
  return std::exchange(buffer_, {});
}

bool RecordReader::Load(size_t size, uint64_t end) {
  if (loaded() >= size) return true;
  const size_t before = buffer_.size();
  const uint64_t from = base_ + before;
  if (from >= end) return true;
  const size_t want = std::max(size - loaded(), kBlockSize);
  buffer_.resize(before + static_cast<size_t>(std::min<uint64_t>(want, end - from)));
  if (Read(from, &buffer_[before], buffer_.size() - before)) return true;
  buffer_.resize(before);
  return false;
}

// A file shorter than expected reads as zeros, and so do pages that the disk cannot give: the
// records on them are damaged. If it can give none, it is the disk that is damaged.
bool RecordReader::Read(uint64_t offset, char* to, size_t size) {
  Result<size_t> all = file_->ReadAt(offset, to, size);
  if (all.ok()) {
    std::memset(to + *all, 0, size - *all);
    return true;
  }
  failure_ = all.status();
  bool any = false;
  for (size_t done = 0; done < size;) {
    const size_t part = std::min(size - done, kPageSize - (offset + done) % kPageSize);
    const Result<size_t> page = file_->ReadAt(offset + done, to + done, part);
    any = any || page.ok();
    const size_t got = page.ok() ? *page : 0;
    std::memset(to + done + got, 0, part - got);
    done += part;
  }
  if (any) LogWarning("spool_page_unreadable", {{"offset", offset}, {"error", failure_.message()}});
  return any;
}

}  // namespace sluice
