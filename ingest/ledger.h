// Reading the ledger at the start: what did the process before us commit?
#pragma once

#include <string>
#include <vector>

#include "base/pg_session.h"
#include "ingest/database_health.h"
#include "ingest/spool/spool.h"

namespace sluice {

// The committed runs of that spool. Takes the spool's advisory lock exclusively first, so that no
// transaction of a dead process can still commit afterwards; waits for such a one as long as the
// session's statement timeout. Refuses a schema that is not this binary's. Errors go to `health`,
// too, for /ready.
Result<std::vector<SeqRange>> ReadLedger(PgSession& session, const std::string& spool_id,
                                         DatabaseHealth* health);

}  // namespace sluice
