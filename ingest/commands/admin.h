// What the operator's commands (device, pki, crl) have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "auth/pki/device_admin.h"
#include "ingest/commands/commands.h"

namespace sluice {

inline constexpr const char* kOwnerFooter =
    "The database is the environment's (DATABASE_URL or PG_*), as for sluice migrate. This is for "
    "the role that owns the tables; the daemon's role may not do it.";

// Connects as the settings say and calls `work`, whose result is the exit status; complains itself
// when it does not come to that.
int WithAdmin(const char* command, const std::function<int(DeviceAdmin&)>& work);

// Columns for a terminal, escaped; the first row is their names, and all are of one length.
void PrintTable(std::vector<std::vector<std::string>> table);

// As columns for a terminal, or the one JSON value as it is.
int PrintList(const char* command, std::span<const char* const> columns, const Result<PgRows>& rows,
              ListFormat format);

// 2026-03-01T12:00:00Z
std::string FormatUtc(UnixMicros time);

// --dir, or PKI_DIR.
void AddPkiDirOption(CLI::App* command, std::string* directory);

// The subcommands below `sluice device cert`.
void AddDeviceCertCommand(CLI::App& device, int* status);

}  // namespace sluice
