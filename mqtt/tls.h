// TLS towards a broker, with or without a certificate of one's own.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "base/status.h"

namespace sluice::mqtt {

template <auto kFree>
struct FreeWith {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
inline void FreeChain(STACK_OF(X509) * chain) {
  sk_X509_pop_free(chain, X509_free);
}
using SslSession = std::unique_ptr<SSL, FreeWith<SSL_free>>;

// Whom to believe. Immutable; copies share.
class TlsTrust {
 public:
  // The broker's certificate must be signed by one of `ca_file` (empty: by one the system trusts),
  // and be made for `host` unless that is empty.
  static Result<TlsTrust> Load(const std::string& ca_file, const std::string& host);

 private:
  friend class TlsIdentity;
  std::shared_ptr<SSL_CTX> context_;
};

// A client's certificate and key, read once and shown in each of its sessions. Immutable.
class TlsIdentity {
 public:
  // PEM files; further certificates in the first one are the chain to the root.
  static Result<TlsIdentity> Load(TlsTrust trust, const std::string& certificate_file,
                                  const std::string& key_file);
  // Shows no certificate.
  static TlsIdentity Nobody(TlsTrust trust);

  // A session on a non-blocking socket. Its first reads and writes make the handshake.
  SslSession NewSession(int socket) const;

 private:
  TlsTrust trust_;
  std::unique_ptr<X509, FreeWith<X509_free>> certificate_;
  std::unique_ptr<STACK_OF(X509), FreeWith<FreeChain>> chain_;
  std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>> key_;
};

// The newest of OpenSSL's complaints on this thread, in words.
std::string TlsComplaint();

}  // namespace sluice::mqtt
