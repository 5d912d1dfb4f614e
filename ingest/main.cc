#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/build_info.h"
#include "base/command_docs.h"
#include "ingest/commands/commands.h"
#include "ingest/settings_pages.h"

namespace sluice {
namespace {

void AddCommands(CLI::App& app, int* status) {
  AddIngestCommand(app, ThisBuild(), status);
  AddDrainCommand(app, status);
  AddMigrateCommand(app, status);
  AddStatusCommand(app, status);
  AddQuarantineCommand(app, status);
  AddExplainCommand(app, status);
  AddDoctorCommand(app, status);
  AddDeviceCommand(app, status);
  AddPkiCommand(app, status);
  AddCrlCommand(app, status);
}

constexpr const char* kMore = R"(.SH ENVIRONMENT
All settings are environment variables; see
.BR sluice.env (5).
.SH "EXIT STATUS"
0: done. 1: it failed; the reason is on standard error. 78: a setting will not do; each is named.
Above 100: the command line cannot be read. Of the daemon besides: 74: the spool could not take a
message; it stopped without acknowledging it. 130: a second signal.
.SH "SEE ALSO"
.BR sluice.env (5),
.BR sluice-loadtest (1);
/usr/share/doc/sluice
)";

std::string Manual(CLI::App& app) {
  // The other manual page has the settings.
  app.get_subcommand("ingest")->footer(
      [] { return std::string("Its settings: see sluice.env(5)."); });
  return RenderManual(app, {.summary = "gate between an MQTT fleet and PostgreSQL",
                            .source = "sluice " + ThisBuild().version,
                            .more = kMore});
}

void AddDocs(CLI::App& app) {
  AddDocsOption(app, {{"man", [&app] { return Manual(app); }},
                      {"settings-man",
                       [] { return RenderSettingsManualPage("sluice " + ThisBuild().version); }},
                      {"environment", [] { return RenderEnvironmentFile(); }},
                      {"bash", [&app] { return RenderBashCompletion(app); }},
                      {"zsh", [&app] { return RenderZshCompletion(app); }}});
}

// As the parser takes them, last one first. "--device=" is "--device" with an empty value: the
// parser would take the next argument for it.
std::vector<std::string> Arguments(int argc, char** argv) {
  std::vector<std::string> arguments;
  for (int i = argc - 1; i > 0; --i) {
    const std::string_view argument = argv[i];
    const bool is_empty =
        argument.substr(0, 2) == "--" && argument.find('=') + 1 == argument.size();
    if (is_empty) arguments.emplace_back();
    arguments.emplace_back(argument.substr(0, argument.size() - (is_empty ? 1 : 0)));
  }
  return arguments;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  CLI::App app("Sluice: the gate between an MQTT fleet and PostgreSQL", "sluice");
  app.set_version_flag("--version", [] { return sluice::DescribeBuild("sluice"); });
  app.require_subcommand(1);
  int status = sluice::kExitOk;
  sluice::AddCommands(app, &status);
  sluice::AddDocs(app);
  try {
    app.parse(sluice::Arguments(argc, argv));
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  return status;
}
