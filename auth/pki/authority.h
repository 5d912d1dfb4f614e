// Authority: a certificate authority with its key in memory. It issues certificates and revocation
// lists as PEM; nothing here touches a file or a database.
//
// Keys are EC P-256, signatures SHA-256, serial numbers 128 random bits. Certificates and lists are
// valid from five minutes before `now`, so that a machine whose clock is a little behind takes them
// at once. Times are given by the caller, so that tests can make expired ones.
//
// Immutable after it is made; one thread at a time, as OpenSSL asks of its objects.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "auth/pki/openssl.h"
#include "base/clock.h"
#include "base/status.h"

namespace sluice {

struct IssuedCertificate {
  std::string certificate_pem;
  std::string key_pem;  // secret; PKCS #8, not encrypted
};

struct RevokedCertificate {
  std::string certificate_pem;
  UnixMicros revoked_at = 0;
};

struct RevocationList {
  std::string pem;
  size_t revoked = 0;     // serial numbers in it
  size_t foreign = 0;     // certificates given that other authorities issued: not ours to revoke
  size_t unreadable = 0;  // texts given that hold no certificate
};

class Authority {
 public:
  // A new key and its self-signed certificate (CA:TRUE, pathlen 0) with `name` as common name.
  static Result<Authority> Create(const std::string& name, UnixMicros now, std::chrono::days days);
  // An error when the two do not belong together or the certificate is no authority's.
  static Result<Authority> Parse(std::string_view certificate_pem, std::string_view key_pem);

  // For a client; `common_name` is DeviceCommonName's. An error when it would outlive the
  // authority.
  Result<IssuedCertificate> IssueDevice(const std::string& common_name, UnixMicros now,
                                        std::chrono::days days) const;
  // For a server that is reached by these host names and IP addresses; at least one. The first is
  // the common name, too.
  Result<IssuedCertificate> IssueServer(const std::vector<std::string>& names, UnixMicros now,
                                        std::chrono::days days) const;

  // The list of all revoked certificates. `previous_pem` is the list that this one replaces, or "".
  // A broker that reloads keeps the lists it had and believes the one with the latest thisUpdate,
  // so that of the new one is at least a second later than the previous one's.
  Result<RevocationList> MakeCrl(const std::vector<RevokedCertificate>& revoked,
                                 std::string_view previous_pem, UnixMicros now,
                                 std::chrono::days days) const;

  // Whether `old_pem` says what `fresh` says and has more than half of its time before it, so that
  // nobody has to be told of `fresh`. A broker keeps every list that it has ever read.
  bool StillServes(std::string_view old_pem, const RevocationList& fresh, UnixMicros now) const;

  Result<std::string> CertificatePem() const;
  Result<std::string> KeyPem() const;  // secret

 private:
  Authority(X509Ptr certificate, KeyPtr key)
      : certificate_(std::move(certificate)), key_(std::move(key)) {}

  X509Ptr certificate_;
  KeyPtr key_;
};

}  // namespace sluice
