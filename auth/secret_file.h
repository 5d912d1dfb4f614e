// Secret files: small files that hold a key or a connection string.
#pragma once

#include <cstddef>
#include <string>

#include "base/status.h"

namespace sluice {

// The content, as it is. Refuses a file that anybody but its owner may read or write, and one of
// more than max_bytes. Messages name the path, never the content.
Result<std::string> ReadSecretFile(const std::string& path, size_t max_bytes);

}  // namespace sluice
