#include <unistd.h>

#include <cstdio>
#include <memory>

#include "auth/pki/common_name.h"
#include "auth/pki/pki_directory.h"
#include "auth/pki/pki_files.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "ingest/commands/admin.h"

namespace sluice {
namespace {

struct Options {
  std::string tenant;
  std::string device;
  std::string directory;
  std::string out;
  std::string file;
  std::string ca;
  std::string fingerprint;
  std::string reason = "revoked by operator";
  std::string status;
  int days = 365;
  bool revoke_old = false;
  bool json = false;
};

Status WritePair(const std::string& directory, const IssuedCertificate& issued) {
  if (Status made = SystemFileSystem().CreateDirectories(directory); !made.ok()) return made;
  const std::string key = directory + "/device.key";
  Status written = WriteWholeFile(key, issued.key_pem, kSecretMode, Existing::kRefuse);
  if (!written.ok()) return written;
  written = WriteWholeFile(directory + "/device.crt", issued.certificate_pem, kPublicMode,
                           Existing::kRefuse);
  if (!written.ok()) ::unlink(key.c_str());
  return written;
}

// The files are written before the row is committed: a row without its key could not be used, and a
// key without its row would be a certificate that nobody can revoke.
Status StoreAndWrite(DeviceAdmin& admin, const Options& options, const IssuedCertificate& issued,
                     const Certificate& certificate) {
  Status stored = admin.AddCertificate(options.tenant, options.device, certificate);
  if (stored.ok()) stored = WritePair(options.out, issued);
  if (!stored.ok()) return stored;
  stored = admin.Commit();
  if (!stored.ok()) {
    ::unlink((options.out + "/device.key").c_str());
    ::unlink((options.out + "/device.crt").c_str());
  }
  return stored;
}

// What rotating asks before the new certificate is there: that there is an old one, which ends now
// if that is wanted.
Status EndOldOnes(DeviceAdmin& admin, const Options& options) {
  if (options.revoke_old) {
    return admin.RevokeCertificates(options.tenant, options.device, "", "superseded").status();
  }
  const auto active = admin.Certificates(
      {.tenant = options.tenant, .device = options.device, .status = "ACTIVE"}, ListFormat::kRows);
  if (!active.ok() || active->size() > 0) return active.status();
  return {ErrorCode::kNotFound,
          options.tenant + "/" + options.device + " has no ACTIVE certificate: issue one"};
}

int Issue(const char* command, const Options& options, bool rotate) {
  const auto fail = [command](const std::string& why) { return Complain(command, why); };
  const Result<std::string> name = DeviceCommonName(options.tenant, options.device);
  if (!name.ok()) return fail(name.message());
  const Result<Authority> authority = LoadDeviceAuthority(PkiDirectory(options.directory));
  if (!authority.ok()) return fail(authority.message());
  const auto issued =
      authority->IssueDevice(*name, SystemClock().Now(), std::chrono::days(options.days));
  if (!issued.ok()) return fail(issued.message());
  const Result<Certificate> certificate = ReadCertificate(issued->certificate_pem);
  if (!certificate.ok()) return fail(certificate.message());

  return WithAdmin(command, [&](DeviceAdmin& admin) {
    Status done = admin.Begin();
    if (done.ok() && rotate) done = EndOldOnes(admin, options);
    if (done.ok()) done = StoreAndWrite(admin, options, *issued, *certificate);
    if (!done.ok()) return fail(done.message());
    std::printf("issued %s: %s/device.crt, %s/device.key\nfingerprint %s\nvalid until %s\n",
                name->c_str(), options.out.c_str(), options.out.c_str(),
                certificate->fingerprint_sha256.c_str(), FormatUtc(certificate->not_after).c_str());
    if (rotate && !options.revoke_old) {
      std::puts("the old ones are valid until they are revoked or expire");
    }
    return kExitOk;
  });
}

// The certificate of the file if an authority that the broker trusts issued it to this device.
Result<Certificate> ReadImport(const Options& options, const std::string& name) {
  const Result<std::string> pem = ReadWholeFile(options.file);
  if (!pem.ok()) return pem.status();
  Result<Certificate> certificate = ReadCertificate(*pem);
  if (!certificate.ok()) return certificate;
  const auto refuse = [](const std::string& why) {
    return Status(ErrorCode::kInvalidArgument, why);
  };
  if (certificate->common_name != name) {
    return refuse("the certificate is \"" + certificate->common_name + "\"'s, not " + name + "'s");
  }
  if (certificate->not_after <= SystemClock().Now()) return refuse("the certificate has expired");
  const std::string ca =
      options.ca.empty() ? PkiDirectory(options.directory).device_ca : options.ca;
  const Result<std::string> ca_pem = ReadWholeFile(ca);
  if (!ca_pem.ok()) return ca_pem.status();
  if (!IsIssuedBy(certificate->pem, *ca_pem)) {
    return refuse("the certificate was not issued by " + ca);
  }
  return certificate;
}

int Import(const Options& options) {
  constexpr const char* kCommand = "device cert import";
  const Result<std::string> name = DeviceCommonName(options.tenant, options.device);
  if (!name.ok()) return Complain(kCommand, name.message());
  const Result<Certificate> certificate = ReadImport(options, *name);
  if (!certificate.ok()) return Complain(kCommand, certificate.message());
  return WithAdmin(kCommand, [&](DeviceAdmin& admin) {
    const Status stored = admin.AddCertificate(options.tenant, options.device, *certificate);
    if (!stored.ok()) return Complain(kCommand, stored.message());
    std::printf("imported %s\nfingerprint %s\nvalid until %s\n", name->c_str(),
                certificate->fingerprint_sha256.c_str(), FormatUtc(certificate->not_after).c_str());
    return kExitOk;
  });
}

int Revoke(const Options& options) {
  return WithAdmin("device cert revoke", [&](DeviceAdmin& admin) {
    const auto revoked = admin.RevokeCertificates(options.tenant, options.device,
                                                  options.fingerprint, options.reason);
    if (!revoked.ok()) return Complain("device cert revoke", revoked.message());
    std::printf("revoked %lld of %s/%s\nthe broker's list is next: sluice crl write\n",
                static_cast<long long>(*revoked), options.tenant.c_str(), options.device.c_str());
    return kExitOk;
  });
}

int List(const Options& options) {
  return WithAdmin("device cert list", [&](DeviceAdmin& admin) {
    const ListFormat format = options.json ? ListFormat::kJson : ListFormat::kRows;
    const ListFilter filter{
        .tenant = options.tenant, .device = options.device, .status = options.status};
    return PrintList("device cert list", kCertificateColumns, admin.Certificates(filter, format),
                     format);
  });
}

void AddNames(CLI::App* command, Options* options) {
  command->add_option("tenant", options->tenant, "The device's tenant")->required();
  command->add_option("device", options->device, "Its name there")->required();
}

void AddIssueOptions(CLI::App* command, Options* options) {
  AddNames(command, options);
  AddPkiDirOption(command, &options->directory);
  command
      ->add_option("--out", options->out, "Where device.crt and device.key go; never overwritten")
      ->required();
  command->add_option("--days", options->days, "Validity of the certificate")
      ->capture_default_str();
}

void AddIssuing(CLI::App* cert, const std::shared_ptr<Options>& options, int* status) {
  CLI::App* issue = cert->add_subcommand("issue", "Makes a key and a certificate for a device");
  AddIssueOptions(issue, options.get());
  issue->callback([options, status] { *status = Issue("device cert issue", *options, false); });

  CLI::App* rotate =
      cert->add_subcommand("rotate", "Issues another one to a device that has a certificate");
  AddIssueOptions(rotate, options.get());
  rotate->add_flag("--revoke-old", options->revoke_old,
                   "End the old ones now, not when the device has changed over");
  rotate->callback([options, status] { *status = Issue("device cert rotate", *options, true); });

  CLI::App* import =
      cert->add_subcommand("import", "Registers a certificate that was made elsewhere");
  AddNames(import, options.get());
  import->add_option("file", options->file, "The certificate, PEM; no key is read")->required();
  CLI::Option* dir = import->add_option("--dir", options->directory,
                                        "The directory whose device-ca.crt must have issued it");
  dir->envname("PKI_DIR");
  import->add_option("--ca", options->ca,
                     "Another authority that the broker trusts; only its own list can revoke it");
  import->callback([options, status] { *status = Import(*options);
});
}  // namespace

}  // namespace sluice

void AddDeviceCertCommand(CLI::App& device, int* status) {
  auto options = std::make_shared<Options>();
  CLI::App* cert = device.add_subcommand("cert", "Certificates of devices");
  cert->require_subcommand(1);
  AddIssuing(cert, options, status);

  CLI::App* revoke = cert->add_subcommand("revoke", "Revokes certificates of a device");
  AddNames(revoke, options.get());
  revoke->add_option("--fingerprint", options->fingerprint,
                     "Only the certificate with this SHA-256; without, all that are ACTIVE");
  revoke->add_option("--reason", options->reason, "Kept with the certificate")
      ->capture_default_str();
  revoke->callback([options, status] { *status = Revoke(*options); });

  CLI::App* list = cert->add_subcommand("list", "Prints certificates");
  list->add_option("tenant", options->tenant, "Only of this tenant");
  list->add_option("device", options->device, "Only of this device");
  list->add_option("--status", options->status, "Only ACTIVE, REVOKED or EXPIRED ones");
  list->add_flag("--json", options->json, "As a JSON array");
  list->callback([options, status] { *status = List(*options); });
}

}  // namespace sluice
