// PgBouncerServer: a private PgBouncer in transaction mode in front of a test program's PostgreSQL.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tests/support/postgres_server.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace sluice::testing {

// Listens on 127.0.0.1, lets in whom PostgreSQL lets in by name, and shares `pool_size` connections
// among all clients of a user and a database. One thread at a time. Failing to start is the end of
// the test program, with its log on stderr.
class PgBouncerServer {
 public:
  // `server` must outlive it.
  PgBouncerServer(const PostgresServer& server, int pool_size);
  ~PgBouncerServer();
  PgBouncerServer(const PgBouncerServer&) = delete;
  PgBouncerServer& operator=(const PgBouncerServer&) = delete;

  void Start();  // returns when it answers; on the same port as before
  void Kill();   // SIGKILL: every client's and server's line breaks

  // As PostgresServer's.
  std::string Url(const std::string& database, const std::string& user = "postgres") const;
  std::string Log() const;

 private:
  TempDir directory_;
  const uint16_t port_;
  std::unique_ptr<Process> process_;
};

}  // namespace sluice::testing
