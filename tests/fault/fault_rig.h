// FaultRig: broker, database and daemon with a proxy on both lines, a fleet that publishes, and the
// judge. What a scenario does to them is its own.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "tests/fault/campaign.h"
#include "tests/fault/judge.h"
#include "tests/fault/mqtt_tap.h"
#include "tests/support/sluice_stack.h"
#include "tests/support/tcp_proxy.h"

namespace sluice::testing {

// What a chunk says to PostgreSQL, for the proxy to find it on the line.
inline constexpr const char* kCopyData = "PGCOPY\n";  // how the data of a binary COPY begins
inline constexpr const char* kCommit = "); COMMIT";   // how a chunk's last statement ends

// The daemon with its failpoints compiled in.
std::string FailpointBinary();

// The fleet's size and manners are fixed: 100 devices of 5 tenants; a twentieth of the messages has
// a fault that the daemon must find. One thread at a time.
class FaultRig {
 public:
  // `env` overrides the stack's defaults. Does not start the daemon.
  explicit FaultRig(const Env& env = {}, PostgresServer* server = &SharedPostgres());
  ~FaultRig();

  SluiceStack& stack() { return stack_; }
  MosquittoServer& broker() { return stack_.broker(); }
  TcpProxy& broker_line() { return broker_line_; }      // daemon → broker
  TcpProxy& database_line() { return database_line_; }  // daemon → PostgreSQL
  const MqttTap& tap() const { return tap_; }
  // A second daemon's line to the broker; the same tap reads along.
  std::unique_ptr<TcpProxy> AnotherBrokerLine();

  // From the next fleet on, every message is good.
  void OnlyGood() { percent_of_each_fault_ = "0"; }
  // Publishes until FinishFleet. May be called again after that: the numbers go on.
  void StartFleet(int rate);
  // Publishes exactly `messages` at `rate` and returns when all of them are acknowledged.
  void Publish(int messages, int rate);
  // No more new messages; returns when all are acknowledged.
  void FinishFleet();

  // Waits until the daemon has taken and committed everything, checks its equation
  // (received = stored + quarantined + duplicates + spooled), and judges.
  Judgement Settle(std::chrono::seconds timeout = std::chrono::seconds(60));
  // Empties telemetry, the quarantine and the publishers' log, between two rounds that settled.
  void StartAfresh();
  // Only the judging; with a second daemon, say, whose figures nobody asks.
  Judgement Verdict();

  // The reasons of /ready, joined; "" when it is ready or does not answer.
  std::string NotReadyBecause();
  // Whether /ready soon says no with a reason that holds this text, while /health stays 200.
  bool SoonNotReady(const std::string& text,
                    std::chrono::milliseconds timeout = std::chrono::seconds(20));
  bool SoonReady(std::chrono::milliseconds timeout = std::chrono::seconds(60));
  // The same at the end of a fault; the scenario notes how long it took.
  bool ReadyAgain(Scenario& scenario, std::chrono::milliseconds timeout = std::chrono::seconds(60));
  // Whether the broker soon has nothing left for the daemon, nor the daemon for PostgreSQL: two
  // looks in a row see the same figures.
  bool SoonQuiet(std::chrono::seconds timeout);

 private:
  Judgement Verdict(const AckLog& published);
  void StartFleetProcess(const std::vector<std::string>& amount, int rate);

  SluiceStack stack_;
  MqttTap tap_;
  int lines_ = 1;
  TcpProxy broker_line_;
  TcpProxy database_line_;
  std::unique_ptr<Process> fleet_;
  int fleets_ = 0;
  std::string percent_of_each_fault_ = "1";
};

// Sanitizers keep freed memory: what a process holds says nothing then.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
// VmRSS of a process.
int64_t ResidentKilobytes(pid_t pid);

}  // namespace sluice::testing
