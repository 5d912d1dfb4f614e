// sluice-loadtest: a simulated fleet, the registry rows it needs, a judge of what became of its
// messages, and a live view of the daemon.
#include <CLI/CLI.hpp>
#include <array>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "base/build_info.h"
#include "base/command_docs.h"
#include "loadtest/bench_command.h"
#include "loadtest/commands.h"

namespace {

volatile std::sig_atomic_t g_stop = 0;

// The first signal asks for an orderly end, a second one kills.
void OnSignal(int signal) {
  g_stop = 1;
  std::signal(signal, SIG_DFL);
}

// A scenario: the options of the command that was asked for, without its name, so that one file
// serves several commands. An option that the command does not have is an error.
class ScenarioFormat final : public CLI::ConfigBase {
 public:
  explicit ScenarioFormat(const CLI::App* program) : program_(program) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    if (program_->get_subcommands().empty()) throw CLI::RequiredError("A subcommand");
    const CLI::App* const command = program_->get_subcommands().front();
    std::vector<CLI::ConfigItem> options = CLI::ConfigBase::from_config(input);
    for (CLI::ConfigItem& item : options) {
      if (!item.parents.empty() || command->get_option_no_throw("--" + item.name) == nullptr) {
        throw CLI::ConfigError("the scenario names " + item.fullname() +
                               ", which is no option of " + command->get_name());
      }
      item.parents = {command->get_name()};
    }
    return options;
  }

 private:
  const CLI::App* const program_;
};

void AddDocs(CLI::App& app) {
  const auto manual = [&app] {
    return sluice::RenderManual(app, {.summary = "simulated MQTT fleet for sluice",
                                      .source = "sluice " + sluice::ThisBuild().version,
                                      .more = ".SH \"SEE ALSO\"\n.BR sluice (1)\n"});
  };
  sluice::AddDocsOption(app, {{"man", manual},
                              {"bash", [&app] { return sluice::RenderBashCompletion(app); }},
                              {"zsh", [&app] { return sluice::RenderZshCompletion(app); }}});
}

}  // namespace

int main(int argc, char** argv) {
  namespace loadtest = sluice::loadtest;
  CLI::App app("Load for sluice: a simulated MQTT fleet, a judge and a live view.",
               "sluice-loadtest");
  app.set_version_flag("--version", [] { return sluice::DescribeBuild("sluice-loadtest"); });
  app.require_subcommand(1);
  app.fallthrough();
  app.config_formatter(std::make_shared<ScenarioFormat>(&app));
  app.set_config("--scenario", "", "A file with options of the command; the command line's win");
  const std::array commands = {loadtest::FleetCommand(&app),  loadtest::RunCommand(&app),
                               loadtest::LadderCommand(&app), loadtest::RegisterCommand(&app),
                               loadtest::WatchCommand(&app),  loadtest::BenchCommand(&app),
                               loadtest::CopyCommand(&app)};
  AddDocs(app);
  CLI11_PARSE(app, argc, argv);

  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
  for (const loadtest::Command& command : commands) {
    if (*command.app) return command.run(&g_stop);
  }
  return 1;
}
