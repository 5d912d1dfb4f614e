// sluice-loadtest: a simulated fleet, the registry rows it needs, and a live view of the daemon.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>

#include "loadtest/bench_command.h"
#include "loadtest/fleet.h"
#include "loadtest/model.h"
#include "loadtest/watch.h"

namespace {

using sluice::loadtest::FleetOptions;
using sluice::loadtest::FleetReport;
using sluice::loadtest::FleetShape;
using sluice::loadtest::LinkOptions;
using sluice::loadtest::Proof;
using sluice::loadtest::WatchOptions;

volatile std::sig_atomic_t g_stop = 0;

// The first signal asks for an orderly end, a second one kills.
void OnSignal(int signal) {
  g_stop = 1;
  std::signal(signal, SIG_DFL);
}

void AddShape(CLI::App* command, FleetShape* shape) {
  command->add_option("--tenants", shape->tenants, "Tenants")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command->add_option("--devices", shape->devices, "Devices of all tenants together")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command
      ->add_option("--token-prefix", shape->token_prefix,
                   "A device's token is PREFIX-<tenant>-<device>")
      ->capture_default_str();
}

struct FleetArguments {
  FleetOptions options;
  std::string password_file;
  bool login = false;
  std::string kinds = "all";
};

void AddBroker(CLI::App* command, FleetArguments* arguments) {
  LinkOptions& o = arguments->options.links;
  command->add_option("--host", o.host, "The broker")->capture_default_str();
  command->add_option("--port", o.port, "Its port")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  command->add_option("--username", o.username, "MQTT user name");
  auto* password = command->add_option("--password", o.password,
                                       "MQTT password; others on this machine can see it");
  command->add_option("--password-file", arguments->password_file, "File with the MQTT password")
      ->check(CLI::ExistingFile)
      ->excludes(password);
  auto* connections =
      command->add_option("--connections", o.connections, "Connections, shared by the devices");
  connections->check(CLI::Range(1, 1000))->capture_default_str();
  command
      ->add_flag("--login", arguments->login,
                 "A connection for each device, which logs in as TENANT/DEVICE with its token; "
                 "--username names the service that sends what no device may")
      ->excludes(connections)
      ->needs("--username");
  command
      ->add_option("--max-inflight", o.window,
                   "Unacknowledged messages per connection before it lags")
      ->check(CLI::Range(1, 60000))
      ->capture_default_str();
  command->add_flag("--reconnect", o.reconnect,
                    "Survive lost connections; send unacknowledged messages again");
}

void AddCertificates(CLI::App* command, LinkOptions* o) {
  auto* directory =
      command
          ->add_option("--certificates", o->certificates,
                       "Devices with device.crt and device.key in DIR/TENANT/DEVICE show these "
                       "instead of a token")
          ->check(CLI::ExistingDirectory)
          ->needs("--login");
  command->add_option("--tls-port", o->tls_port, "The broker's port for certificates")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  auto* ca =
      command->add_option("--ca", o->ca_file, "Who may have signed the broker's certificate");
  ca->check(CLI::ExistingFile);
  directory->needs(ca);
}

void AddTraffic(CLI::App* command, FleetArguments* arguments) {
  FleetOptions& o = arguments->options;
  command->add_option("--rate", o.rate, "Messages a second, whatever the broker does")
      ->check(CLI::Range(0.001, 1e7))
      ->capture_default_str();
  command->add_option("--for", o.seconds, "Seconds; 0 is until a signal")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  command->add_option("--count", o.count, "Messages; 0 is without limit")->capture_default_str();
  command->add_option("--payload-bytes", o.message.payload_bytes, "Payloads are padded to this")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("--oversize-bytes", o.message.oversize_bytes, "Payload of the kind oversized")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("--metrics", o.message.metrics, "Metrics per reading")
      ->check(CLI::Range(0, 50))
      ->capture_default_str();
  command->add_option("--readings", o.message.readings, "Readings per message")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--bad-percent", o.bad_percent, "Percentage of each bad kind")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command->add_option("--kinds", arguments->kinds, "Bad kinds, separated by commas, or all")
      ->capture_default_str();
  command->add_option("--first-seq", o.first_seq, "First seq of each device")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 62))
      ->capture_default_str();
  command->add_option("--seed", o.seed, "Which messages are bad follows from it")
      ->capture_default_str();
  command->add_option("--drain-seconds", o.drain_seconds, "Wait for the last acknowledgements")
      ->check(CLI::Range(0, 3600))
      ->capture_default_str();
  command->add_option("--ack-log", o.ack_log,
                      "Append 'tenant device seq [kind]' per acknowledged message");
  command->add_flag("--quiet", o.quiet, "No line a second on standard error");
}

int Fail(const std::string& message) {
  std::fprintf(stderr, "sluice-loadtest: %s\n", message.c_str());
  return 1;
}

int RunFleetCommand(FleetArguments* arguments) {
  FleetOptions& options = arguments->options;
  if (!arguments->password_file.empty()) {
    std::ifstream file(arguments->password_file);
    if (!std::getline(file, options.links.password)) return Fail("cannot read the password file");
  }
  options.message.proof = arguments->login ? Proof::kLogin : Proof::kPayload;
  options.links.quiet = options.quiet;
  auto kinds = sluice::loadtest::ParseBadKinds(arguments->kinds, options.message.proof);
  if (!kinds.ok()) return Fail(kinds.message());
  if (options.bad_percent > 0) options.bad_kinds = *kinds;
  if (static_cast<double>(options.bad_kinds.size()) * options.bad_percent > 100) {
    return Fail("--bad-percent times the number of bad kinds is above 100");
  }
  // A broker that goes away is seen by its connection; every connection is a descriptor.
  std::signal(SIGPIPE, SIG_IGN);
  rlimit descriptors{};
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
  FleetReport report;
  const sluice::Status status = RunFleet(options, &g_stop, &report);
  std::printf("%s\n", report.Line().c_str());
  if (!status.ok()) return Fail(status.message());
  if (!report.complete()) return Fail("not everything was acknowledged");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Load for sluice: a simulated MQTT fleet and a live view.");
  app.require_subcommand(1);
  FleetShape shape;
  FleetArguments fleet_arguments;
  WatchOptions watch_options;

  CLI::App* fleet = app.add_subcommand("fleet", "Publish as a fleet, open loop");
  AddBroker(fleet, &fleet_arguments);
  AddCertificates(fleet, &fleet_arguments.options.links);
  AddShape(fleet, &fleet_arguments.options.shape);
  AddTraffic(fleet, &fleet_arguments);
  CLI::App* registry = app.add_subcommand("register", "Print the SQL that registers the fleet");
  AddShape(registry, &shape);
  CLI::App* watch = app.add_subcommand("watch", "Show the daemon's /metrics, a line a second");
  watch->add_option("--url", watch_options.url, "Where the daemon answers")->capture_default_str();
  watch->add_option("--for", watch_options.seconds, "Seconds; 0 is until a signal")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  sluice::loadtest::BenchCommand bench(&app);
  CLI11_PARSE(app, argc, argv);

  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
  if (*registry) {
    std::fputs(RegisterSql(shape).c_str(), stdout);
    return std::fflush(stdout) == 0 ? 0 : 1;
  }
  if (*watch) {
    Watch(watch_options, &g_stop);
    return 0;
  }
  if (const std::optional<int> exit_status = bench.Run(&g_stop)) return *exit_status;
  return RunFleetCommand(&fleet_arguments);
}
