// A certificate as device_certificates holds it.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"

namespace sluice {

struct Certificate {
  std::string pem;                 // this one certificate, written by us
  std::string fingerprint_sha256;  // of the DER, lower-case hexadecimal without colons
  std::string common_name;
  std::string issuer;         // RFC 2253, e.g. "CN=sluice device CA"
  std::string serial_number;  // lower-case hexadecimal
  UnixMicros not_before = 0;
  UnixMicros not_after = 0;
};

// The first certificate of the text. An error when there is none, or when its subject does not have
// exactly one common name, or one with a NUL in it: with such a certificate the broker could see
// another name than we do.
Result<Certificate> ReadCertificate(std::string_view pem);

// When the first of all certificates and revocation lists in the text ends: not_after, or the time
// by which a list was to be replaced. An error when there is none, or one that cannot be read.
Result<UnixMicros> EarliestEnd(std::string_view pem);

// Whether the authority's key has signed it. Says nothing about times.
bool IsIssuedBy(std::string_view pem, std::string_view authority_pem);

// Whether that is the private key of the first certificate of the text.
bool IsKeyOf(std::string_view key_pem, std::string_view pem);

}  // namespace sluice
