#include "loadtest/bench.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/postgres.h"
#include "loadtest/fleet.h"
#include "loadtest/process_cpu.h"

namespace sluice::loadtest {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Contenders may write in batches of 1000, so every part of a run is a multiple of it.
constexpr double kPart = 1000;
constexpr double kAtOnce = 1e7;  // messages a second: as many as the broker takes
constexpr seconds kStartPatience{90};
constexpr seconds kStopPatience{30};
// Nothing new for so long: the rest is lost.
constexpr seconds kLostAfter{20};
constexpr seconds kDatabasePatience{120};
// What a contender still does when its last row is there belongs to its cost.
constexpr milliseconds kSettle{500};
// Longer than sessions live, see Environment().
constexpr seconds kSessionsEnd{3};
constexpr milliseconds kAskForRows{250};
constexpr milliseconds kAskForCount{20};

struct Cpu {
  uint64_t broker = 0;
  uint64_t consumer = 0;
  uint64_t database = 0;
};

Cost CostOf(const Cpu& before, const Cpu& after, uint64_t messages) {
  const auto n = static_cast<double>(messages);
  return {static_cast<double>(after.broker - before.broker) / n,
          static_cast<double>(after.consumer - before.consumer) / n,
          static_cast<double>(after.database - before.database) / n};
}

int64_t Micros(milliseconds time) {
  return std::chrono::microseconds(time).count();
}

uint64_t WholeParts(double messages) {
  return static_cast<uint64_t>(std::ceil(messages / kPart) * kPart);
}

Status Failed(const PgError& error) {
  return {ErrorCode::kUnavailable, "PostgreSQL: " + error.Describe()};
}

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown CPU";
}

class Bench {
 public:
  Bench(const BenchOptions& options, const volatile std::sig_atomic_t* stop)
      : options_(options), stop_(stop) {}

  Status Run(BenchResult* result);

 private:
  Status Prepare(BenchResult* result);
  Result<Measurement> Measure(const Contender& contender);
  Status PlayTo(const Contender& contender, const ContenderProcess& process,
                Measurement* measurement);
  Status EmptyTables();
  Status MakeDirectories(const Contender& contender) const;
  ContenderProcess::Environment Environment(const Contender& contender) const;
  Status AwaitReady(const Contender& contender, const ContenderProcess& process) const;
  Status Publish(double rate, uint64_t count, Measurement* measurement);
  // Until everything that was sent is there, or nothing comes any more. Returns when the last that
  // came was noticed.
  Result<UnixMicros> AwaitArrival(const Contender& contender, const ContenderProcess& process,
                                  Measurement* measurement);
  Result<uint64_t> Arrived(const Contender& contender);
  // Messages a second, of `messages` that began to be sent at `started`.
  Result<double> Speed(const Contender& contender, uint64_t messages, UnixMicros started,
                       UnixMicros noticed);
  Cpu ReadCpu(pid_t consumer) const;
  Status Sleep(milliseconds time) const;
  void Show(int run, const Contender& contender, const Measurement& m) const;

  std::filesystem::path Work(const Contender& contender) const {
    return std::filesystem::path(options_.work) / contender.name;
  }
  uint64_t Messages(const Contender& contender) const {
    return WholeParts(options_.rate * contender.share * static_cast<double>(options_.seconds));
  }
  uint64_t MessagesAtOnce(const Contender& contender) const {
    return WholeParts(static_cast<double>(Messages(contender)) / 2);
  }

  const BenchOptions& options_;
  const volatile std::sig_atomic_t* const stop_;
  std::unique_ptr<PgConnection> db_;
};

Status Bench::Run(BenchResult* result) {
  if (Status status = Prepare(result); !status.ok()) return status;
  std::vector<ContenderResult>& all = result->contenders;
  for (int run = 0; run < options_.runs; ++run) {
    for (size_t i = 0; i < all.size(); ++i) {
      ContenderResult& entry = all[(i + static_cast<size_t>(run)) % all.size()];
      if (!entry.trouble.empty()) continue;
      const Result<Measurement> measurement = Measure(entry.contender);
      if (*stop_ != 0) return {ErrorCode::kCancelled, "stopped"};
      if (measurement.ok()) {
        entry.runs.push_back(*measurement);
        Show(run, entry.contender, *measurement);
      } else {
        entry.trouble = measurement.message();
        std::fprintf(stderr, "%s: %s\n", entry.contender.name.c_str(), entry.trouble.c_str());
      }
    }
  }
  return Status::Ok();
}

Status Bench::Prepare(BenchResult* result) {
  auto made = PgConnection::Connect(options_.database_url, kDatabasePatience);
  if (!made.ok()) return Failed(made.error());
  db_ = std::move(*made);
  db_->set_timeout(kDatabasePatience);
  // Parallel workers would count rows on CPU that we could not tell from the contender's.
  auto server = db_->Exec(
      "SET max_parallel_workers_per_gather = 0; SELECT coalesce(inet_server_addr() <<= "
      "'127.0.0.0/8' OR inet_server_addr() = '::1', true), current_setting("
      "'track_commit_timestamp')::bool, current_setting('server_version')");
  if (!server.ok()) return Failed(server.error());
  if (!server->Bool(0, 0)) {
    return {ErrorCode::kRejected,
            "the database is not on this machine; its tables stay as they are"};
  }
  if (!server->Bool(0, 1)) {
    return {ErrorCode::kInvalidArgument, "PostgreSQL needs track_commit_timestamp = on"};
  }
  const ProcessTree processes = ProcessTree::Read();
  for (const int pid : {options_.broker_pid, options_.postgres_pid}) {
    if (processes.CpuMicros(pid) == 0) {
      return {ErrorCode::kNotFound, "there is no process " + std::to_string(pid)};
    }
  }
  utsname system{};
  ::uname(&system);
  result->machine = std::to_string(::sysconf(_SC_NPROCESSORS_ONLN)) + " cores, " + CpuModel() +
                    ", Linux " + system.release + ", PostgreSQL " + std::string(server->Text(0, 2));
  result->rate = options_.rate;
  result->devices = options_.shape.devices;
  result->payload_bytes = options_.message.payload_bytes;
  for (const Contender& contender : options_.contenders) {
    const double rate = contender.subscribes ? options_.rate * contender.share : 0;
    result->contenders.push_back({contender, rate, {}, ""});
  }
  return Status::Ok();
}

Result<Measurement> Bench::Measure(const Contender& contender) {
  Status status = EmptyTables();
  if (status.ok()) status = MakeDirectories(contender);
  if (!status.ok()) return status;
  Measurement measurement;
  const Cpu before = ReadCpu(0);
  const UnixMicros started = SystemClock().Now();
  auto process =
      ContenderProcess::Start(contender, Environment(contender), Work(contender) / "log");
  if (!process.ok()) return process.status();
  if (contender.subscribes) {
    status = PlayTo(contender, **process, &measurement);
    (*process)->Stop(kStopPatience);
    if (status.ok()) status = Sleep(kSessionsEnd);
    return status.ok() ? Result<Measurement>(measurement) : status;
  }
  measurement.sent = Messages(contender);
  const Result<UnixMicros> noticed = AwaitArrival(contender, **process, &measurement);
  if (!noticed.ok()) return noticed.status();
  if (status = Sleep(kSettle); !status.ok()) return status;
  measurement.cost = CostOf(before, ReadCpu((*process)->pid()), measurement.sent);
  const Result<double> speed = Speed(contender, measurement.arrived, started, *noticed);
  if (!speed.ok()) return speed.status();
  measurement.per_second = *speed;
  return measurement;
}

Status Bench::PlayTo(const Contender& contender, const ContenderProcess& process,
                     Measurement* measurement) {
  Status status = AwaitReady(contender, process);
  if (!status.ok()) return status;
  const Cpu before = ReadCpu(process.pid());
  status = Publish(options_.rate * contender.share, Messages(contender), measurement);
  if (!status.ok()) return status;
  Result<UnixMicros> noticed = AwaitArrival(contender, process, measurement);
  if (!noticed.ok()) return noticed.status();
  if (status = Sleep(kSettle); !status.ok()) return status;
  measurement->cost = CostOf(before, ReadCpu(process.pid()), measurement->sent);

  const uint64_t earlier = measurement->arrived;
  const UnixMicros started = SystemClock().Now();
  status = Publish(kAtOnce, MessagesAtOnce(contender), measurement);
  if (!status.ok()) return status;
  noticed = AwaitArrival(contender, process, measurement);
  if (!noticed.ok()) return noticed.status();
  const Result<double> speed = Speed(contender, measurement->arrived - earlier, started, *noticed);
  if (!speed.ok()) return speed.status();
  measurement->per_second = *speed;
  return Status::Ok();
}

// Partitions of the days around today, so that no row ends in the default one: the daemon makes
// its own, bare COPY does not.
Status Bench::EmptyTables() {
  for (const char* const sql :
       {"TRUNCATE telemetry, quarantine_events, quarantine_counters_minute, ingest_ledger",
        "SELECT sluice_ensure_partition(current_date + day) FROM generate_series(-1, 1) day",
        "CHECKPOINT"}) {
    if (const auto done = db_->Exec(sql); !done.ok()) return Failed(done.error());
  }
  return Status::Ok();
}

Status Bench::MakeDirectories(const Contender& contender) const {
  std::error_code error;
  const std::filesystem::path work = Work(contender);
  std::filesystem::remove_all(work, error);
  if (!error) std::filesystem::create_directories(work, error);
  if (!error) {
    std::filesystem::permissions(work, std::filesystem::perms::owner_all, error);
  }
  return error ? Status(ErrorCode::kIo, work.string() + ": " + error.message()) : Status::Ok();
}

ContenderProcess::Environment Bench::Environment(const Contender& contender) const {
  const std::filesystem::path work = Work(contender);
  return {{"MQTT_HOST", "127.0.0.1"},
          {"MQTT_PORT", std::to_string(options_.port)},
          {"MQTT_USERNAME", options_.username},
          {"MQTT_PASSWORD", options_.password},
          {"MQTT_TOPIC", "tenant/+/device/+/telemetry"},
          {"MQTT_CLIENT_ID", "bench"},
          // A session that is kept, as the broker's work is another without; but gone before the
          // next contender's messages would be queued for it.
          {"MQTT_SESSION_EXPIRY", "1"},
          {"MQTT_RECEIVE_MAXIMUM", "2000"},
          {"DATABASE_URL", options_.database_url},
          {"ROWS", std::to_string(Messages(contender))},
          {"DEVICES", std::to_string(options_.shape.devices)},
          {"BIN", std::filesystem::canonical("/proc/self/exe").parent_path()},
          {"STORE", std::filesystem::path(options_.store) / contender.name},
          {"WORK", work},
          {"READY", work / "ready"},
          {"RECEIVED", work / "received"}};
}

Status Bench::AwaitReady(const Contender& contender, const ContenderProcess& process) const {
  const std::filesystem::path ready = Work(contender) / "ready";
  const int64_t deadline = SystemClock().Monotonic() + Micros(kStartPatience);
  while (!std::filesystem::exists(ready)) {
    if (!process.Running() || SystemClock().Monotonic() > deadline) {
      return {ErrorCode::kTimeout, "did not subscribe; see " + (Work(contender) / "log").string()};
    }
    if (Status status = Sleep(milliseconds(50)); !status.ok()) return status;
  }
  return Sleep(kSettle);
}

Status Bench::Publish(double rate, uint64_t count, Measurement* measurement) {
  FleetOptions fleet;
  fleet.links.port = options_.port;
  fleet.links.username = options_.username;
  fleet.links.password = options_.password;
  fleet.shape = options_.shape;
  fleet.message = options_.message;
  fleet.rate = rate;
  fleet.count = count;
  fleet.first_seq = measurement->sent + 1;
  fleet.quiet = true;
  FleetReport report;
  Status status = RunFleet(fleet, stop_, &report);
  measurement->sent += report.acknowledged;
  if (!status.ok()) return status;
  if (!report.complete()) {
    return {ErrorCode::kTimeout, "the broker did not acknowledge everything: " + report.Line()};
  }
  return Status::Ok();
}

Result<UnixMicros> Bench::AwaitArrival(const Contender& contender, const ContenderProcess& process,
                                       Measurement* measurement) {
  UnixMicros noticed = SystemClock().Now();
  for (;;) {
    const bool running = process.Running();
    const Result<uint64_t> arrived = Arrived(contender);
    if (!arrived.ok()) return arrived.status();
    const UnixMicros now = SystemClock().Now();
    if (*arrived > measurement->arrived) {
      measurement->arrived = *arrived;
      noticed = now;
    }
    if (measurement->arrived >= measurement->sent) return noticed;
    if (!running) {
      return Status(ErrorCode::kUnavailable,
                    "ended too early; see " + (Work(contender) / "log").string());
    }
    if (now - noticed > Micros(kLostAfter)) return noticed;
    Status status = Sleep(contender.table.empty() ? kAskForCount : kAskForRows);
    if (!status.ok()) return status;
  }
}

Result<uint64_t> Bench::Arrived(const Contender& contender) {
  if (contender.table.empty()) {
    std::ifstream file(Work(contender) / "received");
    uint64_t received = 0;
    file >> received;
    return received;
  }
  auto rows = db_->Exec("SELECT count(*) FROM " + db_->QuoteIdentifier(contender.table));
  if (!rows.ok()) return Failed(rows.error());
  return static_cast<uint64_t>(rows->Int(0, 0));
}

Result<double> Bench::Speed(const Contender& contender, uint64_t messages, UnixMicros started,
                            UnixMicros noticed) {
  UnixMicros last = noticed;
  if (!contender.table.empty()) {
    auto commit = db_->Exec(
        "SELECT (extract(epoch FROM max(pg_xact_commit_timestamp(xmin))) * 1000000)::bigint FROM " +
        db_->QuoteIdentifier(contender.table));
    if (!commit.ok()) return Failed(commit.error());
    last = commit->Int(0, 0);
  }
  return last > started ? static_cast<double>(messages) * 1e6 / static_cast<double>(last - started)
                        : 0;
}

// What our own questions cost the database is left out.
Cpu Bench::ReadCpu(pid_t consumer) const {
  const ProcessTree tree = ProcessTree::Read();
  return {tree.CpuMicros(options_.broker_pid), tree.CpuMicros(consumer),
          tree.CpuMicros(options_.postgres_pid) - tree.OwnCpuMicros(db_->backend_pid())};
}

Status Bench::Sleep(milliseconds time) const {
  if (*stop_ != 0) return {ErrorCode::kCancelled, "stopped"};
  std::this_thread::sleep_for(time);
  return Status::Ok();
}

void Bench::Show(int run, const Contender& contender, const Measurement& m) const {
  if (options_.quiet) return;
  std::fprintf(stderr,
               "run %d of %d  %-16s broker %6.2f  consumer %6.2f  database %6.2f us a message  "
               "%7.0f/s  %llu of %llu arrived\n",
               run + 1, options_.runs, contender.name.c_str(), m.cost.broker, m.cost.consumer,
               m.cost.database, m.per_second, static_cast<unsigned long long>(m.arrived),
               static_cast<unsigned long long>(m.sent));
}

}  // namespace

Status RunBench(const BenchOptions& options, const volatile std::sig_atomic_t* stop,
                BenchResult* result) {
  return Bench(options, stop).Run(result);
}

}  // namespace sluice::loadtest
