// PostgresServer: a private PostgreSQL 15 of one test program.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/postgres.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace sluice::testing {

struct PostgresOptions {
  bool fsync = false;                      // nothing here loses power; kill -9 needs no fsync
  std::vector<std::string> settings = {};  // lines for postgresql.conf
};

// Listens on 127.0.0.1 and on a socket in its own directory; everybody is trusted; the superuser is
// "postgres". Data, log and socket go with the object. One thread at a time. Failing to start is
// the end of the test program, with the server's log on stderr.
class PostgresServer {
 public:
  enum class StopMode {
    kFast,       // SIGINT: roll back, checkpoint, exit
    kImmediate,  // SIGQUIT: a crash, but orderly
    kKill,       // SIGKILL: a crash
  };

  explicit PostgresServer(const PostgresOptions& options = {});
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  void Start();  // returns when it answers; on the same port and data as before
  void Stop(StopMode mode = StopMode::kFast);
  void Restart(StopMode mode = StopMode::kFast);
  bool Running();

  uint16_t port() const { return port_; }
  pid_t pid() const { return process_ == nullptr ? 0 : process_->pid(); }
  // For psql and libpq programs.
  std::string socket_dir() const { return directory_.Path("socket"); }
  std::string Conninfo(const std::string& database, const std::string& user = "postgres") const;
  std::string Url(const std::string& database, const std::string& user = "postgres") const;
  std::string Log() const;

  // An empty database with a name of its own.
  std::string CreateDatabase();
  // A connection, or the end of the test program.
  std::unique_ptr<PgConnection> Connect(const std::string& database,
                                        const std::string& user = "postgres") const;

 private:
  void InitializeData(const PostgresOptions& options);
  bool TryStart();

  TempDir directory_;
  const uint16_t port_;
  std::unique_ptr<Process> process_;
  int databases_ = 0;
};

// The server of this test program: started by the first call, stopped at exit.
PostgresServer& SharedPostgres();

}  // namespace sluice::testing
