#include "auth/pki/pki_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include "auth/pki/pki_files.h"
#include "base/file_system.h"

namespace sluice {
namespace {

struct NewFile {
  std::string path;
  std::string content;
  mode_t mode;
};

// Keys in a directory that others may write to are theirs to replace.
Status MakePrivateDirectory(const std::string& path) {
  if (Status made = SystemFileSystem().CreateDirectories(path); !made.ok()) return made;
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0) {
    return Status::Ok();
  }
  return {ErrorCode::kInvalidArgument, path + " can be written to by others: chmod 700 it"};
}

Status WriteAllOrNone(const std::vector<NewFile>& files) {
  for (size_t i = 0; i < files.size(); ++i) {
    const Status status =
        WriteWholeFile(files[i].path, files[i].content, files[i].mode, Existing::kRefuse);
    if (status.ok()) continue;
    for (size_t written = 0; written < i; ++written) ::unlink(files[written].path.c_str());
    return status;
  }
  return Status::Ok();
}

Result<Authority> LoadAuthority(const std::string& certificate_path, const std::string& key_path) {
  const Result<std::string> certificate = ReadWholeFile(certificate_path);
  if (!certificate.ok()) return certificate.status();
  const Result<std::string> key = ReadWholeFile(key_path);
  if (!key.ok()) return key.status();
  Result<Authority> authority = Authority::Parse(*certificate, *key);
  if (authority.ok()) return authority;
  return Status(authority.code(), certificate_path + ": " + authority.message());
}

}  // namespace

PkiDirectory::PkiDirectory(const std::string& directory)
    : path(directory),
      server_ca(path + "/ca.crt"),
      server_ca_key(path + "/ca.key"),
      device_ca(path + "/device-ca.crt"),
      device_ca_key(path + "/device-ca.key"),
      server(path + "/server.crt"),
      server_key(path + "/server.key"),
      combined_ca(path + "/combined-ca.crt"),
      crl(path + "/device-crl.pem") {}

Status InitializePki(const PkiDirectory& directory, const PkiPlan& plan, UnixMicros now) {
  const Result<Authority> servers = Authority::Create("sluice server CA", now, plan.ca_days);
  if (!servers.ok()) return servers.status();
  const Result<Authority> devices = Authority::Create("sluice device CA", now, plan.ca_days);
  if (!devices.ok()) return devices.status();
  const auto server = servers->IssueServer(plan.server_names, now, plan.server_days);
  if (!server.ok()) return server.status();
  const auto crl = devices->MakeCrl({}, "", now, plan.crl_days);
  if (!crl.ok()) return crl.status();

  const Result<std::string> server_ca = servers->CertificatePem();
  const Result<std::string> server_ca_key = servers->KeyPem();
  const Result<std::string> device_ca = devices->CertificatePem();
  const Result<std::string> device_ca_key = devices->KeyPem();
  for (const auto* part : {&server_ca, &server_ca_key, &device_ca, &device_ca_key}) {
    if (!part->ok()) return part->status();
  }
  if (Status made = MakePrivateDirectory(directory.path); !made.ok()) return made;
  return WriteAllOrNone({{directory.server_ca_key, *server_ca_key, kSecretMode},
                         {directory.server_ca, *server_ca, kPublicMode},
                         {directory.device_ca_key, *device_ca_key, kSecretMode},
                         {directory.device_ca, *device_ca, kPublicMode},
                         {directory.server_key, server->key_pem, kSecretMode},
                         {directory.server, server->certificate_pem, kPublicMode},
                         {directory.combined_ca, *server_ca + *device_ca, kPublicMode},
                         {directory.crl, crl->pem, kPublicMode}});
}

Status RenewServerCertificate(const PkiDirectory& directory, const std::vector<std::string>& names,
                              std::chrono::days days, UnixMicros now) {
  const Result<Authority> servers = LoadAuthority(directory.server_ca, directory.server_ca_key);
  if (!servers.ok()) return servers.status();
  const auto server = servers->IssueServer(names, now, days);
  if (!server.ok()) return server.status();
  Status written =
      WriteWholeFile(directory.server_key, server->key_pem, kSecretMode, Existing::kReplace);
  if (!written.ok()) return written;
  return WriteWholeFile(directory.server, server->certificate_pem, kPublicMode, Existing::kReplace);
}

Result<Authority> LoadDeviceAuthority(const PkiDirectory& directory) {
  return LoadAuthority(directory.device_ca, directory.device_ca_key);
}

}  // namespace sluice
