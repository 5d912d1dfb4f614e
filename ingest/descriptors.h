// How many files and sockets the daemon may have open, checked before it begins.
#pragma once

#include "base/status.h"
#include "ingest/settings.h"

namespace sluice {

// What the daemon opens at most: connections to PostgreSQL, clients of its HTTP server, the broker,
// and the few segments that are open at once.
uint64_t DescriptorsNeeded(const Settings& settings);

// Raises the soft limit of open files (RLIMIT_NOFILE) to what is needed, if the hard limit allows.
// Else kInvalidArgument with a sentence that says what is needed.
Status EnsureDescriptors(uint64_t needed);

}  // namespace sluice
