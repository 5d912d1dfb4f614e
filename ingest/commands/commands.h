// The commands of `sluice`. Each adds itself to the command line; what it returns is the process's
// exit status.
#pragma once

#include <CLI/CLI.hpp>

namespace sluice {

// Exit statuses, as in sysexits.h where that has one.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitConfig = 78;  // EX_CONFIG: a setting will not do

// `status` receives the exit status when the command was the one called.
void AddCrlCommand(CLI::App& app, int* status);
void AddDeviceCommand(CLI::App& app, int* status);
void AddDrainCommand(CLI::App& app, int* status);
void AddIngestCommand(CLI::App& app, int* status);
void AddMigrateCommand(CLI::App& app, int* status);
void AddPkiCommand(CLI::App& app, int* status);

}  // namespace sluice
