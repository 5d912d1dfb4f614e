#include "mqtt/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <utility>

namespace sluice::mqtt {
namespace {

using Bio = std::unique_ptr<BIO, FreeWith<BIO_free>>;

Status Unusable(const std::string& file) {
  return {ErrorCode::kInvalidArgument, "cannot use " + file + ": " + TlsComplaint()};
}

}  // namespace

std::string TlsComplaint() {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  return reason == nullptr ? "TLS failed" : reason;
}

Result<TlsTrust> TlsTrust::Load(const std::string& ca_file, const std::string& host) {
  TlsTrust trust;
  trust.context_ = {SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
  SSL_CTX* const context = trust.context_.get();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  // A broker that just hangs up is an end like any other: what counts is what it acknowledged.
  SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  if (ca_file.empty()) {
    SSL_CTX_set_default_verify_paths(context);
  } else if (SSL_CTX_load_verify_locations(context, ca_file.c_str(), nullptr) != 1) {
    return Unusable(ca_file);
  }
  if (host.empty()) return trust;
  X509_VERIFY_PARAM* const expected = SSL_CTX_get0_param(context);
  if (X509_VERIFY_PARAM_set1_ip_asc(expected, host.c_str()) != 1) {
    X509_VERIFY_PARAM_set1_host(expected, host.c_str(), host.size());
  }
  return trust;
}

Result<TlsIdentity> TlsIdentity::Load(TlsTrust trust, const std::string& certificate_file,
                                      const std::string& key_file) {
  TlsIdentity identity = Nobody(std::move(trust));
  identity.chain_.reset(sk_X509_new_null());
  if (const Bio file{BIO_new_file(certificate_file.c_str(), "r")}) {
    identity.certificate_.reset(PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr));
    while (X509* const issuer = PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr)) {
      sk_X509_push(identity.chain_.get(), issuer);
    }
  }
  if (identity.certificate_ == nullptr) return Unusable(certificate_file);
  if (const Bio file{BIO_new_file(key_file.c_str(), "r")}) {
    identity.key_.reset(PEM_read_bio_PrivateKey(file.get(), nullptr, nullptr, nullptr));
  }
  if (identity.key_ == nullptr) return Unusable(key_file);
  return identity;
}

TlsIdentity TlsIdentity::Nobody(TlsTrust trust) {
  TlsIdentity identity;
  identity.trust_ = std::move(trust);
  return identity;
}

SslSession TlsIdentity::NewSession(int socket) const {
  SslSession session(SSL_new(trust_.context_.get()));
  SSL_set_fd(session.get(), socket);
  if (certificate_ != nullptr) {
    SSL_use_cert_and_key(session.get(), certificate_.get(), key_.get(), chain_.get(), 1);
  }
  SSL_set_connect_state(session.get());
  return session;
}

}  // namespace sluice::mqtt
