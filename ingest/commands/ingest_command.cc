#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/log.h"
#include "ingest/application.h"
#include "ingest/commands/commands.h"
#include "ingest/settings.h"
#include "ingest/settings_pages.h"

namespace sluice {
namespace {

struct Options {
  bool check = false;
  bool print_config = false;
  bool print_docs = false;
};

int Fail(const Status& status, int code) {
  std::fprintf(stderr, "sluice: %s\n", status.message().c_str());
  return code;
}

int Run(const Options& options, const BuildInfo& build) {
  if (options.print_docs) {
    std::fputs(RenderConfigurationPage().c_str(), stdout);
    return kExitOk;
  }
  if (options.print_config) std::fputs(RenderConfiguration(&std::getenv).c_str(), stdout);
  const Result<Settings> settings = LoadSettings(&std::getenv);
  if (!settings.ok()) return Fail(settings.status(), kExitConfig);
  if (options.check) {
    std::puts("settings are good");
    return kExitOk;
  }
  if (options.print_config) return kExitOk;
  const Status status = RunIngest(*settings, build);
  return status.ok() ? kExitOk : Fail(status, kExitFailed);
}

}  // namespace

void AddIngestCommand(CLI::App& app, const BuildInfo& build, int* status) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("ingest", "Takes messages off the broker into PostgreSQL");
  command->add_flag("--check", options->check, "Check the settings and exit");
  command->add_flag("--print-config", options->print_config,
                    "Print every setting as it would be used, secrets masked, and exit");
  command->add_flag("--print-docs", options->print_docs, "Print docs/configuration.md and exit");
  command->footer([] { return "Settings, from the environment:\n" + RenderConfigurationHelp(); });
  command->callback([options, build, status] { *status = Run(*options, build); });
}

}  // namespace sluice
