#include "tests/fault/fault_rig.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kTenants = "5";
constexpr const char* kDevices = "100";
// Each leaves a payload that the judge can read the number in.
constexpr const char* kBadKinds = "wrong_token,no_token,wrong_site,unknown_device,tenant_mismatch";
constexpr seconds kArrivesWithin{20};
constexpr int64_t kNumbersPerFleet = 1'000'000'000;

Env WithRoomForRejects(const Env& env) {
  Env all = {{"QUARANTINE_PER_DEVICE_PER_MINUTE", "1000000"}, {"QUARANTINE_PER_MINUTE", "1000000"}};
  for (const auto& [name, value] : env) all[name] = value;
  return all;
}

std::string WithPort(std::string url, uint16_t from, uint16_t to) {
  const std::string port = ":" + std::to_string(from) + "/";
  return url.replace(url.find(port), port.size(), ":" + std::to_string(to) + "/");
}

}  // namespace

std::string FailpointBinary() {
  return BinaryPath("sluice-failpoints");
}

FaultRig::FaultRig(const Env& env, PostgresServer* server)
    : stack_(WithRoomForRejects(env), server),
      broker_line_(stack_.broker().port(),
                   [this](int connection, bool to_server, std::string_view bytes) {
                     tap_.See(connection, to_server, bytes);
                   }),
      database_line_(server->port()) {
  stack_.env()["MQTT_PORT"] = std::to_string(broker_line_.port());
  stack_.env()["DATABASE_URL"] =
      WithPort(stack_.env()["DATABASE_URL"], server->port(), database_line_.port());
  const std::string sql = stack_.Path("register.sql");
  sluice::testing::Run({.argv = {BinaryPath("sluice-loadtest"), "register", "--tenants", kTenants,
                                 "--devices", kDevices},
                        .stdout_path = sql});
  stack_.Sql(ReadFile(sql));
}

FaultRig::~FaultRig() = default;

std::unique_ptr<TcpProxy> FaultRig::AnotherBrokerLine() {
  const int first = lines_++ * MqttTap::kLineNumbers;
  return std::make_unique<TcpProxy>(
      broker().port(), [this, first](int connection, bool to_server, std::string_view bytes) {
        tap_.See(first + connection, to_server, bytes);
      });
}

void FaultRig::StartFleetProcess(const std::vector<std::string>& amount, int rate) {
  std::vector<std::string> argv = {BinaryPath("sluice-loadtest"),
                                   "fleet",
                                   "--port",
                                   std::to_string(broker().port()),
                                   "--tenants",
                                   kTenants,
                                   "--devices",
                                   kDevices,
                                   "--rate",
                                   std::to_string(rate),
                                   "--kinds",
                                   kBadKinds,
                                   "--bad-percent",
                                   percent_of_each_fault_,
                                   "--seed",
                                   std::to_string(Seed()),
                                   "--first-seq",
                                   std::to_string(1 + kNumbersPerFleet * fleets_++),
                                   "--reconnect",
                                   "--drain-seconds",
                                   "120",
                                   "--ack-log",
                                   stack_.Path("acked"),
                                   "--quiet"};
  argv.insert(argv.end(), amount.begin(), amount.end());
  fleet_ = Process::Start({.argv = argv,
                           .stdout_path = stack_.Path("fleet.out"),
                           .stderr_path = stack_.Path("fleet.out")});
}

void FaultRig::StartFleet(int rate) {
  StartFleetProcess({"--for", "0"}, rate);
}

void FaultRig::Publish(int messages, int rate) {
  StartFleetProcess({"--count", std::to_string(messages)}, rate);
  const auto ended = fleet_->Wait(seconds(messages / rate + 130));
  ASSERT_TRUE(ended.has_value());
  ASSERT_EQ(ended->code, 0) << ReadFile(stack_.Path("fleet.out"));
}

void FaultRig::FinishFleet() {
  // Not while it still connects.
  EXPECT_TRUE(Eventually([this] {
    std::error_code none_yet;
    return std::filesystem::file_size(stack_.Path("acked"), none_yet) > 0 && !none_yet;
  })) << "nothing was acknowledged";
  fleet_->Signal(SIGTERM);
  const auto ended = fleet_->Wait(seconds(130));
  ASSERT_TRUE(ended.has_value());
  ASSERT_EQ(ended->code, 0) << ReadFile(stack_.Path("fleet.out"));
}

Judgement FaultRig::Settle(seconds timeout) {
  // What the publishers know to be safe should reach the daemon. If something never does, the judge
  // says so; this only spares it a verdict that comes too early.
  const AckLog published = ReadAckLog(stack_.Path("acked"));
  (void)Eventually([&] { return tap_.HasAcknowledged(published); }, kArrivesWithin);
  EXPECT_TRUE(SoonQuiet(timeout)) << "backlog " << stack_.Metric("sluice_spool_backlog_records")
                                  << ", /ready: " << stack_.Http("/ready");
  EXPECT_EQ(stack_.Metric("sluice_accounting_gap_messages"), 0);
  return Verdict(published);
}

bool FaultRig::SoonQuiet(seconds timeout) {
  double before = -1;
  return Eventually(
      [&] {
        std::this_thread::sleep_for(milliseconds(300));
        const double now = stack_.Metric("sluice_received_messages_total");
        return std::exchange(before, now) == now && now >= 0 &&
               stack_.Metric("sluice_spool_backlog_records") == 0 &&
               stack_.Metric("sluice_mqtt_up") == 1;
      },
      timeout);
}

Judgement FaultRig::Verdict() {
  return Verdict(ReadAckLog(stack_.Path("acked")));
}

Judgement FaultRig::Verdict(const AckLog& published) {
  EXPECT_GT(tap_.acknowledgements(), 0U) << "nothing was seen on the wire";
  const auto db = stack_.server().Connect(stack_.database());
  return Judge(*db, published, &tap_);
}

void FaultRig::StartAfresh() {
  stack_.Sql("TRUNCATE telemetry, quarantine_events");
  std::ofstream(stack_.Path("acked"), std::ios::trunc).flush();
  tap_.Forget();
}

std::string FaultRig::NotReadyBecause() {
  int status = 0;
  const std::string body = stack_.Http("/ready", &status);
  if (status != 503) return "";
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.contains("reasons")) return body;
  std::string all;
  for (const auto& reason : json["reasons"]) {
    all += (all.empty() ? "" : "; ") + reason.get<std::string>();
  }
  return all;
}

bool FaultRig::SoonNotReady(const std::string& text, milliseconds timeout) {
  std::string last;
  const bool said = Eventually(
      [&] { return (last = NotReadyBecause()).find(text) != std::string::npos; }, timeout);
  if (!said) std::printf("/ready said last: %s\n", last.c_str());
  int health = 0;
  stack_.Http("/health", &health);
  EXPECT_EQ(health, 200);
  return said;
}

bool FaultRig::SoonReady(milliseconds timeout) {
  return Eventually(
      [&] {
        int status = 0;
        stack_.Http("/ready", &status);
        return status == 200;
      },
      timeout);
}

bool FaultRig::ReadyAgain(Scenario& scenario, milliseconds timeout) {
  const auto start = std::chrono::steady_clock::now();
  if (!SoonReady(timeout)) return false;
  scenario.Recovered(std::chrono::steady_clock::now() - start);
  return true;
}

int64_t ResidentKilobytes(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::atoll(line.c_str() + 6);
  }
  return 0;
}

}  // namespace sluice::testing
