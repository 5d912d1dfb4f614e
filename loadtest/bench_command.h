// The subcommands bench and copy: their options, and what they print.
#pragma once

#include <CLI/CLI.hpp>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "loadtest/bare_copy.h"
#include "loadtest/bench.h"

namespace sluice::loadtest {

class BenchCommand {
 public:
  // Adds both to `app`, which outlives this. Call Run when it has parsed.
  explicit BenchCommand(CLI::App* app);
  BenchCommand(const BenchCommand&) = delete;
  BenchCommand& operator=(const BenchCommand&) = delete;

  // The exit status; nullopt when neither of them was asked for.
  std::optional<int> Run(const volatile std::sig_atomic_t* stop);

 private:
  void AddServers();
  int RunBenchmark(const volatile std::sig_atomic_t* stop);

  CLI::App* const bench_;
  CLI::App* const copy_;
  BenchOptions options_;
  BareCopyOptions copy_options_;
  std::string peers_ = "loadtest/peers";
  std::vector<std::string> names_ = {"paho", "paho-quiet", "copy", "sluice"};
  std::string password_file_;
  std::string json_;
  std::string html_;
  bool empty_the_tables_ = false;
};

}  // namespace sluice::loadtest
