#include "loadtest/bench_command.h"

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "loadtest/report.h"

namespace sluice::loadtest {
namespace {

int Fail(const std::string& message) {
  std::fprintf(stderr, "sluice-loadtest: %s\n", message.c_str());
  return 1;
}

// False when `path` is not empty and cannot be written.
bool WriteFile(const std::string& path, const std::string& text) {
  if (path.empty()) return true;
  std::ofstream file(path, std::ios::trunc);
  file << text;
  return file.flush().good();
}

void AddFleet(CLI::App* command, FleetShape* shape, MessageOptions* message) {
  command->add_option("--devices", shape->devices, "Devices of 5 tenants")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--metrics", message->metrics, "Metrics per reading")
      ->check(CLI::Range(0, 50))
      ->capture_default_str();
}

}  // namespace

BenchCommand::BenchCommand(CLI::App* app)
    : bench_(app->add_subcommand("bench", "What a message costs, against baselines and peers")),
      copy_(app->add_subcommand("copy", "Bare binary COPY of the fleet's rows into telemetry")) {
  options_.shape.devices = copy_options_.shape.devices = 1000;
  AddServers();
  AddFleet(bench_, &options_.shape, &options_.message);
  BenchOptions& o = options_;
  bench_->add_option("contenders", names_, "Names of directories in --peers")
      ->capture_default_str();
  bench_->add_option("--peers", peers_, "Directory of the contenders")->capture_default_str();
  bench_->add_option("--payload-bytes", o.message.payload_bytes, "Payloads are padded to this")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  bench_->add_option("--rate", o.rate, "Messages a second while CPU is measured")
      ->check(CLI::Range(1.0, 1e6))
      ->capture_default_str();
  bench_->add_option("--for", o.seconds, "Seconds of that")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  bench_->add_option("--runs", o.runs, "How often each contender is measured")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  bench_->add_option("--work", o.work, "Directory for what contenders write")->required();
  bench_->add_option("--store", o.store, "Directory of what they were prepared with")->required();
  bench_->add_option("--json", json_, "Write the figures to this file");
  bench_->add_option("--html", html_, "Write a page with charts to this file");
  bench_->add_flag("--quiet", o.quiet, "No line a measurement on standard error");

  AddFleet(copy_, &copy_options_.shape, &copy_options_.message);
  copy_->add_option("--database-url", copy_options_.database_url, "Where telemetry is")
      ->envname("DATABASE_URL")
      ->required();
  copy_->add_option("--rows", copy_options_.rows, "Rows")->capture_default_str();
  copy_->add_option("--batch", copy_options_.batch, "Rows of a transaction")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  copy_->add_option("--connections", copy_options_.connections, "Connections, a thread for each")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
}

void BenchCommand::AddServers() {
  BenchOptions& o = options_;
  bench_->add_option("--port", o.port, "The broker's port at 127.0.0.1")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  bench_->add_option("--username", o.username, "MQTT user that may publish and read everything");
  bench_->add_option("--password-file", password_file_, "File with its password")
      ->check(CLI::ExistingFile);
  bench_->add_option("--broker-pid", o.broker_pid, "The broker's process")->required();
  bench_->add_option("--database-url", o.database_url, "A database on this machine; migrated")
      ->envname("DATABASE_URL")
      ->required();
  bench_->add_option("--postgres-pid", o.postgres_pid, "PostgreSQL's first process")->required();
  bench_->add_flag("--empty-the-tables", empty_the_tables_,
                   "Yes: throw away what is in telemetry, quarantine and ledger");
}

std::optional<int> BenchCommand::Run(const volatile std::sig_atomic_t* stop) {
  if (*bench_) return RunBenchmark(stop);
  if (!*copy_) return std::nullopt;
  const Status status = RunBareCopy(copy_options_, stop);
  return status.ok() ? 0 : Fail(status.message());
}

int BenchCommand::RunBenchmark(const volatile std::sig_atomic_t* stop) {
  if (!empty_the_tables_) {
    return Fail("bench throws away what is in the database; say --empty-the-tables if it may");
  }
  if (!password_file_.empty()) {
    std::ifstream file(password_file_);
    if (!std::getline(file, options_.password)) return Fail("cannot read the password file");
  }
  // Contenders run in directories of their own.
  options_.work = std::filesystem::absolute(options_.work);
  options_.store = std::filesystem::absolute(options_.store);
  for (const std::string& name : names_) {
    Result<Contender> contender = LoadContender(peers_, name);
    if (!contender.ok()) return Fail(contender.message());
    options_.contenders.push_back(*std::move(contender));
  }
  // A broker that goes away is seen by its connection.
  std::signal(SIGPIPE, SIG_IGN);
  BenchResult result;
  const Status status = RunBench(options_, stop, &result);
  if (!status.ok()) return Fail(status.message());
  std::fputs(Table(result).c_str(), stdout);
  if (!WriteFile(json_, Json(result))) return Fail("cannot write " + json_);
  if (!WriteFile(html_, Html(result))) return Fail("cannot write " + html_);
  return 0;
}

}  // namespace sluice::loadtest
