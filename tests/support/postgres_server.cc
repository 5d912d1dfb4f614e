#include "tests/support/postgres_server.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "tests/support/free_port.h"

namespace sluice::testing {
namespace {

using std::chrono::seconds;

constexpr const char* kBinaries = "/usr/lib/postgresql/15/bin/";
constexpr const char* kUser = "postgres";  // PostgreSQL refuses to run as root

[[noreturn]] void Fatal(const std::string& what, const std::string& log) {
  std::fprintf(stderr, "%s\n%s\n", what.c_str(), log.c_str());
  std::abort();
}

void MakeOwnedDirectory(const std::string& path) {
  bool made = mkdir(path.c_str(), 0755) == 0;
  if (made && geteuid() == 0) {
    const passwd* entry = getpwnam(kUser);
    made = entry != nullptr && chown(path.c_str(), entry->pw_uid, entry->pw_gid) == 0;
  }
  if (!made) Fatal("cannot make " + path, "");
}

}  // namespace

PostgresServer::PostgresServer(const PostgresOptions& options) : port_(FreePort()) {
  InitializeData(options);
  Start();
}

PostgresServer::~PostgresServer() {
  Stop(StopMode::kImmediate);
}

void PostgresServer::InitializeData(const PostgresOptions& options) {
  MakeOwnedDirectory(directory_.Path("data"));
  MakeOwnedDirectory(directory_.Path("socket"));
  const std::optional<ExitStatus> made = Run(
      {.argv = {std::string(kBinaries) + "initdb", "-D", directory_.Path("data"), "-U", "postgres",
                "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"},
       .env = {{"LC_ALL", "C.UTF-8"}},
       .stdout_path = directory_.Path("log"),
       .stderr_path = directory_.Path("log"),
       .user = kUser},
      seconds(120));
  if (!made.has_value() || made->code != 0) Fatal("initdb failed", Log());

  const std::string durable = options.fsync ? "on" : "off";
  std::string settings =
      "listen_addresses = '127.0.0.1'\n"
      "port = " +
      std::to_string(port_) +
      "\n"
      "unix_socket_directories = '" +
      socket_dir() +
      "'\n"
      "fsync = " +
      durable +
      "\n"
      "full_page_writes = " +
      durable +
      "\n"
      "max_connections = 100\n"
      "shared_buffers = 64MB\n"
      "max_wal_size = 2GB\n"
      "timezone = 'UTC'\n"
      "log_timezone = 'UTC'\n";
  for (const std::string& line : options.settings) settings += line + "\n";
  // A file of root's that the server may read; auto.conf is read last.
  WriteFile(directory_.Path("sluice.conf"), settings);
  const std::string main_file = directory_.Path("data/postgresql.conf");
  WriteFile(main_file, ReadFile(main_file) + "include '" + directory_.Path("sluice.conf") + "'\n");
}

bool PostgresServer::TryStart() {
  process_ =
      Process::Start({.argv = {std::string(kBinaries) + "postgres", "-D", directory_.Path("data")},
                      .stdout_path = directory_.Path("log"),
                      .stderr_path = directory_.Path("log"),
                      .user = kUser,
                      .parent_death_signal = SIGQUIT});
  if (process_ == nullptr) Fatal("cannot start PostgreSQL", Log());
  const auto deadline = std::chrono::steady_clock::now() + seconds(60);
  while (process_->Running() && std::chrono::steady_clock::now() < deadline) {
    if (PgConnection::Connect(Conninfo("postgres"), seconds(5)).ok()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

void PostgresServer::Start() {
  if (Running()) return;
  // After SIGKILL the old backends may hold the shared memory for a moment.
  for (int attempt = 0; attempt < 50; ++attempt) {
    if (TryStart()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  Fatal("PostgreSQL does not start", Log());
}

void PostgresServer::Stop(StopMode mode) {
  if (!Running()) return;
  process_->Signal(mode == StopMode::kFast        ? SIGINT
                   : mode == StopMode::kImmediate ? SIGQUIT
                                                  : SIGKILL);
  if (!process_->Wait(seconds(60)).has_value()) {
    process_->Signal(SIGKILL);
    process_->Wait(seconds(10));
  }
}

void PostgresServer::Restart(StopMode mode) {
  Stop(mode);
  Start();
}

bool PostgresServer::Running() {
  return process_ != nullptr && process_->Running();
}

std::string PostgresServer::Conninfo(const std::string& database, const std::string& user) const {
  return "host=127.0.0.1 port=" + std::to_string(port_) + " dbname=" + database + " user=" + user;
}

std::string PostgresServer::Url(const std::string& database, const std::string& user) const {
  return "postgresql://" + user + "@127.0.0.1:" + std::to_string(port_) + "/" + database;
}

std::string PostgresServer::Log() const {
  return ReadFile(directory_.Path("log"));
}

std::unique_ptr<PgConnection> PostgresServer::Connect(const std::string& database,
                                                      const std::string& user) const {
  PgResult<std::unique_ptr<PgConnection>> connection =
      PgConnection::Connect(Conninfo(database, user), seconds(30));
  if (!connection.ok()) Fatal("cannot connect: " + connection.error().Describe(), Log());
  return std::move(*connection);
}

std::string PostgresServer::CreateDatabase() {
  std::string name = "test_" + std::to_string(++databases_);
  PgResult<PgRows> created = Connect("postgres")->Exec("CREATE DATABASE " + name);
  if (!created.ok()) Fatal("cannot create a database: " + created.error().Describe(), Log());
  return name;
}

PostgresServer& SharedPostgres() {
  // Stopped by gtest and not by exit(), where other statics may be gone already.
  class Environment : public ::testing::Environment {
   public:
    void TearDown() override { server.reset(); }
    std::unique_ptr<PostgresServer> server = std::make_unique<PostgresServer>();
  };
  static auto* environment = new Environment();
  static const bool registered = ::testing::AddGlobalTestEnvironment(environment) != nullptr;
  (void)registered;
  return *environment->server;
}

}  // namespace sluice::testing
