#include <cstdio>
#include <memory>

#include "auth/digest.h"
#include "auth/pki/common_name.h"
#include "ingest/commands/admin.h"

namespace sluice {
namespace {

struct Options {
  std::string tenant;
  std::string device;
  std::string site;
  std::string subscription;
  std::string reason = "device revoked";
  std::string status;
  bool no_token = false;
  bool json = false;
};

// The token is all of standard output, so that a script can take it; the rest is said beside it.
int ShowToken(const std::string& token) {
  std::fprintf(stderr, "The token follows. It is shown once: the registry keeps its SHA-256.\n");
  std::printf("%s\n", token.c_str());
  return kExitOk;
}

int Add(const Options& options) {
  const Result<std::string> name = DeviceName(options.tenant, options.device);
  if (!name.ok()) return Complain("device add", name.message());
  const Result<std::string> token = NewProvisionToken();
  if (!token.ok()) return Complain("device add", token.message());
  NewDevice device{.tenant = options.tenant, .device = options.device, .site = options.site};
  if (!options.subscription.empty()) device.subscription = options.subscription;
  if (!options.no_token) device.token_hash = DigestToHex(Sha256(*token));
  return WithAdmin("device add", [&](DeviceAdmin& admin) {
    const Status added = admin.Add(device);
    if (!added.ok()) return Complain("device add", added.message());
    std::fprintf(stderr, "added %s\n", name->c_str());
    return options.no_token ? kExitOk : ShowToken(*token);
  });
}

int RotateToken(const Options& options) {
  const Result<std::string> token = NewProvisionToken();
  if (!token.ok()) return Complain("device token rotate", token.message());
  return WithAdmin("device token rotate", [&](DeviceAdmin& admin) {
    const Status set =
        admin.SetTokenHash(options.tenant, options.device, DigestToHex(Sha256(*token)));
    if (!set.ok()) return Complain("device token rotate", set.message());
    return ShowToken(*token);
  });
}

int Revoke(const Options& options) {
  return WithAdmin("device revoke", [&](DeviceAdmin& admin) {
    if (Status begun = admin.Begin(); !begun.ok())
      return Complain("device revoke", begun.message());
    const auto certificates = admin.Revoke(options.tenant, options.device, options.reason);
    if (!certificates.ok()) return Complain("device revoke", certificates.message());
    if (Status done = admin.Commit(); !done.ok()) return Complain("device revoke", done.message());
    std::printf("revoked %s/%s and %lld of its certificates\n", options.tenant.c_str(),
                options.device.c_str(), static_cast<long long>(*certificates));
    if (*certificates > 0) std::puts("the broker's list is next: sluice crl write");
    return kExitOk;
  });
}

int List(const Options& options) {
  return WithAdmin("device list", [&](DeviceAdmin& admin) {
    const ListFormat format = options.json ? ListFormat::kJson : ListFormat::kRows;
    return PrintList("device list", kDeviceColumns,
                     admin.Devices({.tenant = options.tenant, .status = options.status}, format),
                     format);
  });
}

void AddNames(CLI::App* command, Options* options) {
  command->add_option("tenant", options->tenant, "The device's tenant")->required();
  command->add_option("device", options->device, "Its name there")->required();
}

void AddAdd(CLI::App* device, const std::shared_ptr<Options>& options, int* status) {
  CLI::App* add = device->add_subcommand("add", "Registers a device and prints its new token");
  AddNames(add, options.get());
  add->add_option("--site", options->site, "The site its messages must name")->required();
  add->add_option("--subscription", options->subscription,
                  "The subscription of the tenant whose place it takes");
  add->add_flag("--no-token", options->no_token, "For a device that will only use a certificate");
  add->callback([options, status] { *status = Add(*options); });
}

}  // namespace

void AddDeviceCommand(CLI::App& app, int* status) {
  auto options = std::make_shared<Options>();
  CLI::App* device = app.add_subcommand("device", "Devices, their tokens and certificates");
  device->require_subcommand(1);
  device->footer(kOwnerFooter);
  AddAdd(device, options, status);

  CLI::App* list = device->add_subcommand("list", "Prints registered devices");
  list->add_option("tenant", options->tenant, "Only of this tenant");
  list->add_option("--status", options->status, "Only with this status, e.g. ACTIVE");
  list->add_flag("--json", options->json, "As a JSON array");
  list->callback([options, status] { *status = List(*options); });

  CLI::App* revoke =
      device->add_subcommand("revoke", "Revokes a device and all of its certificates");
  AddNames(revoke, options.get());
  revoke->add_option("--reason", options->reason, "Kept with the certificates")
      ->capture_default_str();
  revoke->callback([options, status] { *status = Revoke(*options); });

  CLI::App* token = device->add_subcommand("token", "Provision tokens");
  token->require_subcommand(1);
  CLI::App* rotate = token->add_subcommand(
      "rotate", "Gives a device a new token, prints it, and ends the old one");
  AddNames(rotate, options.get());
  rotate->callback([options, status] { *status = RotateToken(*options); });

  AddDeviceCertCommand(*device, status);
}

}  // namespace sluice
