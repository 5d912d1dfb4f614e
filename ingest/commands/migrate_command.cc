#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/escape.h"
#include "ingest/commands/commands.h"
#include "ingest/settings.h"
#include "schema/migrator.h"

namespace sluice {
namespace {

int Run(const MigrateOptions& options) {
  const Result<Settings> settings = LoadSettings(&std::getenv, SettingsFor::kTool);
  if (!settings.ok()) return RefuseSettings("migrate", settings.message());
  auto connection = PgConnection::Connect(settings->Conninfo(), settings->pg_connect_timeout);
  if (!connection.ok()) return Complain("migrate", connection.error().Describe());
  const auto report = Migrate(**connection, options);
  if (!report.ok()) return Complain("migrate", report.message());

  for (const std::string& warning : report->warnings) {
    std::fprintf(stderr, "warning: %s\n", Escaped(warning).c_str());
  }
  for (const Migration& migration : report->applied) {
    std::printf("%s %03d %s\n", options.dry_run ? "would apply" : "applied", migration.version,
                migration.name);
  }
  std::printf("schema version %d, %s\n", report->version_before,
              report->applied.empty() ? "nothing to do"
              : options.dry_run       ? "nothing changed"
                                      : "brought up to date");
  return kExitOk;
}

}  // namespace

void AddMigrateCommand(CLI::App& app, int* status) {
  auto options = std::make_shared<MigrateOptions>();
  CLI::App* command =
      app.add_subcommand("migrate", "Brings the database's tables to this binary's version");
  command->add_flag("--dry-run", options->dry_run, "Say what would be done and change nothing");
  command->callback([options, status] { *status = Run(*options); });
}

}  // namespace sluice
