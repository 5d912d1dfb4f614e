#include "ingest/worker.h"

#include <condition_variable>
#include <mutex>

namespace sluice {
namespace {

// Waits, unless or until a stop is asked for.
void WaitFor(std::chrono::milliseconds wait, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, wait, [] { return false; });
}

}  // namespace

Worker::Worker(const WorkerOptions& options, Spool& spool, const PipelineShared& shared,
               CredentialStore& store, RowSink& sink, Accounting& accounting,
               DatabaseHealth& health, StageMetrics& metrics, const Clock& clock)
    : options_(options),
      spool_(spool),
      sink_(sink),
      accounting_(accounting),
      health_(health),
      metrics_(metrics),
      clock_(clock),
      pipeline_(shared, store),
      backoff_(options.retry_min, options.retry_max) {}

void Worker::Run(const std::stop_token& stop) {
  while (const auto chunk = spool_.NextChunk(options_.batch_size, options_.chunk_max_bytes,
                                             options_.flush_interval)) {
    Process(*chunk, stop);
    if (stop.stop_requested()) return;
  }
}

template <typename Step>
bool Worker::UntilDone(Step step, const std::stop_token& stop) {
  backoff_.Reset();
  while (!stop.stop_requested()) {
    const auto result = step();
    if (result.ok()) return true;
    health_.Failed(DatabaseHealth::Seen::kByCommit, result.error());
    metrics_.CommitRetried();
    WaitFor(backoff_.Next(), stop);
  }
  return false;
}

void Worker::Process(const Chunk& chunk, const std::stop_token& stop) {
  const int64_t begin = clock_.Monotonic();
  const auto seconds_since = [this](int64_t start) {
    return static_cast<double>(clock_.Monotonic() - start) / 1e6;
  };
  pipeline_.Decode(chunk, &batch_);
  metrics_.Decoded(seconds_since(begin));

  const int64_t resolving = clock_.Monotonic();
  if (!UntilDone([this] { return pipeline_.Resolve(&batch_); }, stop)) return;
  metrics_.Resolved(seconds_since(resolving));

  const int64_t deciding = clock_.Monotonic();
  pipeline_.Decide(&batch_);
  metrics_.Decided(seconds_since(deciding));

  const int64_t committing = clock_.Monotonic();
  CommitReport report;
  const auto commit = [this, &report] {
    auto committed = sink_.Commit(&batch_);
    if (committed.ok()) report = *committed;
    return committed;
  };
  if (!UntilDone(commit, stop)) return;
  health_.Succeeded(DatabaseHealth::Seen::kByCommit);
  const UnixMicros now = clock_.Now();
  metrics_.Committed(batch_, now, seconds_since(committing));
  metrics_.PlacesRefused(report.places_refused);
  accounting_.Committed(batch_, now);
}

}  // namespace sluice
