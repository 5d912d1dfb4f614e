// What the files of this folder share of OpenSSL: owners, and errors as sentences.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"

namespace sluice {

template <auto Free>
struct OpenSslFree {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

template <typename T, auto Free>
using OpenSslPtr = std::unique_ptr<T, OpenSslFree<Free>>;

struct InfosFree {
  void operator()(STACK_OF(X509_INFO) * infos) const {
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
  }
};

using BioPtr = OpenSslPtr<BIO, BIO_free_all>;
using BignumPtr = OpenSslPtr<BIGNUM, BN_free>;
using CrlPtr = OpenSslPtr<X509_CRL, X509_CRL_free>;
using ExtensionPtr = OpenSslPtr<X509_EXTENSION, X509_EXTENSION_free>;
using InfosPtr = std::unique_ptr<STACK_OF(X509_INFO), InfosFree>;
using IntegerPtr = OpenSslPtr<ASN1_INTEGER, ASN1_INTEGER_free>;
using KeyPtr = OpenSslPtr<EVP_PKEY, EVP_PKEY_free>;
using RevokedPtr = OpenSslPtr<X509_REVOKED, X509_REVOKED_free>;
using TimePtr = OpenSslPtr<ASN1_TIME, ASN1_TIME_free>;
using X509Ptr = OpenSslPtr<X509, X509_free>;

// "what: OpenSSL's reason"; empties OpenSSL's queue of errors.
Status OpenSslError(const std::string& what);

// nullptr when the text holds no such thing; further ones after the first are not looked at.
X509Ptr ParseCertificate(std::string_view pem);
CrlPtr ParseCrl(std::string_view pem);
KeyPtr ParsePrivateKey(std::string_view pem);

// A memory BIO's content.
std::string TextOf(BIO* bio);

UnixMicros MicrosOf(const ASN1_TIME* time);

}  // namespace sluice
