#include "loadtest/bench_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "loadtest/bare_copy.h"
#include "loadtest/bench.h"
#include "loadtest/options.h"
#include "loadtest/report.h"
#include "loadtest/targets.h"

namespace sluice::loadtest {
namespace {

using Stop = const volatile std::sig_atomic_t*;

struct BenchArguments {
  BenchOptions options;
  std::string peers = "loadtest/peers";
  std::vector<std::string> names = {"paho", "paho-quiet", "copy", "sluice"};
  std::string password_file;
  std::string json;
  std::string html;
  bool empty_the_tables = false;
};

void AddFleet(CLI::App* command, FleetShape* shape, MessageOptions* message) {
  shape->devices = 1000;
  command->add_option("--devices", shape->devices, "Devices of 5 tenants")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--metrics", message->metrics, "Metrics per reading")
      ->check(CLI::Range(0, 50))
      ->capture_default_str();
}

void AddServers(CLI::App* command, BenchArguments* arguments) {
  BenchOptions& o = arguments->options;
  command->add_option("--port", o.port, "The broker's port at 127.0.0.1")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  command->add_option("--username", o.username, "MQTT user that may publish and read everything");
  command->add_option("--password-file", arguments->password_file, "File with its password")
      ->check(CLI::ExistingFile);
  command->add_option("--broker-pid", o.broker_pid, "The broker's process")->required();
  command->add_option("--database-url", o.database_url, "A database on this machine; migrated")
      ->envname("DATABASE_URL")
      ->required();
  command->add_option("--postgres-pid", o.postgres_pid, "PostgreSQL's first process")->required();
  command->add_flag("--empty-the-tables", arguments->empty_the_tables,
                    "Yes: throw away what is in telemetry, quarantine and ledger");
}

void AddBench(CLI::App* command, BenchArguments* arguments) {
  BenchOptions& o = arguments->options;
  AddServers(command, arguments);
  AddFleet(command, &o.shape, &o.message);
  command->add_option("contenders", arguments->names, "Names of directories in --peers")
      ->capture_default_str();
  command->add_option("--peers", arguments->peers, "Directory of the contenders")
      ->capture_default_str();
  command->add_option("--payload-bytes", o.message.payload_bytes, "Payloads are padded to this")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("--rate", o.rate, "Messages a second while CPU is measured")
      ->check(CLI::Range(1.0, 1e6))
      ->capture_default_str();
  command->add_option("--for", o.seconds, "Seconds of that")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  command->add_option("--runs", o.runs, "How often each contender is measured")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--work", o.work, "Directory for what contenders write")->required();
  command->add_option("--store", o.store, "Directory of what they were prepared with")->required();
  command->add_option("--json", arguments->json, "Write the figures to this file");
  command->add_option("--html", arguments->html, "Write a page with charts to this file");
  command->add_flag("--quiet", o.quiet, "No line a measurement on standard error");
}

void AddCopy(CLI::App* command, BareCopyOptions* options) {
  AddFleet(command, &options->shape, &options->message);
  command->add_option("--database-url", options->database_url, "Where telemetry is")
      ->envname("DATABASE_URL")
      ->required();
  command->add_option("--rows", options->rows, "Rows")->capture_default_str();
  command->add_option("--batch", options->batch, "Rows of a transaction")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--connections", options->connections, "Connections, a thread for each")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
}

int RunBenchmark(BenchArguments* arguments, Stop stop) {
  BenchOptions& options = arguments->options;
  if (!arguments->empty_the_tables) {
    return Fail("bench throws away what is in the database; say --empty-the-tables if it may");
  }
  if (!arguments->password_file.empty()) {
    std::ifstream file(arguments->password_file);
    if (!std::getline(file, options.password)) return Fail("cannot read the password file");
  }
  // Contenders run in directories of their own.
  options.work = std::filesystem::absolute(options.work);
  options.store = std::filesystem::absolute(options.store);
  for (const std::string& name : arguments->names) {
    Result<Contender> contender = LoadContender(arguments->peers, name);
    if (!contender.ok()) return Fail(contender.message());
    options.contenders.push_back(*std::move(contender));
  }
  BenchResult result;
  Status status = RunBench(options, stop, &result);
  if (!status.ok()) return Fail(status.message());
  std::fputs(Table(result).c_str(), stdout);
  status = WriteResult(arguments->json, Json(result));
  if (status.ok()) status = WriteResult(arguments->html, Html(result));
  if (!status.ok()) return Fail(status.message());
  for (const ContenderResult& contender : result.contenders) {
    if (!contender.trouble.empty()) return Fail("not everybody could be measured");
  }
  return 0;
}

}  // namespace

Command BenchCommand(CLI::App* program) {
  auto arguments = std::make_shared<BenchArguments>();
  CLI::App* command =
      program->add_subcommand("bench", "What a message costs, against baselines and peers");
  AddBench(command, arguments.get());
  return {command, [arguments](Stop stop) { return RunBenchmark(arguments.get(), stop); }};
}

Command CopyCommand(CLI::App* program) {
  auto options = std::make_shared<BareCopyOptions>();
  auto own = std::make_shared<bool>(false);
  CLI::App* command =
      program->add_subcommand("copy", "Bare binary COPY of the fleet's rows into telemetry");
  AddCopy(command, options.get());
  AddOwnBroker(command, own.get());
  return {command, [options, own](Stop stop) {
            Status status = *own ? Status::Ok() : CheckDatabaseIsLocal(options->database_url);
            if (status.ok()) status = RunBareCopy(*options, stop);
            return status.ok() ? 0 : Fail(status.message());
          }};
}

}  // namespace sluice::loadtest
