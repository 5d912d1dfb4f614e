#include <cstdio>
#include <memory>

#include "auth/pki/pki_directory.h"
#include "base/clock.h"
#include "ingest/commands/admin.h"

namespace sluice {
namespace {

struct Options {
  std::string directory;
  std::vector<std::string> server_names = {"localhost"};
  int ca_days = 3650;
  int server_days = 825;
  int crl_days = 30;
};

int Initialize(const Options& options) {
  const PkiDirectory files(options.directory);
  const Status made = InitializePki(files,
                                    {.server_names = options.server_names,
                                     .ca_days = std::chrono::days(options.ca_days),
                                     .server_days = std::chrono::days(options.server_days),
                                     .crl_days = std::chrono::days(options.crl_days)},
                                    SystemClock().Now());
  if (!made.ok()) return Complain("pki init", made.message());
  std::printf(
      "made in %s:\n"
      "  device-ca.crt, device-ca.key  sign the devices' certificates\n"
      "  ca.crt, ca.key                sign the broker's; devices trust ca.crt\n"
      "  server.crt, server.key        the broker's certfile and keyfile\n"
      "  combined-ca.crt               the broker's cafile\n"
      "  device-crl.pem                the broker's crlfile, good for %d days\n",
      options.directory.c_str(), options.crl_days);
  return kExitOk;
}

int RenewServer(const Options& options) {
  const PkiDirectory files(options.directory);
  const Status renewed = RenewServerCertificate(
      files, options.server_names, std::chrono::days(options.server_days), SystemClock().Now());
  if (!renewed.ok()) return Complain("pki renew-server", renewed.message());
  std::printf("made anew: %s, %s; the broker reads them at SIGHUP\n", files.server.c_str(),
              files.server_key.c_str());
  return kExitOk;
}

void AddCommonOptions(CLI::App* command, Options* options) {
  command
      ->add_option("--server-name", options->server_names,
                   "Host names and addresses under which devices reach the broker")
      ->capture_default_str();
  command->add_option("--server-days", options->server_days, "Validity of the broker's certificate")
      ->capture_default_str();
}

}  // namespace

void AddPkiCommand(CLI::App& app, int* status) {
  auto options = std::make_shared<Options>();
  CLI::App* pki = app.add_subcommand("pki", "Certificate authorities of devices and broker");
  pki->require_subcommand(1);

  CLI::App* init = pki->add_subcommand(
      "init", "Makes the authorities, the broker's certificate and an empty revocation list");
  init->add_option("--dir", options->directory, "Where to; nothing there is overwritten")
      ->envname("PKI_DIR")
      ->required();
  AddCommonOptions(init, options.get());
  init->add_option("--ca-days", options->ca_days, "Validity of the authorities")
      ->capture_default_str();
  init->add_option("--crl-days", options->crl_days, "Validity of the revocation list")
      ->capture_default_str();
  init->callback([options, status] { *status = Initialize(*options); });

  CLI::App* renew = pki->add_subcommand(
      "renew-server", "Replaces the broker's key and certificate, under the same authority");
  AddPkiDirOption(renew, &options->directory);
  AddCommonOptions(renew, options.get());
  renew->callback([options, status] { *status = RenewServer(*options); });
}

}  // namespace sluice
