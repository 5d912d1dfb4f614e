#include "ingest/spool/segment_writer.h"

#include <algorithm>
#include <utility>

#include "base/failpoint.h"
#include "base/log.h"

namespace sluice {

SegmentWriter::SegmentWriter(const SpoolOptions& options, const Uuid& spool, FileSystem& fs,
                             Clock& clock, SegmentList& segments)
    : options_(options), spool_(spool), fs_(fs), clock_(clock), segments_(segments) {}

Status SegmentWriter::Resume() {
  const std::lock_guard lock(files_mutex_);
  for (const auto& segment : segments_.All()) sealed_.push_back({nullptr, segment});
  active_ = std::move(sealed_.back());
  sealed_.pop_back();
  Result<std::unique_ptr<WritableFile>> file = fs_.OpenAppend(active_.segment->path);
  if (!file.ok()) return file.status();
  active_.file = *std::move(file);
  const Status reserved = fs_.Reserve(active_.segment->path, options_.segment_bytes);
  if (!reserved.ok()) LogWarning("spool_reserve_failed", {{"error", reserved.message()}});
  return Status::Ok();
}

Status SegmentWriter::Roll(uint64_t first_seq, uint64_t last_seq) {
  if (failed()) return failure();
  Status status = RollTo(first_seq, last_seq);
  return status.ok() ? status : Fail(SegmentName(first_seq), status);
}

Status SegmentWriter::RollTo(uint64_t first_seq, uint64_t last_seq) {
  const std::lock_guard lock(spare_mutex_);
  if (Status made = MakeSpareLocked(); !made.ok()) return made;
  const SegmentHeader header{spool_, first_seq, last_seq, clock_.Now()};
  if (Status written = spare_->Append(EncodeSegmentHeader(header)); !written.ok()) return written;

  OpenFile next{
      std::move(spare_),
      std::make_shared<Segment>(options_.directory + "/" + SegmentName(first_seq), first_seq)};
  next.segment->end.store(kSegmentHeaderSize, std::memory_order_release);
  SLUICE_FAILPOINT("spool.before_rename");
  const std::string spare_path = options_.directory + "/" + std::string(kSpareName);
  if (Status renamed = fs_.Rename(spare_path, next.segment->path); !renamed.ok()) return renamed;
  if (options_.sync == SpoolSync::kAlways) {
    if (Status synced = next.file->Sync(); !synced.ok()) return synced;
    if (Status synced = fs_.SyncDirectory(options_.directory); !synced.ok()) return synced;
  }
  Activate(std::move(next), last_seq);
  SLUICE_FAILPOINT("spool.after_roll");
  return Status::Ok();
}

void SegmentWriter::Activate(OpenFile next, uint64_t last_seq) {
  segments_.Add(next.segment);
  // Sealed only now: a reader that has passed its end must find the next one in the list.
  if (active_.segment) active_.segment->last_seq.store(last_seq, std::memory_order_release);
  const std::lock_guard lock(files_mutex_);
  if (active_.file) sealed_.push_back(std::move(active_));
  active_ = std::move(next);
  directory_changed_ = true;
}

Status SegmentWriter::Append(std::string_view records, uint64_t first_seq) {
  if (failed()) return failure();
  uint64_t end = active_.segment->end.load(std::memory_order_relaxed);
  if (end > kSegmentHeaderSize && records.size() > room()) {
    if (Status rolled = Roll(first_seq, first_seq - 1); !rolled.ok()) return rolled;
    end = kSegmentHeaderSize;
  }
  Status status = active_.file->Append(records);
  if (status.ok() && options_.sync == SpoolSync::kAlways) status = active_.file->Sync();
  if (!status.ok()) return Fail(active_.segment->path, status);
  active_.segment->end.store(end + records.size(), std::memory_order_release);
  return status;
}

uint64_t SegmentWriter::room() const {
  const uint64_t end = active_.segment->end.load(std::memory_order_relaxed);
  return end < options_.segment_bytes ? options_.segment_bytes - end : 0;
}

Status SegmentWriter::MakeSpare() {
  const std::lock_guard lock(spare_mutex_);
  return MakeSpareLocked();
}

Status SegmentWriter::MakeSpareLocked() {
  if (spare_) return Status::Ok();
  const std::string path = options_.directory + "/" + std::string(kSpareName);
  Result<std::unique_ptr<WritableFile>> file = fs_.OpenAppend(path);
  if (!file.ok()) return file.status();
  // A crash during a roll may have left a header in it.
  Status status = (*file)->Truncate(0);
  if (status.ok()) status = fs_.Reserve(path, options_.segment_bytes);
  if (!status.ok()) {
    (void)fs_.Remove(path);
    return status;
  }
  spare_ = std::move(*file);
  return status;
}

bool SegmentWriter::has_spare() const {
  const std::lock_guard lock(spare_mutex_);
  return spare_ != nullptr;
}

Status SegmentWriter::Sync() {
  const std::lock_guard lock(sync_mutex_);
  std::vector<OpenFile> sealed;
  OpenFile active;
  bool directory = false;
  {
    const std::lock_guard files_lock(files_mutex_);
    sealed.swap(sealed_);
    active = active_;
    directory = std::exchange(directory_changed_, false);
  }
  Status status;
  for (const OpenFile& file : sealed) {
    if (status = SyncSealed(file); !status.ok()) return Fail(file.segment->path, status);
  }
  if (status = active.file->Sync(); !status.ok()) return Fail(active.segment->path, status);
  SLUICE_FAILPOINT("spool.after_sync");
  if (directory) status = fs_.SyncDirectory(options_.directory);
  return status.ok() ? status : Fail(options_.directory, status);
}

void SegmentWriter::ReleaseSealed() {
  std::vector<OpenFile> sealed;
  {
    const std::lock_guard lock(files_mutex_);
    sealed.swap(sealed_);
  }
  for (const OpenFile& file : sealed) (void)SyncSealed(file);
}

// One at a time is open here: a backlog may have more segments than a process may have files.
Status SegmentWriter::SyncSealed(OpenFile file) {
  if (!file.file) {
    Result<std::unique_ptr<WritableFile>> opened = fs_.OpenAppend(file.segment->path);
    if (!opened.ok()) return opened.status();
    file.file = *std::move(opened);
  }
  if (options_.sync != SpoolSync::kNone) {
    if (Status synced = file.file->Sync(); !synced.ok()) return synced;
  }
  (void)file.file->Truncate(file.segment->end.load(std::memory_order_acquire));
  return Status::Ok();
}

// Names the file, because the open file still goes by the name that the spare had.
Status SegmentWriter::Fail(const std::string& file, const Status& status) {
  const std::lock_guard lock(failure_mutex_);
  if (!failed()) {
    failure_ = Status(status.code(), file + ": " + status.message());
    LogError("spool_failed", {{"error", failure_.message()}});
    failed_.store(true, std::memory_order_relaxed);
  }
  return failure_;
}

Status SegmentWriter::failure() const {
  const std::lock_guard lock(failure_mutex_);
  return failure_;
}

uint64_t SegmentWriter::DiskBytes() const {
  uint64_t bytes = has_spare() ? options_.segment_bytes : 0;
  for (const auto& segment : segments_.All()) {
    const uint64_t end = segment->end.load(std::memory_order_acquire);
    bytes += segment->active() ? std::max(end, options_.segment_bytes) : end;
  }
  return bytes;
}

}  // namespace sluice
