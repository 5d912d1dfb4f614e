// Application: builds the daemon from its parts, starts them in order, and unwinds them in reverse.
#pragma once

#include "base/build_info.h"
#include "base/status.h"
#include "ingest/settings.h"

namespace sluice {

// Runs `sluice ingest` until SIGTERM or SIGINT, then writes what the spool holds for at most
// DRAIN_SECONDS and prints the accounting line on standard output. A second signal exits at once.
// SIGUSR1 drains: leaves the broker for good, writes everything however long it takes, then stops;
// SIGTERM meanwhile stops as ever. SIGHUP reads STAMP_KEY_FILE again. Ok after an orderly end; else
// why the daemon could not start. Call from the main thread, before other threads exist.
Status RunIngest(const Settings& settings, const BuildInfo& build);

}  // namespace sluice
