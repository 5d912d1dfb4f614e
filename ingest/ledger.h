// Reading the ledger at the start: what did the process before us commit?
#pragma once

#include <string>
#include <vector>

#include "base/pg_session.h"
#include "ingest/database_health.h"
#include "ingest/spool/spool.h"

namespace sluice {

// The committed runs of that spool. Takes the spool's advisory lock exclusively first, so that no
// transaction of a dead process can still commit afterwards. While there is such a one it fails
// with kUnavailable: try again. Refuses a schema that is not this binary's. Errors go to `health`,
// too, for /ready; success does not, as the start has more to ask.
Result<std::vector<SeqRange>> ReadLedger(PgSession& session, const std::string& spool_id,
                                         DatabaseHealth* health);

}  // namespace sluice
