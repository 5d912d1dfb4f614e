// SegmentWriter: appends records to the active segment, rolls to the spare, syncs.
//
// Threads: Append and Roll by the appender; MakeSpare and ReleaseSealed by the control thread; Sync
// by any. The first failed write or sync is remembered: everything fails from then on, because the
// caller must not acknowledge another message.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/status.h"
#include "ingest/spool/format.h"
#include "ingest/spool/segment.h"

namespace sluice {

class SegmentWriter {
 public:
  // `options.segment_bytes` is what a segment gets reserved.
  SegmentWriter(const SpoolOptions& options, const Uuid& spool, FileSystem& fs, Clock& clock,
                SegmentList& segments);

  // Goes on in the last of the segments that the list holds. The others are synced and cut to size
  // with the next Sync, as the process that sealed them may not have come to it.
  Status Resume();
  // Seals the active segment, whose last number is `last_seq`, and starts one with `first_seq`.
  Status Roll(uint64_t first_seq, uint64_t last_seq);
  // Writes whole records, of which the first has the number `first_seq`, after a roll if they would
  // not fit, and syncs them in mode kAlways. The caller publishes them.
  Status Append(std::string_view records, uint64_t first_seq);
  // How many bytes the active segment still takes. By the appender.
  uint64_t room() const;

  // Ok when there is one already.
  Status MakeSpare();
  bool has_spare() const;

  Status Sync();
  // Without SpoolSync, nothing else gives back what sealed segments did not use.
  void ReleaseSealed();
  bool failed() const { return failed_.load(std::memory_order_relaxed); }
  Status failure() const;

  // Disk space that the segments take, and the spare.
  uint64_t DiskBytes() const;
  uint64_t segment_bytes() const { return options_.segment_bytes; }

 private:
  struct OpenFile {
    std::shared_ptr<WritableFile> file;  // null for a segment that an earlier process sealed
    std::shared_ptr<Segment> segment;
  };

  Status Fail(const std::string& file, const Status& status);
  Status SyncSealed(OpenFile file);
  Status RollTo(uint64_t first_seq, uint64_t last_seq);
  Status MakeSpareLocked();
  void Activate(OpenFile next, uint64_t last_seq);

  const SpoolOptions options_;
  const Uuid spool_;
  FileSystem& fs_;
  Clock& clock_;
  SegmentList& segments_;

  OpenFile active_;  // changed by the appender with files_mutex_ held, read by it without

  mutable std::mutex spare_mutex_;
  std::unique_ptr<WritableFile> spare_;

  std::mutex sync_mutex_;  // one sync at a time
  std::mutex files_mutex_;
  std::vector<OpenFile> sealed_;  // not yet synced and cut to size
  bool directory_changed_ = true;

  std::atomic<bool> failed_{false};
  mutable std::mutex failure_mutex_;
  Status failure_;
};

}  // namespace sluice
