// The mark that a daemon leaves in its spool directory when it has drained, for who asked it to.
#pragma once

#include <string>

#include "base/status.h"

namespace sluice {

// `line`: the accounting line.
Status WriteDrainedMark(const std::string& spool_dir, const std::string& line);
// Ok, too, when there is none.
Status RemoveDrainedMark(const std::string& spool_dir);
// The line; kNotFound when the last daemon that ended there had not drained.
Result<std::string> ReadDrainedMark(const std::string& spool_dir);

}  // namespace sluice
