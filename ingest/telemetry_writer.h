// TelemetryWriter: a batch's accepted rows into telemetry, by binary COPY, as part of a transaction
// that is the caller's.
#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <span>
#include <string>

#include "base/postgres.h"
#include "ingest/pipeline.h"

namespace sluice {

// One thread at a time. `before` is what is to be sent ahead in the same round trip, for example
// what begins the transaction: "" or statements that end with "; ".
class TelemetryWriter {
 public:
  explicit TelemetryWriter(const PipelineShared& shared) : shared_(shared) {}

  // Whether any of its messages was accepted: the two below want that.
  static bool HasRows(const Batch& batch);

  // Makes the partitions of the days of accepted rows. Outside of the transaction.
  PgStatus EnsurePartitions(PgConnection& db, const Batch& batch);
  // All accepted rows. The batch is left as it is.
  PgStatus Copy(PgConnection& db, const std::string& before, Batch* batch);
  // After Copy failed for a row's own fault (class 22, 23 or 54) and was rolled back: finds the
  // guilty messages and rejects them (STORAGE_REJECTED), stores the rest. When every row is refused
  // alike, it is an error that pauses.
  PgStatus CopyAroundPoison(PgConnection& db, std::string before, Batch* batch);

 private:
  PgStatus CopyRange(PgConnection& db, const std::string& before, const Batch& batch,
                     std::span<Message* const> messages);
  PgStatus CopyInSavepoint(PgConnection& db, const std::string& before, const Batch& batch,
                           std::span<Message* const> messages);
  PgStatus ProbeTable(PgConnection& db, const Message& guilty);

  const PipelineShared& shared_;
  std::set<int64_t> known_days_;
  std::chrono::steady_clock::time_point known_since_{};
};

}  // namespace sluice
