#include "base/failpoint.h"

#ifdef SLUICE_FAILPOINTS

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <string>
#include <thread>

namespace sluice {
namespace {

enum class Action { kKill, kSleep, kIoError, kNoSpace };

struct Failpoint {
  std::string name;
  Action action;
  int64_t passage;
  std::atomic<int64_t> passed{0};

  Failpoint(std::string_view where, Action what, int64_t when)
      : name(where), action(what), passage(when) {}
};

[[noreturn]] void Refuse(std::string_view item) {
  std::fprintf(stderr, "SLUICE_FAILPOINTS: not name=kill|sleep|eio|enospc[@n]: %.*s\n",
               static_cast<int>(item.size()), item.data());
  _exit(2);
}

void Parse(std::string_view item, std::list<Failpoint>* failpoints) {
  const size_t equals = item.find('=');
  if (equals == std::string_view::npos) Refuse(item);
  std::string_view action = item.substr(equals + 1);
  int64_t passage = 1;
  if (const size_t at = action.find('@'); at != std::string_view::npos) {
    const std::string_view number = action.substr(at + 1);
    const auto [end, bad] = std::from_chars(number.begin(), number.end(), passage);
    if (bad != std::errc() || end != number.end() || passage < 1) Refuse(item);
    action = action.substr(0, at);
  }
  const std::string_view name = item.substr(0, equals);
  if (action == "kill") {
    failpoints->emplace_back(name, Action::kKill, passage);
  } else if (action == "sleep") {
    failpoints->emplace_back(name, Action::kSleep, passage);
  } else if (action == "eio") {
    failpoints->emplace_back(name, Action::kIoError, passage);
  } else if (action == "enospc") {
    failpoints->emplace_back(name, Action::kNoSpace, passage);
  } else {
    Refuse(item);
  }
}

std::list<Failpoint> FromEnvironment() {
  std::list<Failpoint> failpoints;
  const char* text = std::getenv("SLUICE_FAILPOINTS");
  std::string_view rest = text == nullptr ? "" : text;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    Parse(rest.substr(0, comma), &failpoints);
    rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
  }
  return failpoints;
}

}  // namespace

Status ReachFailpoint(std::string_view name) {
  static std::list<Failpoint> failpoints = FromEnvironment();
  for (Failpoint& failpoint : failpoints) {
    if (failpoint.name != name) continue;
    const int64_t passage = ++failpoint.passed;
    if (passage < failpoint.passage) continue;
    const std::string where = "failpoint " + failpoint.name;
    switch (failpoint.action) {
      case Action::kKill:
        (void)kill(getpid(), SIGKILL);
        break;
      case Action::kSleep:
        if (passage == failpoint.passage) std::this_thread::sleep_for(std::chrono::seconds(10));
        break;
      case Action::kIoError:
        return {ErrorCode::kIo, where + ": Input/output error"};
      case Action::kNoSpace:
        return {ErrorCode::kNoSpace, where + ": No space left on device"};
    }
  }
  return Status::Ok();
}

}  // namespace sluice

#endif
