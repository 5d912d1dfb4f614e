// An authority and a verifier for the tests of auth/pki.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "auth/pki/authority.h"
#include "auth/pki/openssl.h"
#include "base/clock.h"

namespace sluice {

inline constexpr UnixMicros kMicrosPerDay = 86'400'000'000;
inline constexpr UnixMicros kNow = 1'800'000'000'000'000;  // 2027-01-15

inline Authority NewAuthority(const std::string& name = "test CA") {
  Result<Authority> authority = Authority::Create(name, kNow, std::chrono::days(3650));
  if (!authority.ok()) std::abort();
  return *std::move(authority);
}

inline IssuedCertificate Issue(const Authority& authority, const std::string& name = "t/d",
                               UnixMicros now = kNow, int days = 365) {
  Result<IssuedCertificate> issued = authority.IssueDevice(name, now, std::chrono::days(days));
  if (!issued.ok()) std::abort();
  return *std::move(issued);
}

using StorePtr = OpenSslPtr<X509_STORE, X509_STORE_free>;
using StoreContextPtr = OpenSslPtr<X509_STORE_CTX, X509_STORE_CTX_free>;

// What OpenSSL, and so the broker, says of a certificate: X509_V_OK or another code. With a list,
// it is asked for revocation, too.
inline int Verdict(const Authority& trusted, const std::string& certificate_pem, UnixMicros now,
                   int purpose = X509_PURPOSE_SSL_CLIENT, const std::string& crl_pem = "") {
  const StorePtr store(X509_STORE_new());
  const X509Ptr authority = ParseCertificate(*trusted.CertificatePem());
  const X509Ptr certificate = ParseCertificate(certificate_pem);
  X509_STORE_add_cert(store.get(), authority.get());
  if (const CrlPtr crl = ParseCrl(crl_pem)) {
    X509_STORE_add_crl(store.get(), crl.get());
    X509_STORE_set_flags(store.get(), X509_V_FLAG_CRL_CHECK);
  }
  const StoreContextPtr context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), certificate.get(), nullptr);
  X509_STORE_CTX_set_purpose(context.get(), purpose);
  X509_STORE_CTX_set_time(context.get(), 0, now / 1'000'000);
  X509_verify_cert(context.get());
  return X509_STORE_CTX_get_error(context.get());
}

}  // namespace sluice
