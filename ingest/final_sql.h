// The small statements at the end of a chunk's transaction; sent together with COMMIT in one round
// trip. Each returns "" or statements that end with "; ".
#pragma once

#include <string>

#include "base/postgres.h"
#include "ingest/batch.h"
#include "quarantine/quarantine_writer.h"

namespace sluice {

// Adds to quarantine_counters_minute. A topic without a tenant counts under the empty name.
std::string CountersSql(PgConnection& db, const QuarantineBatch::Counters& counters);

// How many devices LocationsSql moves at most.
size_t CountMoves(const Batch& batch);

// Moves devices whose location follows the device (location_source NULL or 'auto') to the last
// place an accepted message named, where that differs from what the registry has.
std::string LocationsSql(PgConnection& db, const Batch& batch);

// NOTIFY telemetry_inserted with {"tenant_ids":[…]} of the accepted messages, split so that each
// payload stays below PostgreSQL's 8000 bytes.
std::string NotifySql(PgConnection& db, const Batch& batch);

// The record of progress: this run of the spool is accounted for.
std::string LedgerSql(const std::string& spool_id, const Batch& batch);

// A uuid's 16 bytes from its text; `text` must be one.
std::string UuidBytes(const std::string& text);

}  // namespace sluice
