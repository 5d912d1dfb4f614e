#include "ingest/spool/spool.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/failpoint.h"
#include "base/log.h"
#include "ingest/spool/format.h"
#include "ingest/spool/lanes.h"
#include "ingest/spool/progress.h"
#include "ingest/spool/recovery.h"
#include "ingest/spool/redelivery.h"
#include "ingest/spool/segment.h"
#include "ingest/spool/segment_writer.h"
#include "ingest/spool/tail.h"
#include "ingest/spool/watermark_file.h"

namespace sluice {
namespace {

constexpr uint64_t kSmallestSegment = 256;
constexpr uint64_t kSegmentsPerSpool = 4;  // at least: active, spare, one sealed, one to trim

uint64_t FirstWatermark(const RecoveredSpool& found) {
  if (found.watermark) return *found.watermark;
  return found.segments.empty() ? 0 : found.segments.front()->first_seq - 1;
}

}  // namespace

class Spool::Impl {
 public:
  Impl(const SpoolOptions& options, FileSystem& fs, Clock& clock, std::unique_ptr<FileLock> lock,
       const RecoveredSpool& found);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status Start(const RecoveredSpool& found);

  const std::string& id() const { return id_; }
  uint64_t watermark() const { return persisted_.load(std::memory_order_acquire); }
  void SkipCommitted(const std::vector<SeqRange>& committed);
  Result<uint64_t> Append(std::span<const SpoolMessage> messages);
  void OnReconnect(bool session_present);
  std::unique_ptr<Chunk> NextChunk(size_t max_records, size_t max_bytes,
                                   std::chrono::milliseconds linger);
  void Complete(const Chunk& chunk);
  void Stop() { tail_.Stop(); }
  void Maintain();
  Status Sync() { return writer_.Sync(); }
  Status failure() const { return writer_.failure(); }
  SpoolStats stats() const;

 private:
  enum class Reconnect { kNone, kSessionKept, kSessionLost };

  void ApplyReconnect();
  Status WriteBatch();
  void LeaveOut(const std::vector<SeqRange>& ranges);
  void RewindIfForgotten(const std::vector<SeqRange>& committed, uint64_t ledger_last);
  Status PersistWatermark();
  enum class Redeliveries { kKeep, kGiveUp };
  Status Trim(Redeliveries redeliveries);
  Status MakeSpare();
  Status RenewSpare();
  void SyncLoop(uint64_t synced);
  uint64_t BacklogBytes(uint64_t watermark, uint64_t tail) const;

  const SpoolOptions options_;
  FileSystem& fs_;
  Clock& clock_;
  const std::unique_ptr<FileLock> lock_;
  const Uuid uuid_;
  const std::string id_;
  const uint32_t key_;

  SegmentList segments_;
  Tail tail_;
  SegmentWriter writer_;
  Lanes reader_;
  WatermarkFile watermark_file_;

  // The appender's.
  RedeliveryMemory memory_;
  std::vector<char> batch_;  // records that are encoded and not written yet
  size_t batch_end_ = 0;
  uint64_t batch_first_ = 0;  // its first number
  uint64_t next_seq_ = 1;
  std::atomic<Reconnect> reconnect_{Reconnect::kNone};

  mutable std::mutex progress_mutex_;
  Progress progress_;
  uint64_t forgotten_held_ = 0;
  uint64_t forgotten_gone_ = 0;
  std::map<uint64_t, UnixMicros> outstanding_;  // first_seq of chunks at work → its receipt

  std::vector<SeqRange>
      gaps_;  // numbers left out on purpose; after the start, the control thread's
  std::atomic<uint64_t> persisted_;
  bool watermark_on_disk_;  // the control thread's: the file says what persisted_ says

  mutable std::mutex health_mutex_;
  bool full_ = false;
  std::string problem_;

  std::mutex stop_mutex_;
  std::condition_variable stop_changed_;
  bool stopping_ = false;
  std::thread sync_thread_;
};

Spool::Impl::Impl(const SpoolOptions& options, FileSystem& fs, Clock& clock,
                  std::unique_ptr<FileLock> lock, const RecoveredSpool& found)
    : options_(options),
      fs_(fs),
      clock_(clock),
      lock_(std::move(lock)),
      uuid_(found.uuid),
      id_(ToText(uuid_)),
      key_(RecordKey(uuid_)),
      writer_(options_, uuid_, fs, clock, segments_),
      reader_(fs, clock, segments_, tail_, uuid_, FirstWatermark(found) + 1,
              options_.live_first_after),
      watermark_file_(fs, options_.directory),
      memory_(options_.redelivery_window),
      progress_(FirstWatermark(found)),
      persisted_(FirstWatermark(found)),
      watermark_on_disk_(found.watermark.has_value()) {}

Spool::Impl::~Impl() {
  tail_.Stop();
  {
    const std::lock_guard lock(stop_mutex_);
    stopping_ = true;
  }
  stop_changed_.notify_all();
  if (sync_thread_.joinable()) sync_thread_.join();
  if (options_.sync != SpoolSync::kNone && !writer_.failed()) (void)writer_.Sync();
  (void)PersistWatermark();
}

Status Spool::Impl::Start(const RecoveredSpool& found) {
  for (const auto& segment : found.segments) segments_.Add(segment);
  const uint64_t watermark = persisted_;
  next_seq_ = std::max(found.last_seq, watermark) + 1;
  (void)watermark_file_.Reserve();  // a failure is for Maintain to tell
  gaps_ = found.gaps;
  if (found.segments.empty()) {
    if (Status made = writer_.Roll(next_seq_, next_seq_ - 1); !made.ok()) return made;
  } else {
    if (Status resumed = writer_.Resume(); !resumed.ok()) return resumed;
    if (watermark > found.last_seq) {
      LogWarning("spool_behind_watermark", {{"last", found.last_seq}, {"watermark", watermark}});
      gaps_.push_back({found.last_seq + 1, watermark});
    }
    // A segment of a time with larger ones could never be trimmed if it stayed the active one.
    const bool too_big = found.segments.back()->end > options_.segment_bytes;
    if (watermark > found.last_seq || too_big) {
      // A failure is remembered by the writer, and what is there can still be read.
      (void)writer_.Roll(next_seq_, found.last_seq);
    }
  }
  tail_.Publish(next_seq_ - 1);
  LeaveOut(gaps_);
  RecallDeliveries(fs_, found, options_.redelivery_window, &memory_);
  Maintain();
  if (options_.sync == SpoolSync::kInterval) {
    sync_thread_ = std::thread([this, synced = tail_.Load()] { SyncLoop(synced); });
  }
  const SpoolStats now = stats();
  LogInfo("spool_opened", {{"directory", options_.directory},
                           {"id", id_},
                           {"backlog_records", now.backlog_records},
                           {"next_seq", now.next_seq}});
  return Status::Ok();
}

void Spool::Impl::LeaveOut(const std::vector<SeqRange>& ranges) {
  reader_.Skip(ranges);
  const std::lock_guard lock(progress_mutex_);
  for (const SeqRange& range : ranges) progress_.Complete(range);
}

void Spool::Impl::SkipCommitted(const std::vector<SeqRange>& committed) {
  std::vector<SeqRange> ranges = committed;
  uint64_t ledger_last = 0;
  for (const SeqRange& range : ranges) ledger_last = std::max(ledger_last, range.last);
  if (ledger_last >= next_seq_) {
    LogWarning("spool_behind_ledger", {{"next_seq", next_seq_}, {"ledger_last", ledger_last}});
    (void)writer_.Roll(ledger_last + 1, next_seq_ - 1);  // a failure is for Append to return
    ranges.push_back({next_seq_, ledger_last});
    next_seq_ = ledger_last + 1;
    tail_.Publish(ledger_last);
  }
  RewindIfForgotten(committed, ledger_last);
  LeaveOut(ranges);
}

// The ledger keeps its rows for what is on disk, so what is on disk and not in the ledger is not in
// that database. The lower watermark is persisted at once: what is trimmed is gone for good.
void Spool::Impl::RewindIfForgotten(const std::vector<SeqRange>& committed, uint64_t ledger_last) {
  const uint64_t watermark = persisted_;
  const uint64_t lowered = std::min(watermark, segments_.Find(1)->first_seq - 1);
  std::vector<SeqRange> accounted = committed;
  accounted.insert(accounted.end(), gaps_.begin(), gaps_.end());
  Progress known(lowered);
  for (const SeqRange& range : accounted) {
    known.Complete({range.first, std::min(range.last, watermark)});
  }
  const uint64_t held = watermark - known.watermark() - known.done_beyond();
  if (held == 0 && ledger_last >= watermark) return;
  {
    const std::lock_guard lock(progress_mutex_);
    forgotten_gone_ = lowered > ledger_last ? lowered - ledger_last : 0;
    forgotten_held_ = held;
    progress_ = Progress(lowered);
  }
  reader_.Rewind(lowered + 1);
  LeaveOut(gaps_);
  watermark_on_disk_ = false;
  LogError("database_older_than_spool", {{"ledger_last", ledger_last},
                                         {"watermark", watermark},
                                         {"delivered_again", forgotten_held_},
                                         {"gone", forgotten_gone_}});
  if (Status written = PersistWatermark(); !written.ok()) {
    LogError("spool_watermark_failed", {{"reason", written.message()}});
  }
}

Result<uint64_t> Spool::Impl::Append(std::span<const SpoolMessage> messages) {
  if (writer_.failed()) return writer_.failure();
  for (const SpoolMessage& message : messages) {
    if (Status checked = CheckMessage(message); !checked.ok()) return checked;
  }
  ApplyReconnect();
  uint64_t duplicates = 0;
  batch_first_ = next_seq_;
  for (const SpoolMessage& message : messages) {
    const size_t size = RecordSize(message);
    if (batch_end_ > 0 && batch_end_ + size > writer_.room()) {
      if (Status written = WriteBatch(); !written.ok()) return written;
    }
    if (batch_.size() < batch_end_ + size) batch_.resize(batch_end_ + size);
    char* const record = batch_.data() + batch_end_;
    EncodeBody(message, record);
    const std::string_view body = std::string_view(record, size).substr(kRecordHeaderSize);
    const auto fingerprint = memory_.FingerprintOf(IdentityOf(body), message.packet_id);
    if (message.duplicate && memory_.Match(fingerprint)) {
      ++duplicates;
      continue;
    }
    EncodeHeader(next_seq_++, key_, record, size);
    memory_.Remember(fingerprint);
    batch_end_ += size;
  }
  if (batch_end_ > 0) {
    if (Status written = WriteBatch(); !written.ok()) return written;
  }
  return duplicates;
}

Status Spool::Impl::WriteBatch() {
  const std::string_view records(batch_.data(), std::exchange(batch_end_, 0));
  if (Status written = writer_.Append(records, batch_first_); !written.ok()) return written;
  batch_first_ = next_seq_;
  tail_.Publish(next_seq_ - 1);
  SLUICE_FAILPOINT("spool.after_append");
  return Status::Ok();
}

void Spool::Impl::OnReconnect(bool session_present) {
  if (!session_present) {
    reconnect_.store(Reconnect::kSessionLost, std::memory_order_release);
    return;
  }
  // A lost session that the appender has not heard of yet stays lost.
  Reconnect none = Reconnect::kNone;
  reconnect_.compare_exchange_strong(none, Reconnect::kSessionKept, std::memory_order_acq_rel);
}

void Spool::Impl::ApplyReconnect() {
  if (reconnect_.load(std::memory_order_relaxed) == Reconnect::kNone) return;
  if (reconnect_.exchange(Reconnect::kNone, std::memory_order_acq_rel) == Reconnect::kSessionLost) {
    memory_.Forget();
  } else {
    memory_.StartConnection();
  }
}

std::unique_ptr<Chunk> Spool::Impl::NextChunk(size_t max_records, size_t max_bytes,
                                              std::chrono::milliseconds linger) {
  std::unique_ptr<Chunk> chunk = reader_.Next(max_records, max_bytes, linger);
  if (chunk && !chunk->records.empty()) {
    const std::lock_guard lock(progress_mutex_);
    outstanding_.emplace(chunk->first_seq, chunk->records.front().received);
  }
  return chunk;
}

void Spool::Impl::Complete(const Chunk& chunk) {
  const std::lock_guard lock(progress_mutex_);
  progress_.Complete({chunk.first_seq, chunk.last_seq});
  outstanding_.erase(chunk.first_seq);
}

void Spool::Impl::Maintain() {
  Status worst;
  const auto note = [&worst](Status status) {
    if (!status.ok()) worst = std::move(status);
  };
  if (options_.sync == SpoolSync::kNone) {
    writer_.ReleaseSealed();
  } else if (!writer_.failed()) {
    note(writer_.Sync());
  }
  note(PersistWatermark());
  note(Trim(Redeliveries::kKeep));
  note(RenewSpare());
  if (writer_.failed()) note(writer_.failure());
  const std::lock_guard lock(health_mutex_);
  problem_ = worst.ok() ? "" : worst.message();
}

Status Spool::Impl::PersistWatermark() {
  uint64_t watermark = 0;
  {
    const std::lock_guard lock(progress_mutex_);
    watermark = progress_.watermark();
  }
  if (watermark_on_disk_ && watermark == persisted_) return Status::Ok();
  if (Status written = watermark_file_.Write({uuid_, watermark}); !written.ok()) return written;
  watermark_on_disk_ = true;
  persisted_.store(watermark, std::memory_order_release);
  return Status::Ok();
}

Status Spool::Impl::Trim(Redeliveries redeliveries) {
  if (!watermark_on_disk_) return Status::Ok();
  const std::vector<SegmentList::Pointer> segments = segments_.All();
  size_t removable = segments.size() - 1;
  if (redeliveries == Redeliveries::kKeep) {
    uint64_t records = 0;
    uint64_t bytes = 0;
    size_t kept_from = segments.size();
    while (kept_from > 0 && records < options_.redelivery_window &&
           bytes < options_.max_bytes / kSegmentsPerSpool) {
      const Segment& segment = *segments[--kept_from];
      records += std::min(segment.last_seq.load(), tail_.Load()) + 1 - segment.first_seq;
      bytes += segment.end.load(std::memory_order_acquire);
    }
    removable = std::min(removable, kept_from);
  }
  size_t removed = 0;
  Status status;
  while (removed < removable && segments[removed]->last_seq.load() <= persisted_) {
    SLUICE_FAILPOINT("spool.before_unlink");
    status = fs_.Remove(segments[removed]->path);
    if (!status.ok() && status.code() != ErrorCode::kNotFound) break;
    status = Status::Ok();
    ++removed;
  }
  // The ledger forgets what is not in the list: it must not come back with a power cut.
  if (removed > 0) {
    if (Status synced = fs_.SyncDirectory(options_.directory); !synced.ok()) return synced;
  }
  for (; removed > 0; --removed) segments_.RemoveFirst();
  return status;
}

Status Spool::Impl::MakeSpare() {
  if (writer_.has_spare()) return Status::Ok();
  if (writer_.DiskBytes() + writer_.segment_bytes() <= options_.max_bytes) {
    return writer_.MakeSpare();
  }
  return {ErrorCode::kNoSpace,
          "the spool has reached its limit of " + std::to_string(options_.max_bytes) + " bytes"};
}

// Also decides whether the spool is full.
Status Spool::Impl::RenewSpare() {
  Status status = MakeSpare();
  if (!status.ok() && Trim(Redeliveries::kGiveUp).ok()) status = MakeSpare();
  const uint64_t bytes = writer_.DiskBytes();
  const std::lock_guard lock(health_mutex_);
  const bool was_full = full_;
  if (!status.ok() || bytes > options_.max_bytes) full_ = true;
  if (status.ok() && bytes < options_.max_bytes / 10 * 9) full_ = false;
  if (full_ && status.ok()) {
    status = {ErrorCode::kNoSpace, "the spool is waiting to fall below 90 % of its limit of " +
                                       std::to_string(options_.max_bytes) + " bytes"};
  }
  if (full_ && !was_full) LogWarning("spool_full", {{"reason", status.message()}});
  if (!full_ && was_full) LogInfo("spool_no_longer_full", {{"bytes", bytes}});
  return status;
}

void Spool::Impl::SyncLoop(uint64_t synced) {
  std::unique_lock lock(stop_mutex_);
  while (!stop_changed_.wait_for(lock, options_.sync_interval, [this] { return stopping_; })) {
    const uint64_t tail = tail_.Load();
    if (tail == synced || writer_.failed()) continue;
    lock.unlock();
    if (writer_.Sync().ok()) synced = tail;
    lock.lock();
  }
}

SpoolStats Spool::Impl::stats() const {
  SpoolStats stats;
  std::optional<UnixMicros> oldest;
  uint64_t watermark = 0;
  uint64_t done_beyond = 0;
  {
    const std::lock_guard lock(progress_mutex_);
    watermark = progress_.watermark();
    done_beyond = progress_.done_beyond();
    stats.forgotten_held = forgotten_held_;
    stats.forgotten_gone = forgotten_gone_;
    if (!outstanding_.empty()) oldest = outstanding_.begin()->second;
  }
  const uint64_t tail = tail_.Load();
  stats.first_uncommitted = watermark + 1;
  stats.next_seq = tail + 1;
  stats.backlog_records = tail - watermark - done_beyond;
  stats.backlog_bytes = BacklogBytes(watermark, tail);
  stats.disk_bytes = writer_.DiskBytes();
  stats.max_bytes = options_.max_bytes;
  stats.first_on_disk = segments_.Find(1)->first_seq;
  stats.damaged_records = reader_.damaged_records();
  stats.behind_records = reader_.backlog();
  if (!oldest) oldest = reader_.OldestReceived();
  if (oldest) stats.oldest_age_us = AgeOf(*oldest, clock_.Now());
  const std::lock_guard lock(health_mutex_);
  stats.full = full_;
  stats.problem = problem_.empty() ? reader_.problem() : problem_;
  return stats;
}

uint64_t Spool::Impl::BacklogBytes(uint64_t watermark, uint64_t tail) const {
  uint64_t bytes = 0;
  for (const auto& segment : segments_.All()) {
    const uint64_t last = std::min(segment->last_seq.load(), tail);
    const uint64_t end = segment->end.load(std::memory_order_acquire);
    if (last < segment->first_seq || last <= watermark || end < kSegmentHeaderSize) continue;
    const uint64_t records = last + 1 - segment->first_seq;
    const uint64_t open = last - std::max(watermark, segment->first_seq - 1);
    const double share = static_cast<double>(open) / static_cast<double>(records);
    bytes += static_cast<uint64_t>(share * static_cast<double>(end - kSegmentHeaderSize));
  }
  return bytes;
}

Spool::Spool(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Spool::~Spool() = default;

Result<std::unique_ptr<Spool>> Spool::Open(const SpoolOptions& options, FileSystem& fs,
                                           Clock& clock) {
  SpoolOptions own = options;
  own.segment_bytes = std::min(options.segment_bytes, options.max_bytes / kSegmentsPerSpool);
  if (own.directory.empty() || own.segment_bytes < kSmallestSegment) {
    return Status(ErrorCode::kInvalidArgument, "the spool needs a directory and a sensible size");
  }
  if (Status made = fs.CreateDirectories(own.directory); !made.ok()) return made;
  Result<std::unique_ptr<FileLock>> lock = fs.Lock(own.directory + "/" + std::string(kLockName));
  if (!lock.ok()) return lock.status();
  const Result<RecoveredSpool> found = RecoverSpool(fs, own.directory);
  if (!found.ok()) return found.status();
  auto impl = std::make_unique<Impl>(own, fs, clock, std::move(*lock), *found);
  if (Status started = impl->Start(*found); !started.ok()) return started;
  return std::unique_ptr<Spool>(new Spool(std::move(impl)));
}

const std::string& Spool::id() const {
  return impl_->id();
}
uint64_t Spool::watermark() const {
  return impl_->watermark();
}
void Spool::SkipCommitted(const std::vector<SeqRange>& c) {
  impl_->SkipCommitted(c);
}
Result<uint64_t> Spool::Append(std::span<const SpoolMessage> messages) {
  return impl_->Append(messages);
}
void Spool::OnReconnect(bool session_present) {
  impl_->OnReconnect(session_present);
}
std::unique_ptr<Chunk> Spool::NextChunk(size_t max_records, size_t max_bytes,
                                        std::chrono::milliseconds linger) {
  return impl_->NextChunk(max_records, max_bytes, linger);
}
void Spool::Complete(const Chunk& chunk) {
  impl_->Complete(chunk);
}
void Spool::Stop() {
  impl_->Stop();
}
void Spool::Maintain() {
  impl_->Maintain();
}
Status Spool::Sync() {
  return impl_->Sync();
}
Status Spool::failure() const {
  return impl_->failure();
}
SpoolStats Spool::stats() const {
  return impl_->stats();
}

}  // namespace sluice
