// What the subcommands of `sluice quarantine` have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "ingest/commands/commands.h"
#include "ingest/settings.h"
#include "quarantine/review.h"

namespace sluice {

struct QuarantineOptions {
  std::vector<int64_t> ids = {};
  std::string tenant = {};
  std::string device = {};
  std::string reason = {};
  std::string since = {};
  std::string state = "NEW";  // of kStates
  int64_t limit = 0;
  int jobs = 2;
  bool by_device = false;
  bool everything = false;  // --all
  bool yes = false;
  bool json = false;
  std::string by = {};
};

// --tenant, --device, --reason, --since and --limit.
void AddFilterOptions(CLI::App* command, QuarantineOptions* options, int64_t limit);
// IDs, --all, --by and --json, for what changes messages.
void AddChangeOptions(CLI::App* command, QuarantineOptions* options);

// For options that are messages' numbers.
CLI::Validator IsMessageNumber();

// What they say. Refuses a time that is none.
Result<QuarantineFilter> FilterOf(const QuarantineOptions& options);
// The same for what changes messages: something must narrow it down, or --all.
Result<QuarantineFilter> ChangeFilterOf(const QuarantineOptions& options);

// Connects as the settings say; the result of `work` is the exit status.
int WithQuarantine(const char* command,
                   const std::function<int(const Settings&, PgConnection&)>& work);
// The same sentence as Complain, with what is likely to be done about it.
int ComplainOf(const char* command, const PgError& error);

// Names on standard error the messages that are asked for by number and are not there. kExitOk when
// all are.
int ComplainOfMissing(const char* command, PgConnection& db, const QuarantineFilter& filter);

// The login name of whoever runs this.
std::string Me();

// The subcommand of its own file.
void AddQuarantineReplayCommand(CLI::App& quarantine, int* status);

}  // namespace sluice
