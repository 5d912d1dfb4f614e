// The broker exactly as it is shipped (deploy/mosquitto/), with all that it needs.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "auth/stamp.h"
#include "tests/support/free_port.h"
#include "tests/support/raw_mqtt.h"
#include "tests/support/sluice_stack.h"

namespace sluice::testing {

// A registry with one device, the files that listeners.conf asks for, and the broker.
class ShippedBroker {
 public:
  explicit ShippedBroker(const std::string& database = SharedPostgres().CreateDatabase())
      : database_(database) {
    env_ = {{"DATABASE_URL", SharedPostgres().Url(database_)}, {"PKI_DIR", Path("pki")}};
    Sluice({"migrate"});
    token = Sluice({"device", "add", "orchard", "probe-7", "--site", "north"}).substr(0, 64);
    Sluice({"pki", "init", "--server-name", "localhost", "127.0.0.1"});
    certificate = Issue("orchard", "probe-7");
    for (const char* file : {"server.crt", "server.key", "combined-ca.crt"}) {
      WriteFile(Path(file), ReadFile(Path("pki/") + file));
    }
    Sluice({"crl", "write", "--out", Path("device-crl.pem")});
    WriteFile(Path("rules.conf"), ReadFile(SLUICE_SOURCE_DIR "/deploy/mosquitto/rules.conf"));
    WriteFile(Path("sluice_broker_plugin.so"), ReadFile(BinaryPath("sluice_broker_plugin.so")));
    WriteSecret("stamp.key", std::string(64, '7') + "\n");
    WriteSecret("database.url", env_["DATABASE_URL"] + "\n");
    WriteSecret("passwords", "sluice:pw\nservice_pulse:pulse\n");
    Run({"mosquitto_passwd", "-U", Path("passwords")});
    Start();
  }

  // Standard output; a failure is the test's.
  std::string Run(const std::vector<std::string>& argv) {
    const std::string out = Path("out" + std::to_string(runs_++));
    const auto ended = sluice::testing::Run(
        {.argv = argv, .env = env_, .stdout_path = out, .stderr_path = Path("err")});
    EXPECT_TRUE(ended && ended->code == 0)
        << ::testing::PrintToString(argv) << ReadFile(Path("err"));
    return ReadFile(out);
  }
  std::string Sluice(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), BinaryPath("sluice"));
    return Run(arguments);
  }
  // Into the directory devices/TENANT/DEVICE.
  RawTls Issue(const std::string& tenant, const std::string& device) {
    const std::string out = Path("devices/" + tenant + "/" + device);
    Sluice({"device", "cert", "issue", tenant, device, "--out", out});
    return {Path("pki/ca.crt"), out + "/device.crt", out + "/device.key"};
  }
  void Sql(const std::string& sql) {
    const auto done = SharedPostgres().Connect(database_)->Exec(sql);
    EXPECT_TRUE(done.ok()) << sql;
  }
  // The broker reads its files again.
  void Reload() { broker_->Signal(SIGHUP); }
  void Restart() {
    broker_->Signal(SIGTERM);
    broker_->Wait(std::chrono::seconds(30));
    Launch();
  }
  // Stops it, and tries to start it; the exit status of a broker that does not start.
  int ExitCodeOfAStart() {
    broker_->Signal(SIGTERM);
    broker_->Wait(std::chrono::seconds(30));
    const auto ended = sluice::testing::Run(BrokerProcess(), std::chrono::seconds(10));
    return ended ? ended->code : 0;
  }
  // Whom the message's stamp names, e.g. "cert orchard/probe-7".
  std::string SenderOf(const RawMessage& message) const {
    for (const auto& [name, value] : message.properties) {
      if (name != kStampProperty) continue;
      const auto keys = *StampKeys::Load(Path("stamp.key"));
      const auto claim = keys.Verify(message.topic, message.payload, value);
      if (!claim) return "forged";
      return std::string(StampMethodName(claim->method)) + " " + std::string(claim->identity);
    }
    return "unstamped";
  }

  std::string Path(std::string_view name) const { return directory_.Path(name); }
  std::string Log() const { return ReadFile(Path("log")); }

  const uint16_t tls_port = FreePort();
  const uint16_t port = FreePort();
  const uint16_t websocket_port = FreePort();
  std::string token;
  RawTls certificate;

 private:
  void WriteSecret(const std::string& name, const std::string& text) {
    WriteFile(Path(name), text);
    chmod(Path(name).c_str(), 0600);
  }
  void Start() {
    // The function that ./run uses; as root the broker would become a user who owns nothing here.
    const std::string configuration =
        Run({"bash", "-c", R"(set -eu; source "$1/scripts/lib.sh"; broker_configuration "${@:2}")",
             "_", SLUICE_SOURCE_DIR, directory_.path(), std::to_string(tls_port),
             std::to_string(port), std::to_string(websocket_port)});
    WriteFile(Path("mosquitto.conf"), configuration + "user root\n");
    Launch();
  }
  ProcessOptions BrokerProcess() const {
    return {.argv = {"/usr/sbin/mosquitto", "-c", Path("mosquitto.conf")},
            .env = PluginEnvironment(),
            .stdout_path = Path("log"),
            .stderr_path = Path("log")};
  }
  void Launch() {
    broker_ = Process::Start(BrokerProcess());
    for (const uint16_t each : {tls_port, port, websocket_port}) {
      EXPECT_TRUE(WaitForPort(each, std::chrono::seconds(30))) << Log();
    }
  }

  TempDir directory_;
  const std::string database_;
  Env env_;
  std::unique_ptr<Process> broker_;
  int runs_ = 0;
};

}  // namespace sluice::testing
