// Spool: the log on disk between the broker and PostgreSQL. A message is in it before the broker
// gets its PUBACK, and stays until a transaction that accounts for it has committed.
// docs/spool-format.md describes the bytes.
//
// Threads: Append by one thread (the broker connection's); NextChunk by any number of workers;
// Complete by any thread; Maintain by one thread (the application's control thread); the rest by
// any.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/status.h"

namespace sluice {

enum class SpoolSync {
  kNone,      // never synced: for tests
  kInterval,  // synced in the background every sync_interval: a power cut takes at most that
  kAlways,    // synced before Append returns: a power cut takes nothing
};

struct SpoolOptions {
  std::string directory;
  uint64_t max_bytes = 0;  // SPOOL_MAX_BYTES: high-water mark of all segments together
  // A segment is sealed before it would grow beyond this, or beyond a quarter of max_bytes.
  uint64_t segment_bytes = 64 << 20;
  SpoolSync sync = SpoolSync::kInterval;
  std::chrono::milliseconds sync_interval{100};
  // How many of the last appended records are remembered, 40 bytes each, and kept on disk even when
  // committed (no more than a quarter of max_bytes), to recognise what the broker sends again. Not
  // the receive maximum: docs/spool-format.md says why it must be far more.
  uint64_t redelivery_window = 250'000;
  // When what is handed out is older than this, what arrives from then on is handed out first and
  // the backlog beside it, see ingest/spool/lanes.h; 0: always the oldest first.
  std::chrono::microseconds live_first_after{0};
};

// A message as the broker connection appends it. Views need to live only during Append.
struct SpoolMessage {
  std::string_view topic;  // ≤ 65535 bytes
  std::string_view payload;
  std::string_view stamp;  // value of the user property sluice-stamp, or empty; ≤ 65535 bytes
  UnixMicros received = 0;
  bool duplicate = false;  // the broker's DUP flag
  uint16_t packet_id = 0;  // the broker's
};

// A record read back. Views point into the chunk's buffer.
struct SpoolRecord {
  uint64_t seq = 0;  // 1, 2, 3 … for the life of the spool
  UnixMicros received = 0;
  std::string_view topic;
  std::string_view payload;
  std::string_view stamp;
};

// A contiguous run [first_seq, last_seq] of the log, minus `damaged` records inside it that could
// not be read back (counted and logged by the reader). It never reaches over what the ledger
// already holds. `records` may be empty when all of them are damaged; the chunk is committed all
// the same.
struct Chunk {
  uint64_t first_seq = 0;
  uint64_t last_seq = 0;
  // Chunks of one lane come in the order of their arrival. A chunk that is `behind` is of a backlog
  // while live traffic has a lane of its own.
  uint64_t lane = 0;
  bool behind = false;
  uint64_t damaged = 0;
  std::vector<SpoolRecord> records;
  std::string buffer;
};

// Inclusive; what a ledger row says is committed.
struct SeqRange {
  uint64_t first = 0;
  uint64_t last = 0;
};

struct SpoolStats {
  uint64_t first_uncommitted = 0;  // seq of the oldest record not completed
  uint64_t next_seq = 0;           // seq the next record gets
  uint64_t first_on_disk = 0;      // ledger rows that end before it are no longer needed
  uint64_t backlog_records = 0;    // appended and not completed
  uint64_t backlog_bytes = 0;      // on disk in them; estimated within the oldest segment
  uint64_t disk_bytes = 0;         // of all segments, and the reserve
  uint64_t max_bytes = 0;          // as the options say
  int64_t oldest_age_us = 0;       // age of the oldest record not completed; 0 when there is none
  uint64_t damaged_records = 0;    // since the spool was opened
  uint64_t behind_records = 0;     // not handed out yet while live traffic has a lane of its own
  // Completed before the start and unknown to an older database: on disk and so handed out again,
  // and not on disk any more.
  uint64_t forgotten_held = 0;
  uint64_t forgotten_gone = 0;
  bool full = false;    // over max_bytes, or no reserve segment can be had
  std::string problem;  // a sentence when full or when the last maintenance failed
};

class Spool {
 public:
  // Locks the directory, reads what is there, drops a torn record at the very end, and makes the
  // reserve segment. A missing, empty, zero-filled or foreign file is set aside (renamed
  // *.unreadable) with a log line, never a reason not to start. kUnavailable when another process
  // holds the lock; kIo / kNoSpace with a clear sentence when the directory cannot be used.
  static Result<std::unique_ptr<Spool>> Open(const SpoolOptions& options, FileSystem& fs,
                                             Clock& clock);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  // 36 characters; a new one for a new or recreated spool directory.
  const std::string& id() const;
  // Everything up to this seq was completed when the watermark was last persisted.
  uint64_t watermark() const;

  // What the ledger says is committed beyond the watermark, in any order. Call once, after Open and
  // before the first NextChunk and Append; these records are counted as completed and not handed
  // out. When the ledger knows a later record than the spool (a power cut took it), numbering goes
  // on beyond it, so that no number is used twice. The ledger has a row for every completed
  // record that is on disk. If one has none, or the ledger ends before the watermark, the database
  // was restored from an older backup: everything on disk that is not in the ledger is handed out
  // again, and the watermark goes back for it.
  void SkipCommitted(const std::vector<SeqRange>& committed);

  // Appends what came together with one write and, with kAlways, one sync; one more where a segment
  // ends. Redeliveries are recognised: a message with the broker's DUP flag that equals one that is
  // remembered, packet id and all, in order, is not appended again. Returns how many those are.
  // After an error none of them may be acknowledged: the caller must stop the process.
  Result<uint64_t> Append(std::span<const SpoolMessage> messages);
  // The broker connection was made anew: redelivery matching starts over. `session_present` false:
  // the broker has forgotten us, so nothing can come again.
  void OnReconnect(bool session_present);

  // The next run of at most max_records records and max_bytes bytes, for one worker; the oldest,
  // but see SpoolOptions::live_first_after. Waits for the first record as long as it takes, then
  // until max_records are there or `linger` has passed since that first record was received. Null
  // after Stop. A chunk must be passed to Complete.
  std::unique_ptr<Chunk> NextChunk(size_t max_records, size_t max_bytes,
                                   std::chrono::milliseconds linger);
  void Complete(const Chunk& chunk);

  // Wakes NextChunk and makes it return null from now on. Append still works.
  void Stop();

  // Persists the watermark, unlinks what is behind it, renews the reserve segment. Every second or
  // so. Its failure is in stats().problem and does not stop the spool.
  void Maintain();
  // Syncs what has been appended so far.
  Status Sync();

  // The first failed write or sync, after which every Append fails; Ok while there is none.
  Status failure() const;

  SpoolStats stats() const;

 private:
  class Impl;
  explicit Spool(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
