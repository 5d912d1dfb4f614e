#include <cstdio>
#include <memory>
#include <optional>

#include "auth/pki/broker_process.h"
#include "auth/pki/pki_directory.h"
#include "auth/pki/pki_files.h"
#include "base/clock.h"
#include "base/units.h"
#include "ingest/commands/admin.h"
#include "ingest/signals.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

constexpr const char* kCommand = "crl write";

struct Options {
  std::string directory;
  std::string out;  // "": the directory's own
  std::string broker_pid_file;
  std::string every;
  int days = 30;
};

// What the rounds of --every remember.
struct Rounds {
  bool only_when_changed = false;
  bool broker_knows = true;  // of the file as it is
};

// A missing list is no error: the first one is about to be written.
Result<std::string> ReadPrevious(const std::string& path) {
  Result<std::string> previous = ReadWholeFile(path);
  if (!previous.ok() && previous.code() == ErrorCode::kNotFound) return std::string();
  return previous;
}

int Report(const std::string& path, const RevocationList& list, UnixMicros until) {
  std::printf("%s: %zu revoked, valid until %s\n", path.c_str(), list.revoked,
              FormatUtc(until).c_str());
  std::fflush(stdout);
  if (list.foreign > 0) {
    std::fprintf(stderr,
                 "warning: %zu revoked certificates were issued by others, whose lists must revoke "
                 "them\n",
                 list.foreign);
  }
  if (list.unreadable == 0) return kExitOk;
  return Complain(kCommand, std::to_string(list.unreadable) +
                                " revoked certificates cannot be read and are not in the list");
}

// Begin to Commit is the time in which nobody else makes a list.
int WriteList(DeviceAdmin& admin, const Options& options, Rounds* rounds) {
  const auto fail = [](const std::string& why) { return Complain(kCommand, why); };
  const PkiDirectory files(options.directory);
  const std::string path = options.out.empty() ? files.crl : options.out;
  const Result<Authority> authority = LoadDeviceAuthority(files);
  if (!authority.ok()) return fail(authority.message());
  const Result<int64_t> expired = admin.MarkExpired();
  if (!expired.ok()) return fail(expired.message());
  if (*expired > 0) std::printf("marked EXPIRED: %lld\n", static_cast<long long>(*expired));

  if (Status begun = admin.Begin(); !begun.ok()) return fail(begun.message());
  const auto revoked = admin.RevokedCertificates();
  if (!revoked.ok()) return fail(revoked.message());
  const Result<std::string> previous = ReadPrevious(path);
  if (!previous.ok()) return fail(previous.message());
  const UnixMicros now = SystemClock().Now();
  const std::chrono::days days(options.days);
  const auto list = authority->MakeCrl(*revoked, *previous, now, days);
  if (!list.ok()) return fail(list.message());
  if (rounds->only_when_changed && authority->StillServes(*previous, *list, now)) return kExitOk;
  const Status written = WriteWholeFile(path, list->pem, kPublicMode, Existing::kReplace);
  if (!written.ok()) return fail(written.message());
  rounds->broker_knows = false;
  // The file is what counts; the transaction only kept others waiting.
  (void)admin.Commit().ok();
  return Report(path, *list, now + std::chrono::microseconds(days).count());
}

int Round(const Options& options, Rounds* rounds) {
  const int status =
      WithAdmin(kCommand, [&](DeviceAdmin& admin) { return WriteList(admin, options, rounds); });
  if (options.broker_pid_file.empty() || rounds->broker_knows) return status;
  const Status told = TellBrokerToReload(options.broker_pid_file);
  if (!told.ok()) return Complain(kCommand, "the broker is not told: " + told.message());
  rounds->broker_knows = true;
  std::puts("the broker reloads");
  std::fflush(stdout);
  return status;
}

int Run(const Options& options) {
  Rounds rounds;
  if (options.every.empty()) return Round(options, &rounds);
  const std::optional<milliseconds> every = ParseDuration(options.every, std::chrono::seconds(1));
  if (!every || every->count() <= 0) {
    return Complain(kCommand, "--every " + options.every + " is no duration such as 60s or 5m");
  }
  SignalWaiter::BlockSignals();
  SignalWaiter signals;
  Signal signal = Signal::kNone;
  do {
    Round(options, &rounds);
    rounds.only_when_changed = true;
    signal = signals.Wait(*every);
  } while (signal == Signal::kNone || signal == Signal::kReload);
  return kExitOk;
}

}  // namespace

void AddCrlCommand(CLI::App& app, int* status) {
  auto options = std::make_shared<Options>();
  CLI::App* crl =
      app.add_subcommand("crl", "The list of revoked certificates that the broker reads");
  crl->require_subcommand(1);
  CLI::App* write = crl->add_subcommand(
      "write", "Writes the list from the REVOKED rows and marks ACTIVE rows that have expired");
  write->footer(kOwnerFooter);
  AddPkiDirOption(write, &options->directory);
  write->add_option("--out", options->out, "The list's file; without, device-crl.pem in --dir");
  write->add_option("--days", options->days, "Validity of the list")->capture_default_str();
  write->add_option("--broker-pid-file", options->broker_pid_file,
                    "Tell the Mosquitto whose number is in this file to reload (SIGHUP)");
  write->add_option("--every", options->every,
                    "Do it again and again, e.g. 60s, until SIGTERM; after the first time the list "
                    "is written when it changes or half of its days are over");
  write->callback([options, status] { *status = Run(*options); });
}

}  // namespace sluice
