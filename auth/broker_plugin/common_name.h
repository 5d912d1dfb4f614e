// The name in a client's certificate.
#pragma once

#include <openssl/x509.h>

#include <optional>
#include <string_view>

namespace sluice {

// The common name of the certificate's subject, if there is exactly one, of 1 to 64 bytes (X.520),
// in an encoding whose bytes are what they look like (UTF8String, PrintableString, IA5String), and
// without a NUL. Valid as long as the certificate.
std::optional<std::string_view> SoleCommonName(const X509& certificate);

}  // namespace sluice
