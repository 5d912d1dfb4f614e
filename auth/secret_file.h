// Secret files: small files that hold a key or a connection string.
#pragma once

#include <cstddef>
#include <string>

#include "base/status.h"

namespace sluice {

// The content, as it is. Refuses one of more than max_bytes, and a file that anybody but its owner
// may read or write; but a file of root's may be readable by its group, which is how secrets are
// mounted into a container (PostgreSQL's rule for its keys). Messages name the path, never the
// content.
Result<std::string> ReadSecretFile(const std::string& path, size_t max_bytes);

}  // namespace sluice
