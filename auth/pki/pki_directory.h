// The directory with the authorities' keys, as `sluice pki init` makes it.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "auth/pki/authority.h"
#include "base/clock.h"
#include "base/status.h"

namespace sluice {

// Names of files. Keys have mode 0600, the rest 0644; the directory has 0700.
struct PkiDirectory {
  explicit PkiDirectory(const std::string& directory);

  std::string path;
  std::string server_ca;      // ca.crt: signs the server's certificate; what devices trust
  std::string server_ca_key;  // ca.key
  std::string device_ca;      // device-ca.crt: signs the devices'
  std::string device_ca_key;  // device-ca.key
  std::string server;         // server.crt
  std::string server_key;     // server.key
  std::string combined_ca;    // combined-ca.crt: both authorities, the broker's cafile
  std::string crl;            // device-crl.pem
};

struct PkiPlan {
  std::vector<std::string> server_names;
  std::chrono::days ca_days{3650};
  std::chrono::days server_days{825};
  std::chrono::days crl_days{30};
};

// All files, or none: nothing that is there is overwritten.
Status InitializePki(const PkiDirectory& directory, const PkiPlan& plan, UnixMicros now);

// A new key and certificate for the server from the directory's ca.key; replaces the old ones.
Status RenewServerCertificate(const PkiDirectory& directory, const std::vector<std::string>& names,
                              std::chrono::days days, UnixMicros now);

// The authority of device-ca.crt and device-ca.key.
Result<Authority> LoadDeviceAuthority(const PkiDirectory& directory);

}  // namespace sluice
