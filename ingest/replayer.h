// Replayer: puts quarantined messages through today's checks again and stores what passes them.
//
// The checks are the Pipeline's, as for a message that comes now: with the time at which the
// message came, with whom the broker knew as its sender then, and with the hash of the token that
// it had. Not again: the rate limit, because it is the operator who sends; flood control and the
// minutes' counts, because the message was counted when it came; and a device's place, because a
// later one may be there already.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "auth/registry_store.h"
#include "base/clock.h"
#include "base/pg_session.h"
#include "ingest/pipeline.h"
#include "ingest/replay_queue.h"
#include "ingest/settings.h"
#include "ingest/telemetry_writer.h"
#include "quarantine/replay_totals.h"

namespace sluice {

// One thread at a time. Any number may run at once, beside the daemons: on one queue, or each on
// its own, where each takes messages that no other works on.
class Replayer {
 public:
  // `settings` are the daemon's; they and the queue outlive this. `by` is written to what changes.
  Replayer(const Settings& settings, ReplayQueue& queue, std::string by);

  // Reads app_settings and the schema's version. Once, before the first Step.
  Status Prepare();

  // The queue's next messages, in one transaction that moves their rows into telemetry and marks
  // them REPLAYED, or keeps them with their new reason. False when the queue has none left. After
  // an error nothing of the step has happened, or, where the connection was lost, all of it or
  // nothing; its messages are for another replay then. What was done before it stays done.
  PgResult<bool> Step();

  const ReplayTotals& totals() const { return totals_; }

 private:
  struct Taken;  // what one step works on

  PgResult<PgRows> TakeRows(PgConnection& db);
  PgStatus Judge(Taken* taken);
  PgStatus Store(PgConnection& db, Batch* batch);
  PgStatus MarkAndCommit(PgConnection& db, const Taken& taken);
  void Count(const Taken& taken);

  const Settings& settings_;
  ReplayQueue& queue_;
  const std::string by_;
  const size_t messages_a_step_;
  PgSession session_;
  // The registry is read, and devices and partitions are added, outside of the step's transaction.
  PgSession lookups_;
  RegistryStore store_;
  RuntimeSettings runtime_;
  DeviceDirectory directory_;
  RateLimiter limiter_;
  FloodControl flood_;
  StampKeyring stamp_keys_;
  const PipelineShared shared_;
  Pipeline pipeline_;
  TelemetryWriter rows_;
  ReplayTotals totals_;
};

}  // namespace sluice
