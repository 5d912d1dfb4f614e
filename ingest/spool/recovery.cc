#include "ingest/spool/recovery.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/log.h"
#include "ingest/spool/record_reader.h"
#include "ingest/spool/watermark_file.h"

namespace sluice {
namespace {

struct Candidate {
  std::string name;
  uint64_t first_seq = 0;
  uint64_t size = 0;
  std::optional<SegmentHeader> header;  // nothing when it is damaged
  std::string unusable;                 // why it is none of ours, when that is clear
};

class Recovery {
 public:
  Recovery(FileSystem& fs, const std::string& directory) : fs_(fs), directory_(directory) {}

  Result<RecoveredSpool> Run();

 private:
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  // These two only read, so that a spool of a later version is left as it is.
  Status Inspect(const std::string& name, uint64_t first_seq);
  Status ReadWatermark(std::optional<Watermark>* watermark, std::string* damage);
  void ChooseUuid(const std::optional<Watermark>& watermark);
  Status DropStrangers();
  Result<bool> HoldsRecords(const Candidate& candidate);
  void BuildSegments();
  Status CutTail();
  Status SetAside(const std::string& name, std::string_view reason);

  FileSystem& fs_;
  const std::string& directory_;
  std::vector<std::string> names_;
  std::vector<Candidate> candidates_;
  RecoveredSpool found_;
};

Result<RecoveredSpool> Recovery::Run() {
  Result<std::vector<std::string>> names = fs_.List(directory_);
  if (!names.ok()) return names.status();
  names_ = *std::move(names);
  std::sort(names_.begin(), names_.end());
  for (const std::string& name : names_) {
    const std::optional<uint64_t> first_seq = ParseSegmentName(name);
    if (!first_seq) continue;
    if (Status status = Inspect(name, *first_seq); !status.ok()) return status;
  }
  std::optional<Watermark> watermark;
  std::string damage;
  if (Status status = ReadWatermark(&watermark, &damage); !status.ok()) return status;

  if (std::binary_search(names_.begin(), names_.end(), kWatermarkTemporaryName)) {
    (void)fs_.Remove(Path(std::string(kWatermarkTemporaryName)));
  }
  if (!damage.empty()) {
    const Status aside = SetAside(std::string(kWatermarkName), damage);
    if (!aside.ok()) return aside;
  }
  ChooseUuid(watermark);
  if (Status status = DropStrangers(); !status.ok()) return status;
  if (candidates_.empty()) {
    if (found_.watermark) LogWarning("spool_recreated", {{"reason", "no usable segment"}});
    RecoveredSpool fresh;
    fresh.uuid = RandomUuid();
    return fresh;
  }
  BuildSegments();
  if (!found_.watermark) {
    LogWarning("spool_watermark_missing", {{"file", Path(std::string(kWatermarkName))},
                                           {"starting_at", candidates_.front().first_seq}});
  }
  if (Status cut = CutTail(); !cut.ok()) return cut;
  return std::move(found_);
}

Status Recovery::Inspect(const std::string& name, uint64_t first_seq) {
  Result<std::unique_ptr<ReadableFile>> file = fs_.OpenRead(Path(name));
  if (!file.ok()) return file.status();
  const Result<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  std::string bytes(kSegmentHeaderSize, '\0');
  const Result<size_t> got = (*file)->ReadAt(0, bytes.data(), bytes.size());
  bytes.resize(got.ok() ? *got : 0);

  Candidate candidate{name, first_seq, *size, std::nullopt, ""};
  const Result<SegmentHeader> header = ParseSegmentHeader(bytes);
  if (*size == 0) {
    candidate.unusable = "empty";
  } else if (header.ok() && header->first_seq != first_seq) {
    candidate.unusable = "name and header disagree";
  } else if (header.ok()) {
    candidate.header = *header;
  } else if (header.code() != ErrorCode::kCorrupt) {
    return {header.code(), Path(name) + " " + header.message()};
  }
  candidates_.push_back(std::move(candidate));
  return Status::Ok();
}

Status Recovery::ReadWatermark(std::optional<Watermark>* watermark, std::string* damage) {
  const Result<Watermark> read = WatermarkFile(fs_, directory_).Read();
  if (read.ok()) {
    *watermark = *read;
    return Status::Ok();
  }
  if (read.code() == ErrorCode::kNotFound) return Status::Ok();
  if (read.code() == ErrorCode::kInvalidArgument) {
    return {read.code(), Path(std::string(kWatermarkName)) + " " + read.message()};
  }
  if (read.code() != ErrorCode::kCorrupt) return read.status();
  *damage = read.message();
  return Status::Ok();
}

void Recovery::ChooseUuid(const std::optional<Watermark>& watermark) {
  std::map<Uuid, size_t> votes;
  for (const Candidate& candidate : candidates_) {
    if (candidate.header) ++votes[candidate.header->spool];
  }
  if (watermark && (votes.contains(watermark->spool) || votes.empty())) {
    found_.uuid = watermark->spool;
    found_.watermark = watermark->seq;
    return;
  }
  const auto most = std::max_element(
      votes.begin(), votes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most != votes.end()) found_.uuid = most->first;
}

Status Recovery::DropStrangers() {
  std::vector<Candidate> own;
  for (Candidate& candidate : candidates_) {
    Status aside;
    if (!candidate.unusable.empty()) {
      aside = SetAside(candidate.name, candidate.unusable);
    } else if (candidate.header && candidate.header->spool != found_.uuid) {
      aside = SetAside(candidate.name, "of another spool");
    } else if (candidate.header) {
      own.push_back(std::move(candidate));
    } else {
      const Result<bool> holds = HoldsRecords(candidate);
      if (!holds.ok()) return holds.status();
      if (*holds) {
        LogWarning("spool_segment_header_damaged", {{"file", candidate.name}});
        own.push_back(std::move(candidate));
      } else {
        aside = SetAside(candidate.name, "holds no header and no record of this spool");
      }
    }
    if (!aside.ok()) return aside;
  }
  candidates_ = std::move(own);
  return Status::Ok();
}

Result<bool> Recovery::HoldsRecords(const Candidate& candidate) {
  Result<std::unique_ptr<ReadableFile>> file = fs_.OpenRead(Path(candidate.name));
  if (!file.ok()) return file.status();
  RecordReader reader(RecordKey(found_.uuid));
  reader.Open(std::move(*file), kSegmentHeaderSize);
  RecordReader::Step step = reader.Peek(candidate.size);
  if (step == RecordReader::Step::kGarbage) step = reader.FindRecord(candidate.size);
  if (step == RecordReader::Step::kFailed) return reader.failure();
  return step == RecordReader::Step::kRecord;
}

void Recovery::BuildSegments() {
  for (const Candidate& candidate : candidates_) {
    const uint64_t first = candidate.first_seq;
    const uint64_t previous = candidate.header ? candidate.header->previous_last_seq : first - 1;
    if (previous + 1 < first) found_.gaps.push_back({previous + 1, first - 1});
    if (!found_.segments.empty()) {
      Segment& before = *found_.segments.back();
      before.last_seq = std::max(previous, before.first_seq - 1);
    }
    found_.segments.push_back(std::make_shared<Segment>(Path(candidate.name), first));
    found_.segments.back()->end = candidate.size;
  }
}

// The reader of the last segment stands behind its last whole record.
bool IsDamage(std::string_view rest, uint32_t key) {
  if (rest.size() < kRecordHeaderSize || ParseRecordHeader(rest.data(), key)) return false;
  return rest.find_first_not_of('\0') != std::string_view::npos;
}

Status Recovery::CutTail() {
  Segment& last = *found_.segments.back();
  Result<std::unique_ptr<ReadableFile>> file = fs_.OpenRead(last.path);
  if (!file.ok()) return file.status();
  const uint32_t key = RecordKey(found_.uuid);
  RecordReader reader(key);
  reader.Open(std::move(*file), kSegmentHeaderSize);

  const uint64_t size = last.end;
  uint64_t whole = std::min<uint64_t>(size, kSegmentHeaderSize);
  bool damage = false;
  found_.last_seq = last.first_seq - 1;
  for (;;) {
    RecordReader::Step step = reader.Peek(size);
    if (step == RecordReader::Step::kGarbage) {
      damage = IsDamage(reader.rest(), key);
      step = reader.FindRecord(size);
    } else if (step == RecordReader::Step::kRecord) {
      found_.last_seq = std::max(found_.last_seq, reader.header().seq);
      reader.Skip();
      reader.DropBefore();
      whole = reader.offset();
      damage = false;
    }
    if (step == RecordReader::Step::kFailed) return reader.failure();
    if (step == RecordReader::Step::kEnd) break;
  }
  if (damage) ++found_.last_seq;
  last.end = whole;
  if (whole == size) return Status::Ok();

  LogWarning("spool_tail_dropped",
             {{"file", last.path}, {"bytes", size - whole}, {"damaged_records", damage ? 1 : 0}});
  Result<std::unique_ptr<WritableFile>> writable = fs_.OpenAppend(last.path);
  if (!writable.ok()) return writable.status();
  return (*writable)->Truncate(whole);
}

Status Recovery::SetAside(const std::string& name, std::string_view reason) {
  std::string aside = name + std::string(kUnreadableSuffix);
  for (int i = 1; std::binary_search(names_.begin(), names_.end(), aside); ++i) {
    aside = name + "." + std::to_string(i) + std::string(kUnreadableSuffix);
  }
  if (Status renamed = fs_.Rename(Path(name), Path(aside)); !renamed.ok()) return renamed;
  LogError("spool_file_set_aside", {{"file", name}, {"reason", reason}, {"renamed_to", aside}});
  names_.insert(std::upper_bound(names_.begin(), names_.end(), aside), aside);

  Result<std::unique_ptr<ReadableFile>> readable = fs_.OpenRead(Path(aside));
  if (!readable.ok()) return readable.status();
  const Result<uint64_t> size = (*readable)->Size();
  if (!size.ok()) return size.status();
  Result<std::unique_ptr<WritableFile>> writable = fs_.OpenAppend(Path(aside));
  if (!writable.ok()) return writable.status();
  return (*writable)->Truncate(*size);  // gives back what was reserved beyond the end
}

}  // namespace

Result<RecoveredSpool> RecoverSpool(FileSystem& fs, const std::string& directory) {
  return Recovery(fs, directory).Run();
}

void RecallDeliveries(FileSystem& fs, const RecoveredSpool& spool, uint64_t window,
                      RedeliveryMemory* memory) {
  const auto& segments = spool.segments;
  size_t from = segments.size();
  uint64_t records = 0;
  for (; from > 0 && records < window; --from) {
    const Segment& segment = *segments[from - 1];
    const uint64_t last = segment.active() ? spool.last_seq : segment.last_seq.load();
    records += last + 1 - segment.first_seq;
  }
  uint64_t too_old = records - std::min(records, window);
  for (; from < segments.size(); ++from) {
    Result<std::unique_ptr<ReadableFile>> file = fs.OpenRead(segments[from]->path);
    if (!file.ok()) continue;
    RecordReader reader(RecordKey(spool.uuid));
    reader.Open(std::move(*file), kSegmentHeaderSize);
    const uint64_t end = segments[from]->end;
    for (;;) {
      RecordReader::Step step = reader.Peek(end);
      if (step == RecordReader::Step::kRecord) {
        if (too_old > 0) {
          --too_old;
        } else if (reader.body_intact()) {
          memory->Remember(
              memory->FingerprintOf(IdentityOf(reader.body()), PacketIdOf(reader.body())));
        }
        reader.Skip();
        reader.DropBefore();
      } else if (step == RecordReader::Step::kGarbage) {
        step = reader.FindRecord(end);
      }
      if (step == RecordReader::Step::kEnd || step == RecordReader::Step::kFailed) break;
    }
  }
  memory->StartConnection();
}

}  // namespace sluice
