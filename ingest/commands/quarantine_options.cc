#include "ingest/commands/quarantine_options.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "base/clock.h"
#include "schema/reason.h"

namespace sluice {
namespace {

constexpr int64_t kMostMessages = 1'000'000'000;

std::string CheckReason(const std::string& name) {
  Reason reason{};
  return ParseReason(name, &reason) ? "" : "there is no reason " + name;
}

// Read here: the parser's own reading takes 010 for eight, and what is too large for the largest.
CLI::Validator IsWholeNumber(int64_t least, int64_t most, const std::string& range) {
  return CLI::Validator(
      [=](std::string& text) {
        const auto number = ParseWholeNumber(text);
        if (!number || *number < least || *number > most) {
          return text + " is no whole number from " + range;
        }
        text = std::to_string(*number);
        return std::string();
      },
      "");
}

// An unset variable of a script must not widen what is discarded.
std::string CheckNotEmpty(const std::string& value) {
  return value.empty() ? "it is empty; leave it out to mean all" : "";
}

}  // namespace

void AddFilterOptions(CLI::App* command, QuarantineOptions* options, int64_t limit) {
  options->limit = limit;
  command->add_option("--tenant", options->tenant, "Only of this tenant")->check(CheckNotEmpty);
  command->add_option("--device", options->device, "Only of this device")->check(CheckNotEmpty);
  command->add_option("--reason", options->reason, "Only with this reason, e.g. TOKEN_INVALID")
      ->check(CheckReason)
      ->type_name("REASON");
  command
      ->add_option("--since", options->since,
                   "Only what came since: 30m, 2h, 7d, or 2026-03-01T10:00:00Z")
      ->check(CheckNotEmpty);
  command->add_option("--limit", options->limit, "No more than so many; 0: all")
      ->transform(IsWholeNumber(0, kMostMessages, "1 to 1000000000; 0 means all"))
      ->capture_default_str();
}

void AddChangeOptions(CLI::App* command, QuarantineOptions* options) {
  command->add_option("ID", options->ids, "Only these messages")->transform(IsMessageNumber());
  command->add_flag("--all", options->everything, "All of them, when nothing else narrows it down");
  command->add_option("--by", options->by, "Who decides; by default whoever runs this");
  command->add_flag("--json", options->json, "Say what was done as JSON");
}

CLI::Validator IsMessageNumber() {
  return IsWholeNumber(1, INT64_MAX, "1 to 9223372036854775807");
}

Result<QuarantineFilter> FilterOf(const QuarantineOptions& options) {
  QuarantineFilter filter{.ids = options.ids,
                          .tenant = options.tenant,
                          .device = options.device,
                          .reason = options.reason,
                          .state = options.state == "ALL" ? "" : options.state,
                          .limit = options.limit};
  if (options.since.empty()) return filter;
  filter.since = ParseSince(options.since, SystemClock().Now());
  if (filter.since) return filter;
  return Status(
      ErrorCode::kInvalidArgument,
      "--since " + options.since + ": give 30m, 2h, 7d or a time as 2026-03-01T10:00:00Z");
}

Result<QuarantineFilter> ChangeFilterOf(const QuarantineOptions& options) {
  Result<QuarantineFilter> filter = FilterOf(options);
  if (!filter.ok() || filter->narrows() || options.everything) return filter;
  return Status(
      ErrorCode::kInvalidArgument,
      "name messages by their IDs, narrow it down (--tenant, --device, --reason, --since), "
      "or say --all");
}

int WithQuarantine(const char* command,
                   const std::function<int(const Settings&, PgConnection&)>& work) {
  const Result<Settings> settings = LoadSettings(&std::getenv, SettingsFor::kTool);
  if (!settings.ok()) return RefuseSettings(command, settings.message());
  auto connection = PgConnection::Connect(settings->Conninfo(), settings->pg_connect_timeout);
  if (!connection.ok()) return Complain(command, connection.error().Describe());
  (*connection)->set_timeout(settings->write_timeout);
  return work(*settings, **connection);
}

int ComplainOf(const char* command, const PgError& error) {
  std::string text = error.Describe();
  if (error.sqlstate == "42P01" || error.sqlstate == "42703") text += ": run sluice migrate first";
  if (error.sqlstate == "42501") text += ": this needs the daemon's role or the tables' owner";
  return Complain(command, text);
}

int ComplainOfMissing(const char* command, PgConnection& db, const QuarantineFilter& filter) {
  if (filter.ids.empty()) return kExitOk;
  auto missing = FindMissing(db, filter.ids);
  if (!missing.ok()) return ComplainOf(command, missing.error());
  std::string numbers;
  for (const int64_t id : *missing) numbers += (numbers.empty() ? "" : ", ") + std::to_string(id);
  return missing->empty() ? kExitOk : Complain(command, "there is no message " + numbers);
}

std::string Me() {
  const passwd* user = ::getpwuid(::getuid());
  return user == nullptr ? "uid " + std::to_string(::getuid()) : user->pw_name;
}

}  // namespace sluice
