// Worker: takes a chunk from the spool to its commit, again and again. Each has a thread and a
// PostgreSQL connection of its own.
#pragma once

#include <chrono>
#include <functional>
#include <stop_token>

#include "base/backoff.h"
#include "base/clock.h"
#include "ingest/accounting.h"
#include "ingest/database_health.h"
#include "ingest/pipeline.h"
#include "ingest/row_sink.h"
#include "ingest/spool/spool.h"
#include "ingest/stage_metrics.h"

namespace sluice {

struct WorkerOptions {
  size_t batch_size = 2000;                      // BATCH_SIZE, messages
  size_t chunk_max_bytes = 4 << 20;              // CHUNK_MAX_BYTES
  std::chrono::milliseconds flush_interval{20};  // FLUSH_INTERVAL_MS
  std::chrono::milliseconds retry_min{100};
  std::chrono::milliseconds retry_max{10000};
};

class Worker {
 public:
  // Everything must outlive the worker; `store` and `sink` are its own.
  Worker(const WorkerOptions& options, Spool& spool, const PipelineShared& shared,
         CredentialStore& store, RowSink& sink, Accounting& accounting, DatabaseHealth& health,
         StageMetrics& metrics, const Clock& clock);

  // Until the spool is stopped, or until `stop` while PostgreSQL does not take a chunk: that chunk
  // stays in the spool.
  void Run(const std::stop_token& stop);

 private:
  void Process(const Chunk& chunk, const std::stop_token& stop);
  // Calls `step` until it succeeds; false when stopped first.
  template <typename Step>
  bool UntilDone(Step step, const std::stop_token& stop);

  const WorkerOptions options_;
  Spool& spool_;
  RowSink& sink_;
  Accounting& accounting_;
  DatabaseHealth& health_;
  StageMetrics& metrics_;
  const Clock& clock_;
  Pipeline pipeline_;
  Backoff backoff_;
  Batch batch_;
};

}  // namespace sluice
