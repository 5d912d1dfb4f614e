#include "ingest/spool/chunk_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/log.h"

namespace sluice {
namespace {

constexpr std::chrono::milliseconds kRetryReading{200};

}  // namespace

ChunkReader::ChunkReader(FileSystem& fs, Clock& clock, const SegmentList& segments, Tail& tail,
                         const Uuid& spool, uint64_t first)
    : fs_(fs),
      clock_(clock),
      segments_(segments),
      tail_(tail),
      key_(RecordKey(spool)),
      cursor_(first),
      reader_(key_) {
  bookmark_.seq = first;
}

void ChunkReader::Skip(std::vector<SeqRange> ranges) {
  const std::lock_guard lock(mutex_);
  skip_.insert(skip_.end(), ranges.begin(), ranges.end());
  std::sort(skip_.begin(), skip_.end(),
            [](const SeqRange& a, const SeqRange& b) { return a.first < b.first; });
  PassSkipped();
  const std::lock_guard bookmark_lock(bookmark_mutex_);
  bookmark_.seq = cursor_;
}

void ChunkReader::Rewind(uint64_t first) {
  const std::lock_guard lock(mutex_);
  cursor_ = first;
  next_skip_ = 0;
  PassSkipped();
  const std::lock_guard bookmark_lock(bookmark_mutex_);
  bookmark_.seq = cursor_;
}

void ChunkReader::PassSkipped() {
  for (; next_skip_ < skip_.size() && skip_[next_skip_].first <= cursor_; ++next_skip_) {
    cursor_ = std::max(cursor(), skip_[next_skip_].last + 1);
  }
}

uint64_t ChunkReader::SkipLimit() const {
  return next_skip_ < skip_.size() ? skip_[next_skip_].first - 1 : Segment::kActive;
}

std::unique_ptr<Chunk> ChunkReader::Next(size_t max_records, size_t max_bytes,
                                         std::chrono::milliseconds linger) {
  const std::lock_guard lock(mutex_);
  for (;;) {
    if (!tail_.Wait(cursor_)) return nullptr;
    Draft draft;
    draft.max_records = std::max<size_t>(max_records, 1);
    draft.max_bytes = max_bytes;
    draft.expected = cursor_;
    const Position position = Locate(&draft);
    if (position == Position::kMissing) return Finish(std::move(draft));
    if (position == Position::kReady) {
      Filled filled = Fill(&draft);
      if (filled == Filled::kMayGrow) {
        if (!Linger(&draft, linger)) return nullptr;
        filled = Filled::kComplete;
      }
      if (filled == Filled::kComplete) return Finish(std::move(draft));
    }
    const auto retry = std::chrono::steady_clock::now() + kRetryReading;
    if (!tail_.WaitUntil(kMaxSeq + 1, retry)) return nullptr;
  }
}

// Opens the segment that holds the cursor. When it is missing, the draft covers what is missing.
ChunkReader::Position ChunkReader::Locate(Draft* draft) {
  std::shared_ptr<const Segment> segment = segments_.Find(cursor_);
  draft->segment = segment;
  if (segment == segment_) return Position::kReady;
  if (segment->first_seq > cursor_) {
    LogError("spool_segment_missing",
             {{"before", segment->path}, {"first", cursor()}, {"last", segment->first_seq - 1}});
    CountMissing(draft, std::min(segment->first_seq - 1, SkipLimit()));
    return Position::kMissing;
  }
  // Before the file is opened, so that a segment sealed meanwhile is not taken for a lost one.
  const uint64_t tail = tail_.Load();
  Result<std::unique_ptr<ReadableFile>> file = fs_.OpenRead(segment->path);
  if (!file.ok() && file.code() != ErrorCode::kNotFound) {
    SetProblem(file.message());
    return Position::kFailed;
  }
  if (!file.ok()) {
    LogError("spool_segment_missing", {{"file", segment->path}});
    CountMissing(draft, std::min({segment->last_seq.load(), tail, SkipLimit()}));
    return Position::kMissing;
  }
  reader_.Open(std::move(*file), kSegmentHeaderSize);
  segment_ = std::move(segment);
  return Position::kReady;
}

ChunkReader::Filled ChunkReader::Fill(Draft* draft) {
  // In this order: everything up to `tail` lies before `end`, unless the segment is sealed.
  const uint64_t tail = tail_.Load();
  const uint64_t last = segment_->last_seq.load(std::memory_order_acquire);
  const uint64_t end = segment_->end.load(std::memory_order_acquire);
  const uint64_t stop = std::min({tail, last, SkipLimit()});
  while (draft->expected <= stop && draft->found.size() < draft->max_records) {
    if (draft->found.empty()) reader_.DropBefore();
    RecordReader::Step step = reader_.Peek(end);
    const bool whole = step != RecordReader::Step::kGarbage;
    if (!whole) {
      // The search drops what was read, so what was found before is handed out first.
      if (!draft->found.empty()) return Filled::kComplete;
      step = reader_.FindRecord(end);
      if (step == RecordReader::Step::kRecord) continue;
    }
    if (step == RecordReader::Step::kFailed) {
      SetProblem(reader_.failure().message());
      return draft->found.empty() ? Filled::kFailed : Filled::kComplete;
    }
    if (step == RecordReader::Step::kEnd || reader_.header().seq > stop) {
      if (whole && step == RecordReader::Step::kEnd) SayMissing(*draft, reader_.header().seq + 1);
      CountMissing(draft, stop);
    } else if (!TakeRecord(draft)) {
      return Filled::kComplete;
    }
  }
  const bool may_grow = draft->expected > stop && stop == tail && tail < last;
  return may_grow && draft->found.size() < draft->max_records ? Filled::kMayGrow
                                                              : Filled::kComplete;
}

// False when the record would make the chunk too big.
bool ChunkReader::TakeRecord(Draft* draft) {
  const uint64_t seq = reader_.header().seq;
  if (seq >= draft->expected) {
    const size_t size = reader_.record_size();
    if (!draft->found.empty() && draft->bytes + size > draft->max_bytes) return false;
    CountMissing(draft, seq - 1);
    draft->expected = seq + 1;
    draft->bytes += size;
    if (reader_.body_intact()) {
      if (draft->found.empty()) {
        SpoolRecord first;
        DecodeBody(reader_.body(), &first);
        draft->first_received = first.received;
      }
      draft->found.push_back({seq, reader_.body_position(), reader_.header().body_size});
    } else {
      ++draft->damaged;
    }
  }
  reader_.Skip();
  return true;
}

void ChunkReader::CountMissing(Draft* draft, uint64_t last) const {
  if (last < draft->expected) return;
  draft->damaged += last + 1 - draft->expected;
  draft->expected = last + 1;
}

// A segment whose records are whole to the end, and yet the next one on disk begins too late.
void ChunkReader::SayMissing(const Draft& draft, uint64_t first) const {
  const std::string& after = draft.segment->path;
  const std::string directory = after.substr(0, after.rfind('/') + 1);
  LogError("spool_segment_missing",
           {{"file", directory + SegmentName(first)}, {"after", after}, {"first", first}});
}

// Until the chunk is complete or `linger` has passed since its first record was received. False
// after Stop.
bool ChunkReader::Linger(Draft* draft, std::chrono::milliseconds linger) {
  if (draft->found.empty()) return true;
  // The wall clock may have jumped: never longer than `linger`, whatever it says.
  const std::chrono::microseconds whole = linger;
  const std::chrono::microseconds age(
      std::min<int64_t>(AgeOf(draft->first_received, clock_.Now()), whole.count()));
  const auto deadline = std::chrono::steady_clock::now() + (whole - age);
  while (std::chrono::steady_clock::now() < deadline) {
    const uint64_t missing = draft->max_records - draft->found.size();
    if (!tail_.WaitUntil(draft->expected + missing - 1, deadline)) return false;
    if (Fill(draft) != Filled::kMayGrow) break;
  }
  return true;
}

std::unique_ptr<Chunk> ChunkReader::Finish(Draft draft) {
  auto chunk = std::make_unique<Chunk>();
  chunk->first_seq = cursor_;
  chunk->last_seq = draft.expected - 1;
  chunk->damaged = draft.damaged;
  if (!draft.found.empty()) chunk->buffer = reader_.TakeBuffer();
  chunk->records.reserve(draft.found.size());
  const std::string_view bytes = chunk->buffer;
  for (const Draft::Found& found : draft.found) {
    SpoolRecord& record = chunk->records.emplace_back();
    record.seq = found.seq;
    DecodeBody(bytes.substr(found.body, found.size), &record);
  }
  if (draft.damaged > 0) {
    damaged_.fetch_add(draft.damaged, std::memory_order_relaxed);
    LogError("spool_records_damaged", {{"count", draft.damaged},
                                       {"between", chunk->first_seq},
                                       {"and", chunk->last_seq},
                                       {"file", draft.segment->path}});
  }
  cursor_ = draft.expected;
  PassSkipped();
  const std::lock_guard lock(bookmark_mutex_);
  bookmark_ = {segment_, reader_.offset(), cursor_};
  problem_.clear();
  return chunk;
}

std::optional<UnixMicros> ChunkReader::OldestReceived() const {
  Bookmark at;
  {
    const std::lock_guard lock(bookmark_mutex_);
    at = bookmark_;
  }
  const uint64_t tail = tail_.Load();
  if (tail < at.seq) return std::nullopt;
  const std::shared_ptr<const Segment> segment = segments_.Find(at.seq);
  const uint64_t offset = segment == at.segment ? at.offset : kSegmentHeaderSize;
  const Result<std::unique_ptr<ReadableFile>> file = fs_.OpenRead(segment->path);
  if (!file.ok()) return std::nullopt;
  std::array<char, kRecordHeaderSize + sizeof(UnixMicros)> bytes{};
  const Result<size_t> got = (*file)->ReadAt(offset, bytes.data(), bytes.size());
  if (!got.ok() || *got < bytes.size()) return std::nullopt;
  const std::optional<RecordHeader> header = ParseRecordHeader(bytes.data(), key_);
  if (!header || header->seq < at.seq) return std::nullopt;
  return ReceivedOf(bytes.data() + kRecordHeaderSize);
}

std::string ChunkReader::problem() const {
  const std::lock_guard lock(bookmark_mutex_);
  return problem_;
}

void ChunkReader::SetProblem(const std::string& problem) {
  const std::lock_guard lock(bookmark_mutex_);
  if (problem_ != problem) LogError("spool_unreadable", {{"error", problem}});
  problem_ = problem;
}

}  // namespace sluice
