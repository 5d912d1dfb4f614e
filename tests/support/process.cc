#include "tests/support/process.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <thread>

#include "base/unique_fd.h"

namespace sluice::testing {
namespace {

// Everything the child needs, made before fork: after it only async-signal-safe calls are allowed.
struct Plan {
  std::vector<std::string> environment;
  std::vector<char*> argv;
  std::vector<char*> envp;
  UniqueFd out;
  UniqueFd err;
  bool change_user = false;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  int parent_death_signal = 0;
  pid_t parent = 0;
};

std::vector<std::string> Environment(const ProcessOptions& options) {
  std::map<std::string, std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text(*entry);
    const size_t equals = text.find('=');
    if (equals == std::string::npos) continue;
    const std::string name = text.substr(0, equals);
    if (!options.clear_env || name == "PATH" || name == "TMPDIR") {
      merged[name] = text.substr(equals + 1);
    }
  }
  for (const auto& [name, value] : options.env) merged[name] = value;
  std::vector<std::string> environment;
  environment.reserve(merged.size());
  for (const auto& [name, value] : merged) {
    environment.push_back(name);
    environment.back().append("=").append(value);
  }
  return environment;
}

bool PlanUser(const std::string& user, Plan* plan) {
  if (user.empty() || geteuid() != 0) return true;
  const passwd* entry = getpwnam(user.c_str());
  if (entry == nullptr) {
    std::fprintf(stderr, "no such user: %s\n", user.c_str());
    return false;
  }
  plan->change_user = true;
  plan->uid = entry->pw_uid;
  plan->gid = entry->pw_gid;
  int count = 64;
  plan->groups.resize(static_cast<size_t>(count));
  if (getgrouplist(user.c_str(), plan->gid, plan->groups.data(), &count) < 0) return false;
  plan->groups.resize(static_cast<size_t>(count));
  return true;
}

bool MakePlan(const ProcessOptions& options, Plan* plan) {
  const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
  plan->out.Reset(open(options.stdout_path.c_str(), flags, 0644));
  plan->err.Reset(open(options.stderr_path.c_str(), flags, 0644));
  if (!plan->out.valid() || !plan->err.valid()) {
    std::perror("cannot open the child's output");
    return false;
  }
  plan->environment = Environment(options);
  for (std::string& entry : plan->environment) plan->envp.push_back(entry.data());
  plan->envp.push_back(nullptr);
  for (const std::string& argument : options.argv) {
    plan->argv.push_back(const_cast<char*>(argument.c_str()));  // NOLINT: exec takes char* const*
  }
  plan->argv.push_back(nullptr);
  plan->parent_death_signal = options.parent_death_signal;
  plan->parent = getpid();
  return PlanUser(options.user, plan);
}

// Returns only when something failed, with errno set.
void BecomeChild(const Plan& plan) {
  sigset_t none;
  sigemptyset(&none);
  if (pthread_sigmask(SIG_SETMASK, &none, nullptr) != 0) return;
  if (dup2(plan.out.get(), STDOUT_FILENO) < 0 || dup2(plan.err.get(), STDERR_FILENO) < 0) return;
  if (plan.change_user && (setgroups(plan.groups.size(), plan.groups.data()) != 0 ||
                           setgid(plan.gid) != 0 || setuid(plan.uid) != 0)) {
    return;
  }
  // After the change of user, which clears it.
  if (prctl(PR_SET_PDEATHSIG, plan.parent_death_signal) != 0) return;
  if (getppid() != plan.parent) return;
  execvpe(plan.argv[0], plan.argv.data(), plan.envp.data());
}

}  // namespace

std::unique_ptr<Process> Process::Start(const ProcessOptions& options) {
  Plan plan;
  if (!MakePlan(options, &plan)) return nullptr;
  // Closed by a successful exec, else it carries errno.
  int failure[2];
  if (pipe2(failure, O_CLOEXEC) != 0) return nullptr;
  const UniqueFd failure_read(failure[0]);
  UniqueFd failure_write(failure[1]);

  const pid_t pid = fork();
  if (pid < 0) return nullptr;
  if (pid == 0) {
    BecomeChild(plan);
    const int error = errno;
    _exit(write(failure[1], &error, sizeof(error)) == sizeof(error) ? 127 : 126);
  }
  failure_write.Reset();
  std::unique_ptr<Process> process(new Process(pid));
  int error = 0;
  if (read(failure_read.get(), &error, sizeof(error)) == sizeof(error)) {
    std::fprintf(stderr, "cannot start %s: %s\n", options.argv[0].c_str(),
                 std::generic_category().message(error).c_str());
    return nullptr;
  }
  return process;
}

Process::~Process() {
  if (!Running()) return;
  Signal(SIGKILL);
  Wait(std::chrono::seconds(10));
}

bool Process::Running() {
  return !Wait(std::chrono::milliseconds(0)).has_value();
}

void Process::Signal(int signal) {
  if (!ended_.has_value()) kill(pid_, signal);
}

std::optional<ExitStatus> Process::Wait(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!ended_.has_value()) {
    int status = 0;
    const pid_t waited = waitpid(pid_, &status, WNOHANG);
    if (waited == pid_) {
      ended_ =
          WIFEXITED(status) ? ExitStatus{WEXITSTATUS(status), 0} : ExitStatus{-1, WTERMSIG(status)};
    } else if (waited < 0 && errno != EINTR) {
      ended_ = ExitStatus{};
    } else if (std::chrono::steady_clock::now() >= deadline) {
      return std::nullopt;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  return ended_;
}

std::optional<ExitStatus> Run(const ProcessOptions& options, std::chrono::milliseconds timeout) {
  const std::unique_ptr<Process> process = Process::Start(options);
  return process == nullptr ? std::nullopt : process->Wait(timeout);
}

}  // namespace sluice::testing
