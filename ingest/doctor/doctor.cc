#include "ingest/doctor/doctor.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <future>
#include <iterator>
#include <memory>
#include <thread>
#include <utility>

#include "ingest/doctor/checks.h"

namespace sluice {
namespace {

// Longer than all waits within an area together should take.
constexpr std::chrono::seconds kDeadline{60};

struct Area {
  const char* name;
  std::vector<Finding> (*check)(const Patient&);
};
constexpr Area kAreas[] = {
    {"settings", CheckSettings},         {"broker", CheckBroker}, {"database", CheckDatabase},
    {"certificates", CheckCertificates}, {"disk", CheckDisk},     {"http", CheckHttp},
};

using Answer = std::future<std::vector<Finding>>;

// On a thread that nobody has to wait for.
Answer Begin(const Area& area, const std::shared_ptr<const Patient>& patient) {
  std::packaged_task<std::vector<Finding>()> task(
      [patient, check = area.check] { return check(*patient); });
  Answer answer = task.get_future();
  std::thread(std::move(task)).detach();
  return answer;
}

}  // namespace

Examination Examine(const Environment& environment, const DoctorOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  // Name servers are asked by getaddrinfo, which has no deadline of its own; libpq does so, too.
  ::setenv("RES_OPTIONS", "timeout:2 attempts:1", 0);
  auto patient = std::make_shared<Patient>();
  patient->given = ReadAllSettings(environment, SettingsFor::kDaemon);
  patient->daemon = LookForDaemon(patient->settings());
  patient->may_log_in = options.log_in;

  std::vector<Answer> answers;
  for (const Area& area : kAreas) answers.push_back(Begin(area, patient));
  const auto deadline = std::chrono::steady_clock::now() + kDeadline;
  Examination examination;
  for (size_t i = 0; i < answers.size(); ++i) {
    std::vector<Finding> found;
    if (answers[i].wait_until(deadline) == std::future_status::ready) {
      found = answers[i].get();
    } else {
      examination.unfinished = true;
      Findings late(kAreas[i].name);
      late.Fail("deadline", "this could not be found out in time",
                "something that is asked here does not answer: a disk, a name server");
      found = late.Take();
    }
    std::move(found.begin(), found.end(), std::back_inserter(examination.findings));
  }
  return examination;
}

}  // namespace sluice
