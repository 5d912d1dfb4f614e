#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <thread>

#include "base/escape.h"
#include "base/http_get.h"
#include "ingest/commands/commands.h"
#include "ingest/status_screen.h"

namespace sluice {
namespace {

struct Options {
  std::string url = "http://127.0.0.1:8080";
  double interval_seconds = 2;
  bool once = false;
  bool json = false;
};

Result<std::string> Ask(const Options& options) {
  Result<std::string> answer = HttpGet(options.url, "/api/v1/status");
  if (answer.ok()) return answer;
  return Status(answer.code(), options.url + " gives no status: " + answer.message());
}

// The daemon escapes what is not ASCII; whoever else answers may not.
void PrintJson(const std::string& text) {
  for (const char c : text) {
    if (c == '\n' || (c >= ' ' && c < 0x7f)) std::fputc(c, stdout);
  }
}

// Over what was there before, without flicker.
void PrintScreen(const std::string& screen) {
  std::string text = "\x1b[H";
  for (const char c : screen) text += c == '\n' ? std::string("\x1b[K\n") : std::string(1, c);
  std::fputs((text + "\x1b[J").c_str(), stdout);
}

class Watch {
 public:
  Watch(const Options& options, bool live) : options_(options), live_(live) {
    if (live_ && !options_.json) std::fputs("\x1b[2J", stdout);
  }

  // False when nobody answers, with a sentence in `problem`.
  bool Show(std::string* problem) {
    const Result<std::string> answer = Ask(options_);
    if (!answer.ok()) return Fail(answer.message(), problem);
    const Result<StatusSample> sample = ParseStatusSample(*answer);
    if (!sample.ok()) return Fail(options_.url + ": " + sample.message(), problem);
    if (options_.json) {
      PrintJson(*answer);
    } else {
      const std::string screen = StatusScreen(*sample, before_ ? &*before_ : nullptr);
      live_ ? PrintScreen(screen) : static_cast<void>(std::fputs(screen.c_str(), stdout));
    }
    before_ = *sample;
    return true;
  }

 private:
  bool Fail(const std::string& why, std::string* problem) {
    *problem = why;
    before_.reset();
    return false;
  }

  const Options& options_;
  const bool live_;
  std::optional<StatusSample> before_;
};

// Who answers once and then no more may come back.
int Run(const Options& options) {
  const bool live = !options.once && ::isatty(STDOUT_FILENO) == 1;
  Watch watch(options, live);
  std::string problem;
  if (!watch.Show(&problem)) return Complain("status", problem);
  while (live) {
    if (std::fflush(stdout) != 0) return kExitFailed;
    std::this_thread::sleep_for(std::chrono::duration<double>(options.interval_seconds));
    if (watch.Show(&problem)) continue;
    std::fprintf(stderr, "\r%s\x1b[K\n", Escaped(problem).c_str());
  }
  return std::fflush(stdout) == 0 ? kExitOk : kExitFailed;
}

}  // namespace

void AddStatusCommand(CLI::App& app, int* status) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "status", "Shows what a running daemon does; live on a terminal, else once");
  command->add_option("--url", options->url, "Where its HTTP_PORT is")->capture_default_str();
  command->add_option("--interval", options->interval_seconds, "Seconds between two looks")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command->add_flag("--once", options->once, "One look");
  command->add_flag("--json", options->json, "The daemon's answer as it is, a line for each look");
  command->callback([options, status] { *status = Run(*options); });
}

}  // namespace sluice
