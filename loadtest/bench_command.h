// The commands bench and copy.
#pragma once

#include "loadtest/commands.h"

namespace sluice::loadtest {

Command BenchCommand(CLI::App* program);
Command CopyCommand(CLI::App* program);

}  // namespace sluice::loadtest
