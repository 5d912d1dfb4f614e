// Mutual TLS for simulated devices.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "base/status.h"

namespace sluice::loadtest {

template <auto kFree>
struct FreeWith {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using SslSession = std::unique_ptr<SSL, FreeWith<SSL_free>>;

// What all devices have in common. Immutable; copies share.
class TlsTrust {
 public:
  // The broker's certificate must be made for `host` and signed by a certificate of `ca_file`.
  static Result<TlsTrust> Load(const std::string& ca_file, const std::string& host);

 private:
  friend class TlsIdentity;
  std::shared_ptr<SSL_CTX> context_;
};

// One device's certificate and key, read once and shown in each of its sessions. Immutable.
class TlsIdentity {
 public:
  // device.crt and device.key of `directory`, as `sluice device cert issue` writes them.
  static Result<TlsIdentity> Load(TlsTrust trust, const std::string& directory);

  // A session on a non-blocking socket. Its first reads and writes make the handshake.
  SslSession NewSession(int socket) const;

 private:
  TlsTrust trust_;
  std::unique_ptr<X509, FreeWith<X509_free>> certificate_;
  std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>> key_;
};

// The newest of OpenSSL's complaints on this thread, in words.
std::string TlsComplaint();

}  // namespace sluice::loadtest
