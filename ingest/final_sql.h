// The small statements at the end of a chunk's transaction; sent together with COMMIT in one round
// trip. Each returns "" or statements that end with "; ".
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/postgres.h"
#include "ingest/batch.h"
#include "quarantine/quarantine_writer.h"

namespace sluice {

// Adds to quarantine_counters_minute. A topic without a tenant counts under the empty name.
std::string CountersSql(PgConnection& db, const QuarantineBatch::Counters& counters);

// For each device that has moved, the last accepted message that names a place; in the order in
// which every transaction locks devices.
std::vector<const Message*> MovesOf(const Batch& batch);

// One statement that moves the devices of `moves` (of MovesOf) to the places named there: those
// whose location follows the device (location_source NULL or 'auto') and differs from what the
// registry has.
std::string LocationsSql(PgConnection& db, std::span<const Message* const> moves);

// NOTIFY telemetry_inserted with {"tenant_ids":[…]} of the accepted messages, split so that each
// payload stays below PostgreSQL's 8000 bytes.
std::string NotifySql(PgConnection& db, const Batch& batch);

// The record of progress: this run of the spool is accounted for.
std::string LedgerSql(const std::string& spool_id, const Batch& batch);

// A uuid's 16 bytes from its text; `text` must be one.
std::string UuidBytes(const std::string& text);

}  // namespace sluice
