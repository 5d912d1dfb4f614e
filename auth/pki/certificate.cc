#include "auth/pki/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>
#include <utility>

#include "auth/pki/openssl.h"
#include "base/escape.h"
#include "base/letter_case.h"

namespace sluice {
namespace {

constexpr UnixMicros kMicrosPerSecond = 1'000'000;

// No callback that asks at the terminal for a pass phrase: our keys have none.
int NoPassPhrase(char*, int, int, void*) {
  return 0;
}

BioPtr Reading(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Result<std::string> CommonNameOf(X509* certificate) {
  const Status unusable(ErrorCode::kInvalidArgument,
                        "the certificate's subject does not have exactly one common name");
  X509_NAME* subject = X509_get_subject_name(certificate);
  const int first = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (first < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, first) >= 0) return unusable;
  unsigned char* utf8 = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, first)));
  if (size < 0) return OpenSslError("the certificate's common name");
  std::string name(reinterpret_cast<char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  if (name.find('\0') != std::string::npos) return unusable;
  return name;
}

std::string SerialOf(const X509* certificate) {
  const BignumPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  char* upper = BN_bn2hex(number.get());
  std::string text(upper);
  OPENSSL_free(upper);
  return LowerCase(std::move(text));
}

}  // namespace

Status OpenSslError(const std::string& what) {
  const unsigned long error = ERR_peek_last_error();  // NOLINT(google-runtime-int): OpenSSL's type
  const char* reason = ERR_reason_error_string(error);
  ERR_clear_error();
  return {ErrorCode::kInvalidArgument, what + ": " + (reason == nullptr ? "refused" : reason)};
}

X509Ptr ParseCertificate(std::string_view pem) {
  X509Ptr certificate(PEM_read_bio_X509(Reading(pem).get(), nullptr, NoPassPhrase, nullptr));
  ERR_clear_error();
  return certificate;
}

CrlPtr ParseCrl(std::string_view pem) {
  CrlPtr crl(PEM_read_bio_X509_CRL(Reading(pem).get(), nullptr, NoPassPhrase, nullptr));
  ERR_clear_error();
  return crl;
}

KeyPtr ParsePrivateKey(std::string_view pem) {
  KeyPtr key(PEM_read_bio_PrivateKey(Reading(pem).get(), nullptr, NoPassPhrase, nullptr));
  ERR_clear_error();
  return key;
}

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);  // NOLINT(google-runtime-int): OpenSSL's type
  return {data, static_cast<size_t>(size)};
}

UnixMicros MicrosOf(const ASN1_TIME* time) {
  tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? timegm(&parts) * kMicrosPerSecond : 0;
}

Result<Certificate> ReadCertificate(std::string_view pem) {
  const X509Ptr certificate = ParseCertificate(pem);
  if (certificate == nullptr) {
    return Status(ErrorCode::kInvalidArgument, "no certificate in PEM could be read");
  }
  Result<std::string> name = CommonNameOf(certificate.get());
  if (!name.ok()) return name.status();

  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int digest_size = 0;
  const BioPtr text(BIO_new(BIO_s_mem()));
  const BioPtr issuer(BIO_new(BIO_s_mem()));
  if (X509_digest(certificate.get(), EVP_sha256(), digest.data(), &digest_size) != 1 ||
      PEM_write_bio_X509(text.get(), certificate.get()) != 1 ||
      X509_NAME_print_ex(issuer.get(), X509_get_issuer_name(certificate.get()), 0,
                         XN_FLAG_RFC2253) < 0) {
    return OpenSslError("reading a certificate");
  }
  return Certificate{
      .pem = TextOf(text.get()),
      .fingerprint_sha256 = ToHex({reinterpret_cast<char*>(digest.data()), digest_size}),
      .common_name = *std::move(name),
      .issuer = TextOf(issuer.get()),
      .serial_number = SerialOf(certificate.get()),
      .not_before = MicrosOf(X509_get0_notBefore(certificate.get())),
      .not_after = MicrosOf(X509_get0_notAfter(certificate.get()))};
}

Result<UnixMicros> EarliestEnd(std::string_view pem) {
  const InfosPtr infos(PEM_X509_INFO_read_bio(Reading(pem).get(), nullptr, NoPassPhrase, nullptr));
  if (infos == nullptr) return OpenSslError("reading certificates and revocation lists");
  std::optional<UnixMicros> earliest;
  for (int i = 0; i < sk_X509_INFO_num(infos.get()); ++i) {
    const X509_INFO* info = sk_X509_INFO_value(infos.get(), i);
    const ASN1_TIME* end = nullptr;
    if (info->x509 != nullptr) end = X509_get0_notAfter(info->x509);
    if (info->crl != nullptr) end = X509_CRL_get0_nextUpdate(info->crl);
    if (end != nullptr) earliest = std::min(earliest.value_or(MicrosOf(end)), MicrosOf(end));
  }
  if (earliest) return *earliest;
  return Status(ErrorCode::kInvalidArgument, "there is no certificate or revocation list in it");
}

bool IsIssuedBy(std::string_view pem, std::string_view authority_pem) {
  const X509Ptr certificate = ParseCertificate(pem);
  const X509Ptr authority = ParseCertificate(authority_pem);
  const bool issued = certificate != nullptr && authority != nullptr &&
                      X509_check_issued(authority.get(), certificate.get()) == X509_V_OK &&
                      X509_verify(certificate.get(), X509_get0_pubkey(authority.get())) == 1;
  ERR_clear_error();
  return issued;
}

bool IsKeyOf(std::string_view key_pem, std::string_view pem) {
  const KeyPtr key = ParsePrivateKey(key_pem);
  const X509Ptr certificate = ParseCertificate(pem);
  const bool fits = key != nullptr && certificate != nullptr &&
                    X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  return fits;
}

}  // namespace sluice
