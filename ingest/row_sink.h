// RowSink: the seam between a worker and PostgreSQL: takes a decided batch, commits all of it.
#pragma once

#include "base/postgres.h"
#include "ingest/batch.h"

namespace sluice {

// What a committed batch came to. accepted + quarantined = the batch's messages.
struct CommitReport {
  uint64_t accepted = 0;  // messages
  uint64_t rows = 0;
  uint64_t bytes = 0;  // of COPY data
  // Devices that were not moved because device_registry refused it; their messages are stored.
  uint64_t places_refused = 0;
  bool already = false;  // an earlier attempt had committed after all; nothing was written now
};

class RowSink {
 public:
  virtual ~RowSink() = default;
  // Telemetry, quarantine, counters, locations, notification and ledger in one transaction. Rows
  // that PostgreSQL refuses for their own fault become rejections (STORAGE_REJECTED) in the batch
  // and the rest is committed. On an error nothing of the batch is known to be committed; calling
  // again is safe, whatever became of the last attempt.
  virtual PgResult<CommitReport> Commit(Batch* batch) = 0;
};

}  // namespace sluice
