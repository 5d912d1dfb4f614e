// Judge: what the database says became of one run's messages.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/postgres.h"
#include "base/status.h"
#include "loadtest/histogram.h"
#include "loadtest/result.h"

namespace sluice::loadtest {

// What tells a run's rows from all others.
struct RunMark {
  uint64_t first_seq = 0;  // no earlier run used this seq or a higher one
  uint64_t readings = 1;   // rows of a message
  UnixMicros since = 0;    // no message of the run carries an earlier time
};

struct Settled {
  Verdict verdict;
  double seconds = -1;  // from the call to the last arrival; -1: the balance is wrong
};

// It reads telemetry and the quarantine's tables, with a login that may see all their rows.
// Rejected messages are told from others' only by when they were counted: nobody else's should come
// while a run lasts. One thread.
class Judge {
 public:
  // Connects, and counts what is there before the run.
  static Result<Judge> Open(const std::string& database, const RunMark& run);

  // Waits until `sent` messages have arrived and the balance is right, or nothing has come for
  // `patience`; then counts. The waiting takes a fifth of one backend at most.
  Result<Settled> Settle(uint64_t sent, std::chrono::microseconds patience);
  // The run's latency, from its rows' time to their commit; empty when the server does not keep
  // the time of commits (track_commit_timestamp).
  Result<std::optional<Histogram>> Latency();

 private:
  Judge(std::unique_ptr<PgConnection> database, const RunMark& run)
      : database_(std::move(database)), run_(run) {}

  // `sql` may select from `run`, the run's rows.
  Result<PgRows> Query(const std::string& sql);
  Result<uint64_t> Quarantined();
  Result<uint64_t> Arrived();
  Result<Verdict> Decide(uint64_t sent);

  std::unique_ptr<PgConnection> database_;
  const RunMark run_;
  uint64_t quarantined_before_ = 0;
};

}  // namespace sluice::loadtest
