// The commands of `sluice`. Each adds itself to the command line; what it returns is the process's
// exit status.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/build_info.h"

namespace sluice {

// Exit statuses, as in sysexits.h where that has one.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitConfig = 78;  // EX_CONFIG: a setting will not do

// "sluice COMMAND: message" on standard error, escaped; returns kExitFailed.
int Complain(const char* command, const std::string& message);
// The same for what LoadSettings says, which has a line for each mistake; returns kExitConfig.
int RefuseSettings(const char* command, const std::string& message);

// `status` receives the exit status when the command was the one called.
void AddCrlCommand(CLI::App& app, int* status);
void AddDeviceCommand(CLI::App& app, int* status);
void AddDoctorCommand(CLI::App& app, int* status);
void AddDrainCommand(CLI::App& app, int* status);
void AddExplainCommand(CLI::App& app, int* status);
void AddIngestCommand(CLI::App& app, const BuildInfo& build, int* status);
void AddMigrateCommand(CLI::App& app, int* status);
void AddPkiCommand(CLI::App& app, int* status);
void AddQuarantineCommand(CLI::App& app, int* status);
void AddStatusCommand(CLI::App& app, int* status);

}  // namespace sluice
