#include "loadtest/contender.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

namespace sluice::loadtest {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::vector<std::string> Merged(const ContenderProcess::Environment& added) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text(*entry);
    if (added.count(text.substr(0, text.find('='))) == 0) merged.push_back(text);
  }
  for (const auto& [name, value] : added) merged.push_back(name + "=" + value);
  return merged;
}

// posix_spawn's two objects, with what every contender needs.
class SpawnPlan {
 public:
  SpawnPlan(const std::string& directory, const std::string& log) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, log.c_str(),
                                       O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, STDERR_FILENO);
    ::posix_spawn_file_actions_addchdir_np(&actions_, directory.c_str());
    ::posix_spawnattr_init(&attributes_);
    sigset_t all;
    ::sigfillset(&all);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  // errno's value, 0 for success.
  int Spawn(std::string program, std::vector<std::string> environment, pid_t* pid) const {
    std::vector<char*> variables;
    variables.reserve(environment.size() + 1);
    for (std::string& variable : environment) variables.push_back(variable.data());
    variables.push_back(nullptr);
    char* arguments[] = {program.data(), nullptr};
    return ::posix_spawn(pid, program.c_str(), &actions_, &attributes_, arguments,
                         variables.data());
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

Result<Contender> LoadContender(const std::string& peers, const std::string& name) {
  Contender contender;
  contender.name = name;
  std::error_code error;
  contender.directory = std::filesystem::absolute(peers, error) / name;
  const std::string path = contender.directory + "/contender.json";
  std::ifstream file(path);
  if (!file) return Status(ErrorCode::kNotFound, "no such contender: " + path);
  try {
    const nlohmann::json json = nlohmann::json::parse(file);
    contender.about = json.at("about");
    contender.leaves_out = json.value("leaves_out", "");
    contender.table = json.value("table", "");
    contender.share = json.value("share", 1.0);
    contender.subscribes = json.value("subscribes", true);
  } catch (const nlohmann::json::exception& e) {
    return Status(ErrorCode::kInvalidArgument, path + ": " + e.what());
  }
  if (contender.share <= 0 || contender.share > 1) {
    return Status(ErrorCode::kInvalidArgument, path + ": share must be above 0 and at most 1");
  }
  return contender;
}

Result<std::unique_ptr<ContenderProcess>> ContenderProcess::Start(const Contender& contender,
                                                                  const Environment& environment,
                                                                  const std::string& log) {
  const SpawnPlan plan(contender.directory, log);
  pid_t pid = 0;
  const std::string program = contender.directory + "/run";
  const int error = plan.Spawn(program, Merged(environment), &pid);
  if (error != 0) {
    return Status(ErrorCode::kIo, "cannot start " + program + ": " + std::strerror(error));
  }
  return std::unique_ptr<ContenderProcess>(new ContenderProcess(pid));
}

ContenderProcess::~ContenderProcess() {
  if (pid_ != 0) Stop(milliseconds(0));
}

bool ContenderProcess::Running() const {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

void ContenderProcess::Stop(milliseconds patience) {
  constexpr milliseconds kLookEvery(20);
  const auto deadline = steady_clock::now() + patience;
  ::kill(-pid_, SIGTERM);
  while (Running() && steady_clock::now() < deadline) std::this_thread::sleep_for(kLookEvery);
  ::kill(-pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

}  // namespace sluice::loadtest
