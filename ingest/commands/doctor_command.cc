#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/ascii_json.h"
#include "ingest/commands/commands.h"
#include "ingest/commands/terminal_text.h"
#include "ingest/doctor/doctor.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  bool no_login = false;
  bool json = false;
};

struct Mark {
  const char* for_people;
  const char* for_scripts;
};

Mark MarkOf(Health health) {
  switch (health) {
    case Health::kOk:
      return {"ok     ", "ok"};
    case Health::kWarning:
      return {"warning", "warning"};
    case Health::kFailed:
      break;
  }
  return {"FAIL   ", "fail"};
}

size_t CountOf(const std::vector<Finding>& findings, Health health) {
  return static_cast<size_t>(
      std::count_if(findings.begin(), findings.end(),
                    [health](const Finding& finding) { return finding.health == health; }));
}

void PrintJson(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"area", finding.area},
                    {"check", finding.check},
                    {"result", MarkOf(finding.health).for_scripts},
                    {"seen", finding.seen},
                    {"advice", finding.advice}});
  }
  std::printf("%s\n", DumpAscii({{"ok", CountOf(findings, Health::kOk)},
                                 {"warnings", CountOf(findings, Health::kWarning)},
                                 {"failed", CountOf(findings, Health::kFailed)},
                                 {"findings", list}})
                          .c_str());
}

void Print(const std::vector<Finding>& findings) {
  std::string area;
  for (const Finding& finding : findings) {
    if (finding.area != area) std::printf("%s\n", finding.area.c_str());
    area = finding.area;
    std::printf("  %s  %s: %s\n", MarkOf(finding.health).for_people,
                TerminalText(finding.check).c_str(), TerminalText(finding.seen).c_str());
    if (!finding.advice.empty())
      std::printf("           -> %s\n", TerminalText(finding.advice).c_str());
  }
  std::printf("%zu ok, %zu to think about, %zu failed\n", CountOf(findings, Health::kOk),
              CountOf(findings, Health::kWarning), CountOf(findings, Health::kFailed));
}

int Run(const Options& options) {
  const Examination examination = Examine(&std::getenv, {.log_in = !options.no_login});
  if (options.json) {
    PrintJson(examination.findings);
  } else {
    Print(examination.findings);
  }
  const int status = CountOf(examination.findings, Health::kFailed) == 0 ? kExitOk : kExitFailed;
  if (examination.unfinished) {
    std::fflush(stdout);
    ::_exit(status);
  }
  return status;
}

}  // namespace

void AddDoctorCommand(CLI::App& app, int* status) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "doctor", "Looks at all that the daemon needs, and says what is wrong and what to do");
  command->add_flag("--no-login", options->no_login,
                    "Do not log in at the broker: a daemon elsewhere uses this account");
  command->add_flag("--json", options->json, "As a JSON object");
  command->footer(
      "Run it in the daemon's environment, as its user and where it runs. Nothing is written, and "
      "no "
      "message is taken away. Exit status: 0 nothing failed, 1 something did.");
  command->callback([options, status] { *status = Run(*options); });
}

}  // namespace sluice
