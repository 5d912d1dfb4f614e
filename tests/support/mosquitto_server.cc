#include "tests/support/mosquitto_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "tests/support/free_port.h"

namespace sluice::testing {
namespace {

using std::chrono::seconds;

[[noreturn]] void Fatal(const std::string& what, const std::string& log) {
  std::fprintf(stderr, "%s\n%s\n", what.c_str(), log.c_str());
  std::abort();
}

}  // namespace

MosquittoServer::MosquittoServer(const MosquittoOptions& options) : port_(FreePort()) {
  WriteConfiguration(options);
  Start();
}

MosquittoServer::~MosquittoServer() {
  Kill();
}

void MosquittoServer::WriteConfiguration(const MosquittoOptions& options) {
  if (mkdir(directory_.Path("data").c_str(), 0755) != 0) Fatal("cannot make a directory", "");
  // The file that is shipped, with what only this place knows. As root the broker would become the
  // user mosquitto, who owns nothing here.
  std::string configuration =
      ReadFile(std::string(SLUICE_SOURCE_DIR) + "/deploy/mosquitto/mosquitto.conf") +
      "\nuser root\nlistener " + std::to_string(port_) + " 127.0.0.1\npersistence_location " +
      directory_.Path("data") + "/\nlog_dest stderr\n";
  if (options.username.empty()) {
    configuration += "allow_anonymous true\n";
  } else {
    const std::string passwords = directory_.Path("passwords");
    WriteFile(passwords, options.username + ":" + options.password + "\n");
    const std::optional<ExitStatus> hashed = Run({.argv = {"mosquitto_passwd", "-U", passwords}});
    if (!hashed.has_value() || hashed->code != 0) Fatal("mosquitto_passwd failed", "");
    configuration += "allow_anonymous false\npassword_file " + passwords + "\n";
  }
  for (const std::string& line : options.lines) configuration += line + "\n";
  WriteFile(directory_.Path("mosquitto.conf"), configuration);
}

std::map<std::string, std::string> PluginEnvironment() {
#ifdef SLUICE_SANITIZER_RUNTIME
  // Mosquitto's own leaks are not ours to find.
  return {{"LD_PRELOAD", SLUICE_SANITIZER_RUNTIME}, {"ASAN_OPTIONS", "detect_leaks=0"}};
#else
  return {};
#endif
}

void MosquittoServer::Start() {
  if (Running()) return;
  const std::string configuration = ReadFile(directory_.Path("mosquitto.conf"));
  const bool has_plugin = configuration.find("\nplugin ") != std::string::npos;
  process_ =
      Process::Start({.argv = {"/usr/sbin/mosquitto", "-c", directory_.Path("mosquitto.conf")},
                      .env = has_plugin ? PluginEnvironment() : decltype(PluginEnvironment()){},
                      .stdout_path = directory_.Path("log"),
                      .stderr_path = directory_.Path("log")});
  if (process_ == nullptr || !WaitForPort(port_, seconds(30)) || !Running()) {
    Fatal("Mosquitto does not start", Log());
  }
}

void MosquittoServer::Stop() {
  Signal(SIGTERM);
  if (Running() && !process_->Wait(seconds(30)).has_value()) Kill();
}

void MosquittoServer::Kill() {
  Signal(SIGKILL);
  if (process_ != nullptr) process_->Wait(seconds(10));
}

void MosquittoServer::Restart() {
  Stop();
  Start();
}

void MosquittoServer::Forget() {
  unlink(directory_.Path("data/mosquitto.db").c_str());
}

void MosquittoServer::Signal(int signal) {
  if (process_ != nullptr) process_->Signal(signal);
}

bool MosquittoServer::Running() {
  return process_ != nullptr && process_->Running();
}

std::string MosquittoServer::Log() const {
  return ReadFile(directory_.Path("log"));
}

}  // namespace sluice::testing
