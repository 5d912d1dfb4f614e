// DeviceAdmin: the registry's and the certificates' rows as an operator's commands change them.
//
// For the owner of the tables or a superuser. A role that row level security hides rows from is
// refused: to it a table looks emptier than it is, and a revocation list made from that would let
// everybody in again. One thread at a time.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "auth/pki/authority.h"
#include "auth/pki/certificate.h"
#include "base/postgres.h"
#include "base/status.h"

namespace sluice {

struct NewDevice {
  std::string tenant;
  std::string device;
  std::string site;
  std::optional<std::string> subscription = {};  // takes one of its places
  std::optional<std::string> token_hash = {};    // SHA-256 as hexadecimal
};

// Empty members do not narrow.
struct ListFilter {
  std::string tenant = {};
  std::string device = {};
  std::string status = {};
};

enum class ListFormat {
  kRows,
  kJson,  // one row with one column: an array of objects
};

inline constexpr std::array kDeviceColumns = {"tenant", "device", "site",
                                              "status", "token",  "certificates"};
inline constexpr std::array kCertificateColumns = {"tenant",      "device",    "status",
                                                   "fingerprint", "serial",    "issuer",
                                                   "not_before",  "not_after", "reason"};

// 256 bits of the system's random source, as 64 hexadecimal digits. Secret.
Result<std::string> NewProvisionToken();

class DeviceAdmin {
 public:
  // `db` outlives this. Asks whether its role sees every row.
  static Result<DeviceAdmin> Open(PgConnection* db);

  // What is changed in between is seen by others at once or not at all. A destroyed connection
  // rolls back.
  Status Begin();
  Status Commit();

  Status Add(const NewDevice& device);
  // The device and its ACTIVE certificates; gives its subscription's place back. Between Begin and
  // Commit. How many certificates.
  Result<int64_t> Revoke(const std::string& tenant, const std::string& device,
                         const std::string& reason);
  // Also forgets a token that an old service kept in the clear.
  Status SetTokenHash(const std::string& tenant, const std::string& device,
                      const std::string& token_hash);

  // Only for an ACTIVE device, which stays so until Commit.
  Status AddCertificate(const std::string& tenant, const std::string& device,
                        const Certificate& certificate);
  // The device's ACTIVE certificates: all of them (""), or one by its fingerprint, in either case
  // and with or without colons. kNotFound when there is none.
  Result<int64_t> RevokeCertificates(const std::string& tenant, const std::string& device,
                                     const std::string& fingerprint, const std::string& reason);

  // ACTIVE rows whose not_after has passed become EXPIRED. How many.
  Result<int64_t> MarkExpired();
  // Those of everybody. Waits, between Begin and Commit, until nobody else makes a list of them, so
  // that an older list never replaces a newer one.
  Result<std::vector<RevokedCertificate>> RevokedCertificates();

  Result<PgRows> Devices(const ListFilter& filter, ListFormat format);
  Result<PgRows> Certificates(const ListFilter& filter, ListFormat format);

 private:
  explicit DeviceAdmin(PgConnection* db) : db_(db) {}

  Result<PgRows> Do(const std::string& what, const std::string& sql,
                    const std::vector<PgParam>& params = {});

  PgConnection* db_;
};

}  // namespace sluice
