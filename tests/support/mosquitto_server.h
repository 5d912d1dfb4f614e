// MosquittoServer: a private broker of one test program.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace sluice::testing {

struct MosquittoOptions {
  std::string username = {};  // with one: no anonymous clients
  std::string password = {};
  // Added to mosquitto.conf, e.g. another listener or a plugin.
  std::vector<std::string> lines = {};
};

// What a broker with our plugin needs in its environment: the sanitizer's runtime, if there is one.
std::map<std::string, std::string> PluginEnvironment();

// deploy/mosquitto/mosquitto.conf, as it is shipped, with one plain listener on 127.0.0.1. One
// thread at a time. Failing to start is the end of the test program, with the broker's log on
// stderr.
class MosquittoServer {
 public:
  explicit MosquittoServer(const MosquittoOptions& options = {});
  ~MosquittoServer();
  MosquittoServer(const MosquittoServer&) = delete;
  MosquittoServer& operator=(const MosquittoServer&) = delete;

  void Start();    // returns when it accepts connections; keeps port and data
  void Stop();     // SIGTERM
  void Kill();     // SIGKILL; takes what the broker has not saved
  void Restart();  // Stop, Start
  void Forget();   // while it does not run: what it has saved is gone
  void Signal(int signal);
  bool Running();

  uint16_t port() const { return port_; }
  pid_t pid() const { return process_ == nullptr ? 0 : process_->pid(); }
  std::string Uri() const { return "tcp://127.0.0.1:" + std::to_string(port_); }
  std::string Log() const;

 private:
  void WriteConfiguration(const MosquittoOptions& options);

  TempDir directory_;
  const uint16_t port_;
  std::unique_ptr<Process> process_;
};

}  // namespace sluice::testing
