#include "loadtest/options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <fstream>

#include "base/http_get.h"
#include "loadtest/targets.h"

namespace sluice::loadtest {
namespace {

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
  Dialect& dialect = arguments->options.message.dialect;
  command->add_option("--mqtt", dialect.version, "3: MQTT 3.1.1, 5: MQTT 5")
      ->check(CLI::IsMember({3, 5}))
      ->capture_default_str();
  command
      ->add_option("--qos", dialect.qos,
                   "1, or 0, where a message counts as acknowledged when the kernel has taken it")
      ->check(CLI::IsMember({0, 1}))
      ->capture_default_str();
  command
      ->add_option("--max-inflight", o.window,
                   "Unacknowledged messages per connection before it lags")
      ->check(CLI::Range(1, 60000))
      ->capture_default_str();
  command->add_flag("--reconnect", o.reconnect,
                    "Survive lost connections; send unacknowledged messages again");
  AddOwnBroker(command, &arguments->own_broker);
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

void AddTimetable(CLI::App* command, FleetOptions* o) {
  command->add_option("--rate", o->rate, "Messages a second, whatever the broker does")
      ->check(CLI::Range(0.001, 1e7))
      ->capture_default_str();
  command->add_option("--for", o->seconds, "Seconds; 0 is until a signal")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  command->add_option("--count", o->count, "Messages; 0 is without limit")->capture_default_str();
  auto* every =
      command->add_option("--burst-every", o->burst_every, "Seconds from one burst to the next");
  auto* size = command->add_option("--burst-size", o->burst_size,
                                   "Messages of a burst, due at one moment, besides the rate");
  every->check(CLI::Range(0.001, 1e6))->needs(size);
  size->check(CLI::Range(1, 10000000))->needs(every);
  command
      ->add_option("--storm-every", o->storm_every,
                   "Seconds; then all connections are cut and connect again (sets --reconnect)")
      ->check(CLI::Range(0.1, 1e6));
}

void AddMessages(CLI::App* command, FleetArguments* arguments) {
  FleetOptions& o = arguments->options;
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

Result<std::pair<std::string, int>> ParsePid(const std::string& text) {
  const size_t equals = text.find('=');
  int pid = 0;
  const char* const end = text.data() + text.size();
  if (equals != std::string::npos && equals > 0) {
    const auto parsed = std::from_chars(text.data() + equals + 1, end, pid);
    if (parsed.ec == std::errc() && parsed.ptr == end && pid > 0) {
      return std::pair(text.substr(0, equals), pid);
    }
  }
  return Status(ErrorCode::kInvalidArgument, "--pid wants NAME=PID, not " + text);
}

}  // namespace

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

void AddFleet(CLI::App* command, FleetArguments* arguments) {
  AddBroker(command, arguments);
  AddCertificates(command, &arguments->options.links);
  AddShape(command, &arguments->options.shape);
  AddTimetable(command, &arguments->options);
  AddMessages(command, arguments);
}

void AddPlay(CLI::App* command, PlayArguments* arguments) {
  AddFleet(command, &arguments->fleet);
  command->remove_option(command->get_option("--first-seq"));
  command->add_option("--name", arguments->name, "What the report calls it")->capture_default_str();
  command
      ->add_option("--database,--database-url", arguments->database,
                   "Where the messages end, for the verdict and the latency; others on this "
                   "machine can see it, so a password is better off in DATABASE_URL")
      ->envname("DATABASE_URL");
  command->add_option("--metrics-url", arguments->metrics_url,
                      "Where the daemon answers, for what it has finished and its backlog");
  command->add_option("--pid", arguments->pids, "NAME=PID of a process whose CPU is shown; often")
      ->allow_extra_args(false);
  command
      ->add_option("--settle", arguments->settle_seconds,
                   "Seconds without news after which what has not arrived is missing")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  command->add_option("--json", arguments->json, "Write the result to this file");
  command->add_option("--html", arguments->html, "Write a page with charts to this file");
}

void AddOwnBroker(CLI::App* command, bool* own_broker) {
  command->add_flag("--i-own-this-broker", *own_broker,
                    "Allows servers that are not on this machine");
}

Result<FleetOptions> Complete(const FleetArguments& arguments) {
  FleetOptions options = arguments.options;
  if (!arguments.own_broker) {
    Status status = CheckIsLocal("the broker", options.links.host);
    if (!status.ok()) return status;
  }
  if (!arguments.password_file.empty()) {
    std::ifstream file(arguments.password_file);
    if (!std::getline(file, options.links.password)) {
      return Status(ErrorCode::kIo, "cannot read the password file");
    }
  }
  options.message.proof = arguments.login ? Proof::kLogin : Proof::kPayload;
  options.links.quiet = options.quiet;
  if (options.storm_every > 0) options.links.reconnect = true;
  auto kinds = ParseBadKinds(arguments.kinds, options.message.proof);
  if (!kinds.ok()) return kinds.status();
  if (options.bad_percent > 0) options.bad_kinds = *kinds;
  if (static_cast<double>(options.bad_kinds.size()) * options.bad_percent > 100) {
    return Status(ErrorCode::kInvalidArgument,
                  "--bad-percent times the number of bad kinds is above 100");
  }
  return options;
}

Result<PlayOptions> Complete(const PlayArguments& arguments) {
  Result<FleetOptions> fleet = Complete(arguments.fleet);
  if (!fleet.ok()) return fleet.status();
  const std::string& url = arguments.metrics_url;
  if (!url.empty() && HostOf(url).empty()) {
    return Status(ErrorCode::kInvalidArgument, "--metrics-url is no http:// URL: " + url);
  }
  if (!arguments.fleet.own_broker) {
    Status status;
    if (!url.empty()) status = CheckIsLocal("the daemon", HostOf(url));
    if (status.ok() && !arguments.database.empty()) {
      status = CheckDatabaseIsLocal(arguments.database);
    }
    if (!status.ok()) return status;
  }
  PlayOptions options;
  options.name = arguments.name;
  options.fleet = *std::move(fleet);
  options.database = arguments.database;
  options.settle = std::chrono::seconds(arguments.settle_seconds);
  options.sampler.metrics_url = url;
  for (const std::string& text : arguments.pids) {
    Result<std::pair<std::string, int>> pid = ParsePid(text);
    if (!pid.ok()) return pid.status();
    options.sampler.pids.insert(*std::move(pid));
  }
  return options;
}

}  // namespace sluice::loadtest
