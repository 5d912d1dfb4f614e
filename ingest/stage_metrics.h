// StageMetrics: how long the stages of a chunk take, as histograms. Counted once a chunk, not once
// a message. Thread-safe.
#pragma once

#include <prometheus/client_metric.h>
#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "base/clock.h"
#include "ingest/batch.h"

namespace sluice {

class StageMetrics {
 public:
  // `registry` must outlive this.
  explicit StageMetrics(prometheus::Registry& registry);

  void Decoded(double seconds) { decode_.Observe(seconds); }
  void Resolved(double seconds) { resolve_.Observe(seconds); }
  void Decided(double seconds) { decide_.Observe(seconds); }
  // The batch's transaction has committed at `now`, this long after its first attempt began.
  void Committed(const Batch& batch, UnixMicros now, double seconds);
  void CommitRetried() { retries_.Increment(); }
  void PlacesRefused(uint64_t devices) { places_refused_.Increment(static_cast<double>(devices)); }

  // From a message's arrival to the end of its transaction.
  prometheus::ClientMetric::Histogram receive_to_commit() const {
    return receive_to_commit_.Collect().histogram;
  }

 private:
  StageMetrics(prometheus::Registry& registry, prometheus::Family<prometheus::Histogram>& stages);

  prometheus::Histogram& decode_;
  prometheus::Histogram& resolve_;
  prometheus::Histogram& decide_;
  prometheus::Histogram& commit_;
  prometheus::Histogram& chunk_messages_;
  prometheus::Histogram& receive_to_commit_;
  prometheus::Histogram& publish_to_commit_;
  prometheus::Counter& retries_;
  prometheus::Counter& places_refused_;
};

}  // namespace sluice
