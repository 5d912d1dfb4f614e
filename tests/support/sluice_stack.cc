#include "tests/support/sluice_stack.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "base/escape.h"
#include "tests/support/free_port.h"

namespace sluice::testing {
namespace {

constexpr const char* kRole = "sluice_ingest";

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "test stack: %s\n", what.c_str());
  std::abort();
}

void RunOrDie(const ProcessOptions& options, const std::string& output) {
  const auto ended = Run(options);
  if (!ended || ended->code != 0) Die(options.argv.front() + " failed:\n" + ReadFile(output));
}

std::string Sha256Hex(const std::string& text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return ToHex({reinterpret_cast<const char*>(digest), sizeof digest});
}

}  // namespace

std::string BinaryPath(const std::string& name) {
  return std::string(SLUICE_BIN_DIR) + "/" + name;
}

bool Eventually(const std::function<bool()>& condition, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

SluiceStack::SluiceStack(const Env& env, PostgresServer* server)
    : server_(*server),
      spool_dir_(directory_.Path("spool")),
      database_(server_.CreateDatabase()),
      binary_(BinaryPath("sluice")),
      sql_(server_.Connect(database_)) {
  env_ = {{"MQTT_HOST", "127.0.0.1"},
          {"MQTT_PORT", std::to_string(broker_.port())},
          {"MQTT_RECONNECT_MIN", "50ms"},
          {"MQTT_RECONNECT_MAX", "500ms"},
          {"HTTP_HOST", "127.0.0.1"},
          {"HTTP_PORT", std::to_string(FreePort())},
          {"SPOOL_DIR", spool_dir_},
          {"SPOOL_SEGMENT_BYTES", "4MiB"},
          {"RETRY_MAX", "500ms"},
          {"SETTINGS_POLL_SECONDS", "1"},
          {"RATE_LIMIT_RPS", "100000"},
          {"RATE_LIMIT_BURST", "100000"},
          {"DATABASE_URL", server_.Url(database_, kRole)}};
  for (const auto& [name, value] : env) env_[name] = value;

  Env as_owner = env_;
  as_owner["DATABASE_URL"] = server_.Url(database_);
  const std::string output = directory_.Path("setup.log");
  RunOrDie({.argv = {BinaryPath("sluice"), "migrate"},
            .env = as_owner,
            .stdout_path = output,
            .stderr_path = output},
           output);
  Sql("DO $$ BEGIN CREATE ROLE " + std::string(kRole) +
      " LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$");
  RunOrDie({.argv = {"psql", "-q", "-v", "ON_ERROR_STOP=1", "-v", "role=" + std::string(kRole),
                     "-d", server_.Url(database_), "-f",
                     std::string(SLUICE_SOURCE_DIR) + "/deploy/postgres/grants.sql"},
            .stdout_path = output,
            .stderr_path = output},
           output);
}

SluiceStack::~SluiceStack() {
  if (::testing::Test::HasFailure() && daemon_) {
    std::fprintf(stderr, "--- the daemon's log\n%s---\n", log().c_str());
  }
}

void SluiceStack::Launch() {
  daemon_ = Process::Start({.argv = {binary_, "ingest"},
                            .env = env_,
                            .stdout_path = directory_.Path("stdout"),
                            .stderr_path = directory_.Path("log")});
  if (!daemon_) Die("cannot start sluice");
}

void SluiceStack::Start() {
  Launch();
  const bool ready = Eventually([this] {
    int status = 0;
    Http("/ready", &status);
    return status == 200 || !daemon_->Running();
  });
  if (!ready || !daemon_->Running()) Die("the daemon did not become ready:\n" + log());
}

std::optional<ExitStatus> SluiceStack::Stop(std::chrono::milliseconds timeout) {
  daemon_->Signal(SIGTERM);
  return daemon_->Wait(timeout);
}

void SluiceStack::Kill() {
  daemon_->Signal(SIGKILL);
  daemon_->Wait(std::chrono::seconds(10));
}

void SluiceStack::Register(const TestDevice& d) {
  if (!d.subscription.empty()) {
    Sql("INSERT INTO subscriptions (subscription_id, tenant_id, status, subscription_type, "
        "device_limit, active_device_count) VALUES (" +
        sql_->QuoteLiteral(d.subscription) + ", " + sql_->QuoteLiteral(d.tenant) +
        ", 'ACTIVE', 'MAIN', 1000, 0) ON CONFLICT DO NOTHING");
  }
  Sql("INSERT INTO device_registry (tenant_id, device_id, site_id, status, provision_token_hash, "
      "subscription_id) VALUES (" +
      sql_->QuoteLiteral(d.tenant) + ", " + sql_->QuoteLiteral(d.device) + ", " +
      sql_->QuoteLiteral(d.site) + ", " + sql_->QuoteLiteral(d.status) + ", " +
      (d.token.empty() ? "NULL" : sql_->QuoteLiteral(Sha256Hex(d.token))) + ", " +
      (d.subscription.empty() ? "NULL" : sql_->QuoteLiteral(d.subscription)) + ")");
}

PgRows SluiceStack::Sql(const std::string& sql) {
  if (!sql_->alive()) sql_ = server_.Connect(database_);
  auto rows = sql_->Exec(sql);
  if (!rows.ok() && rows.error().connection_lost) {
    sql_ = server_.Connect(database_);
    rows = sql_->Exec(sql);
  }
  if (!rows.ok()) Die(rows.error().Describe() + "\nin " + sql);
  return std::move(*rows);
}

int64_t SluiceStack::Count(const std::string& from_where) {
  return Sql("SELECT count(*) FROM " + from_where).Int(0, 0);
}

std::string SluiceStack::Value(const std::string& sql) {
  const PgRows rows = Sql(sql);
  return rows.size() == 0 ? "" : std::string(rows.Text(0, 0));
}

bool SluiceStack::IsLockedOut(const std::string& part) {
  return Count(
             "pg_stat_activity WHERE datname = current_database() AND "
             "wait_event_type = 'Lock' AND query LIKE '%" +
             part + "%' AND pid <> pg_backend_pid()") == 1;
}

HttpAnswer SluiceStack::Ask(const HttpQuestion& question) {
  return HttpExchange(static_cast<uint16_t>(std::stoi(env_["HTTP_PORT"])), question);
}

std::string SluiceStack::Http(const std::string& path, int* status) {
  const HttpAnswer answer = Ask({.target = path});
  if (answer.status == 0) return "";
  if (status != nullptr) *status = answer.status;
  return answer.body;
}

double SluiceStack::Metric(const std::string& series) {
  const std::string page = "\n" + Http("/metrics");
  const size_t at = page.find("\n" + series + " ");
  return at == std::string::npos ? -1 : std::stod(page.substr(at + series.size() + 2));
}

std::string SluiceStack::accounting() const {
  std::string out = ReadFile(directory_.Path("stdout"));
  while (!out.empty() && out.back() == '\n') out.pop_back();
  const size_t line = out.rfind('\n');
  return line == std::string::npos ? out : out.substr(line + 1);
}

std::string SluiceStack::log() const {
  return ReadFile(directory_.Path("log"));
}

}  // namespace sluice::testing
