#include "tests/support/pgbouncer_server.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "tests/support/free_port.h"

namespace sluice::testing {
namespace {

using std::chrono::seconds;

}  // namespace

PgBouncerServer::PgBouncerServer(const PostgresServer& server, int pool_size) : port_(FreePort()) {
  WriteFile(directory_.Path("users"), "\"postgres\" \"\"\n\"sluice_ingest\" \"\"\n");
  WriteFile(directory_.Path("pgbouncer.ini"),
            "[databases]\n"
            "* = host=127.0.0.1 port=" +
                std::to_string(server.port()) +
                "\n"
                "[pgbouncer]\n"
                "listen_addr = 127.0.0.1\n"
                "listen_port = " +
                std::to_string(port_) +
                "\n"
                "unix_socket_dir =\n"
                "auth_type = trust\n"
                "auth_file = " +
                directory_.Path("users") +
                "\n"
                "pool_mode = transaction\n"
                "default_pool_size = " +
                std::to_string(pool_size) + "\n");
  Start();
}

PgBouncerServer::~PgBouncerServer() {
  Kill();
}

void PgBouncerServer::Start() {
  process_ = Process::Start({.argv = {"/usr/sbin/pgbouncer", directory_.Path("pgbouncer.ini")},
                             .stdout_path = directory_.Path("log"),
                             .stderr_path = directory_.Path("log"),
                             .user = "postgres"});  // it refuses to run as root
  if (process_ == nullptr || !WaitForPort(port_, seconds(30)) || !process_->Running()) {
    std::fprintf(stderr, "PgBouncer does not start\n%s\n", Log().c_str());
    std::abort();
  }
}

void PgBouncerServer::Kill() {
  if (process_ == nullptr) return;
  process_->Signal(SIGKILL);
  process_->Wait(seconds(10));
}

std::string PgBouncerServer::Url(const std::string& database, const std::string& user) const {
  return "postgresql://" + user + "@127.0.0.1:" + std::to_string(port_) + "/" + database;
}

std::string PgBouncerServer::Log() const {
  return ReadFile(directory_.Path("log"));
}

}  // namespace sluice::testing
