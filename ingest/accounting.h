// Accounting: received = stored + quarantined + duplicates + spooled (+ damaged), at every moment.
//
// Counts are of messages since the process started, with what the spool still held then counted as
// received. Thread-safe; chunks are counted and completed under one mutex together with the
// snapshot, so that a reader never sees a message twice or not at all.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "ingest/batch.h"
#include "ingest/spool/spool.h"
#include "schema/reason.h"

namespace sluice {

struct Totals {
  uint64_t received = 0;
  uint64_t recovered = 0;  // of them, found in the spool at the start
  uint64_t stored = 0;
  uint64_t rows = 0;
  uint64_t quarantined = 0;  // counted; flood control may have kept fewer whole
  uint64_t duplicates = 0;
  uint64_t spooled = 0;
  uint64_t damaged = 0;  // spool records that could not be read back
  uint64_t ignored = 0;  // other channels; not part of received
  std::array<uint64_t, kReasonCount> by_reason{};
  // Of registered devices' messages; the rest is under "unknown". At most kMaxTenants entries.
  struct Tenant {
    uint64_t accepted = 0;
    uint64_t rejected = 0;
  };
  std::map<std::string, Tenant> tenants;
  UnixMicros last_commit = 0;  // 0: none yet

  bool Balances() const {
    return received == stored + quarantined + duplicates + spooled + damaged;
  }
  // "received=… stored=… quarantined=… duplicates=… spooled=…", and damaged=… when there is any.
  std::string Line() const;
};

class Accounting {
 public:
  static constexpr size_t kMaxTenants = 1000;

  // `spool` must outlive this.
  explicit Accounting(Spool& spool) : spool_(spool) { Begin(); }
  // Counts from here: what the spool holds now is received. Again after the ledger was read, before
  // the first message.
  void Begin();

  void Duplicates(uint64_t count) { duplicates_.fetch_add(count, std::memory_order_relaxed); }
  void Ignored() { ignored_.fetch_add(1, std::memory_order_relaxed); }
  // The batch's transaction has committed: counts its messages and completes its chunk.
  void Committed(const Batch& batch, UnixMicros now);

  Totals Snapshot() const;

 private:
  Spool& spool_;
  std::atomic<uint64_t> duplicates_{0};
  std::atomic<uint64_t> ignored_{0};
  mutable std::mutex mutex_;
  uint64_t recovered_ = 0;
  uint64_t next_seq_at_start_ = 0;
  Totals done_;  // the fields that Committed adds to
};

}  // namespace sluice
