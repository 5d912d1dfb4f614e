// Whose servers are about to be put under load.
#pragma once

#include <string>

#include "base/status.h"

namespace sluice::loadtest {

// Ok when all addresses that `host` stands for are loopback; the message of anything else names
// `what`, e.g. "the broker". kNotFound when it stands for none.
Status CheckIsLocal(const std::string& what, const std::string& host);

// The same for all hosts of a connection string or URL of libpq, or, where it names none, of
// libpq's own defaults (PGHOST and the like). A Unix socket is local.
Status CheckDatabaseIsLocal(const std::string& conninfo);

}  // namespace sluice::loadtest
