// SluiceStack: the real daemon between a real broker and a real database, for one test.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/postgres.h"
#include "tests/support/http_exchange.h"
#include "tests/support/mosquitto_server.h"
#include "tests/support/postgres_server.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace sluice::testing {

using Env = std::map<std::string, std::string>;

// A device of the registry; tokens are given in the clear and stored hashed.
struct TestDevice {
  std::string tenant = "orchard";
  std::string device = "probe-7";
  std::string site = "north";
  std::string token = "tok-apple";  // "" for none
  std::string status = "ACTIVE";
  std::string subscription = {};
};

// Owns a broker, a fresh database on the shared server (migrated, with the daemon's grants) and a
// spool directory. The daemon is started by Start and may be stopped, killed and started again on
// the same spool. One thread at a time; a failure to set up ends the test program.
class SluiceStack {
 public:
  // `env` overrides the defaults, which suit tests (rate limit out of the way, small flush).
  explicit SluiceStack(const Env& env = {}, PostgresServer* server = &SharedPostgres());
  ~SluiceStack();

  // The daemon started from now on; by default this build's.
  void UseBinary(const std::string& path) { binary_ = path; }
  // Starts the daemon and waits until /ready says yes.
  void Start();
  // Only starts it.
  void Launch();
  // SIGTERM; how it ended. Its last line of standard output is `accounting()`.
  std::optional<ExitStatus> Stop(std::chrono::milliseconds timeout = std::chrono::seconds(30));
  void Kill();  // SIGKILL
  Process& daemon() { return *daemon_; }

  void Register(const TestDevice& device);
  // Runs SQL as the superuser; the last statement's rows.
  PgRows Sql(const std::string& sql);
  int64_t Count(const std::string& from_where);  // "telemetry WHERE …"
  std::string Value(const std::string& sql);     // first column of the first row
  // Somebody waits for a lock in a statement that has `part` in it.
  bool IsLockedOut(const std::string& part);

  // The daemon's answer.
  HttpAnswer Ask(const HttpQuestion& question);
  // Body of an answer of the daemon; "" when it does not answer. `status` may be null.
  std::string Http(const std::string& path, int* status = nullptr);
  // The value of a metric line, e.g. `sluice_stored_messages_total`; -1 when there is none.
  double Metric(const std::string& series);
  std::string accounting() const;  // of the last orderly end
  std::string log() const;

  MosquittoServer& broker() { return broker_; }
  PostgresServer& server() { return server_; }
  const std::string& database() const { return database_; }
  const std::string& spool_dir() const { return spool_dir_; }
  const std::string& http_port() { return env_["HTTP_PORT"]; }
  std::string Path(std::string_view name) const { return directory_.Path(name); }
  Env& env() { return env_; }

 private:
  PostgresServer& server_;
  MosquittoServer broker_;
  TempDir directory_;
  const std::string spool_dir_;
  const std::string database_;
  Env env_;
  std::string binary_;
  std::unique_ptr<PgConnection> sql_;
  std::unique_ptr<Process> daemon_;
};

// Polls until it is true; false when the time is up.
bool Eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds timeout = std::chrono::seconds(20));

// Path of a binary of this build.
std::string BinaryPath(const std::string& name);

}  // namespace sluice::testing
