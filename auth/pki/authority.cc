#include "auth/pki/authority.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <ctime>
#include <optional>
#include <utility>

#include "auth/pki/common_name.h"

namespace sluice {
namespace {

using std::chrono::days;

constexpr int kVersion3 = 2;  // X.509 counts from 0
constexpr int kCrlVersion2 = 1;
constexpr int kSerialBits = 128;
constexpr int64_t kBackdateSeconds = 300;
constexpr UnixMicros kMicrosPerSecond = 1'000'000;

struct ExtensionText {
  int nid;
  std::string value;
};

int64_t SecondsOf(UnixMicros time) {
  return time / kMicrosPerSecond;
}

int64_t SecondsOf(days length) {
  return std::chrono::seconds(length).count();
}

KeyPtr NewKey() {
  // Not EVP_EC_gen, a macro that casts a const away.
  return KeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
}

Result<std::string> PrivateKeyPem(EVP_PKEY* key) {
  const BioPtr text(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PKCS8PrivateKey(text.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return OpenSslError("writing a key");
  }
  return TextOf(text.get());
}

Result<std::string> PemOf(X509* certificate) {
  const BioPtr text(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(text.get(), certificate) != 1) {
    return OpenSslError("writing a certificate");
  }
  return TextOf(text.get());
}

bool SetRandomSerial(X509* certificate) {
  const BignumPtr number(BN_new());
  return BN_priv_rand(number.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

// UTF8String, so that nothing is converted between here and the name that the broker reads.
bool SetSubject(X509* certificate, const std::string& common_name) {
  return X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                    MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool SetTimes(X509* certificate, UnixMicros now, days length) {
  const int64_t start = SecondsOf(now);
  return ASN1_TIME_set(X509_getm_notBefore(certificate), start - kBackdateSeconds) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), start + SecondsOf(length)) != nullptr;
}

bool AddExtensions(X509* certificate, X509* issuer, const std::vector<ExtensionText>& texts) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  return std::all_of(texts.begin(), texts.end(), [&](const ExtensionText& text) {
    const ExtensionPtr extension(
        X509V3_EXT_conf_nid(nullptr, &context, text.nid, text.value.c_str()));
    return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
  });
}

// `issuer` is nullptr for a certificate that signs itself.
X509Ptr MakeCertificate(const std::string& common_name, EVP_PKEY* key, X509* issuer,
                        EVP_PKEY* issuer_key, UnixMicros now, days length,
                        const std::vector<ExtensionText>& extensions) {
  X509Ptr certificate(X509_new());
  X509* c = certificate.get();
  X509* signer = issuer == nullptr ? c : issuer;
  const bool made =
      X509_set_version(c, kVersion3) == 1 && SetRandomSerial(c) && SetSubject(c, common_name) &&
      X509_set_issuer_name(c, X509_get_subject_name(signer)) == 1 && SetTimes(c, now, length) &&
      X509_set_pubkey(c, key) == 1 && AddExtensions(c, signer, extensions) &&
      X509_sign(c, issuer_key, EVP_sha256()) > 0;
  return made ? std::move(certificate) : nullptr;
}

Status CheckLength(days length) {
  if (length.count() > 0) return Status::Ok();
  return {ErrorCode::kInvalidArgument, "a validity has at least one day"};
}

std::vector<ExtensionText> LeafExtensions(const std::string& usage) {
  return {{NID_basic_constraints, "critical,CA:FALSE"},
          {NID_key_usage, "critical,digitalSignature"},
          {NID_ext_key_usage, usage},
          {NID_subject_key_identifier, "hash"},
          {NID_authority_key_identifier, "keyid:always"}};
}

// The names go into a text that OpenSSL takes apart at commas, so nothing else may be in them.
std::optional<std::string> AlternativeName(const std::string& name) {
  unsigned char address[sizeof(in6_addr)];
  if (inet_pton(AF_INET, name.c_str(), address) == 1 ||
      inet_pton(AF_INET6, name.c_str(), address) == 1) {
    return "IP:" + name;
  }
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-*_";
  if (name.empty() || name.size() > kMaxCommonNameBytes ||
      name.find_first_not_of(kAllowed) != std::string::npos) {
    return std::nullopt;
  }
  return "DNS:" + name;
}

Result<IssuedCertificate> IssueLeaf(X509* issuer, EVP_PKEY* issuer_key,
                                    const std::string& common_name, UnixMicros now, days length,
                                    const std::vector<ExtensionText>& extensions) {
  if (Status status = CheckLength(length); !status.ok()) return status;
  if (SecondsOf(now) + SecondsOf(length) > SecondsOf(MicrosOf(X509_get0_notAfter(issuer)))) {
    return Status(ErrorCode::kInvalidArgument,
                  "the certificate would be valid longer than its authority's: give fewer days");
  }
  const KeyPtr key = NewKey();
  if (key == nullptr) return OpenSslError("making a key");
  const X509Ptr certificate =
      MakeCertificate(common_name, key.get(), issuer, issuer_key, now, length, extensions);
  if (certificate == nullptr) return OpenSslError("issuing a certificate for " + common_name);
  Result<std::string> certificate_pem = PemOf(certificate.get());
  if (!certificate_pem.ok()) return certificate_pem.status();
  Result<std::string> key_pem = PrivateKeyPem(key.get());
  if (!key_pem.ok()) return key_pem.status();
  return IssuedCertificate{.certificate_pem = *std::move(certificate_pem),
                           .key_pem = *std::move(key_pem)};
}

bool AddRevoked(X509_CRL* crl, X509* certificate, UnixMicros revoked_at) {
  RevokedPtr entry(X509_REVOKED_new());
  const TimePtr time(ASN1_TIME_set(nullptr, SecondsOf(revoked_at)));
  if (X509_REVOKED_set_serialNumber(entry.get(), X509_get_serialNumber(certificate)) != 1 ||
      X509_REVOKED_set_revocationDate(entry.get(), time.get()) != 1 ||
      X509_CRL_add0_revoked(crl, entry.get()) != 1) {
    return false;
  }
  (void)entry.release();  // the list's now
  return true;
}

// Both were sorted before they were signed.
bool SameSerials(X509_CRL* a, X509_CRL* b) {
  const STACK_OF(X509_REVOKED)* in_a = X509_CRL_get_REVOKED(a);
  const STACK_OF(X509_REVOKED)* in_b = X509_CRL_get_REVOKED(b);
  const int count = std::max(sk_X509_REVOKED_num(in_a), 0);  // -1 where there is no list
  if (count != std::max(sk_X509_REVOKED_num(in_b), 0)) return false;
  for (int i = 0; i < count; ++i) {
    if (ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(in_a, i)),
                         X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(in_b, i))) != 0) {
      return false;
    }
  }
  return true;
}

bool SetCrlTimes(X509_CRL* crl, int64_t from, int64_t until) {
  const TimePtr this_update(ASN1_TIME_set(nullptr, from));
  const TimePtr next_update(ASN1_TIME_set(nullptr, until));
  return X509_CRL_set1_lastUpdate(crl, this_update.get()) == 1 &&
         X509_CRL_set1_nextUpdate(crl, next_update.get()) == 1;
}

// The number only has to grow, and thisUpdate does.
bool AddCrlExtensions(X509_CRL* crl, X509* issuer, int64_t number) {
  const IntegerPtr crl_number(ASN1_INTEGER_new());
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, nullptr, nullptr, crl, 0);
  const ExtensionPtr key_id(
      X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always"));
  return ASN1_INTEGER_set_int64(crl_number.get(), number) == 1 &&
         X509_CRL_add1_ext_i2d(crl, NID_crl_number, crl_number.get(), 0, 0) == 1 &&
         key_id != nullptr && X509_CRL_add_ext(crl, key_id.get(), -1) == 1;
}

}  // namespace

Result<Authority> Authority::Create(const std::string& name, UnixMicros now, days length) {
  if (Status status = CheckLength(length); !status.ok()) return status;
  KeyPtr key = NewKey();
  if (key == nullptr) return OpenSslError("making a key");
  X509Ptr certificate = MakeCertificate(name, key.get(), nullptr, key.get(), now, length,
                                        {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                         {NID_key_usage, "critical,keyCertSign,cRLSign"},
                                         {NID_subject_key_identifier, "hash"}});
  if (certificate == nullptr) return OpenSslError("making the authority " + name);
  return Authority(std::move(certificate), std::move(key));
}

Result<Authority> Authority::Parse(std::string_view certificate_pem, std::string_view key_pem) {
  X509Ptr certificate = ParseCertificate(certificate_pem);
  KeyPtr key = ParsePrivateKey(key_pem);
  const auto refuse = [](const char* why) { return Status(ErrorCode::kInvalidArgument, why); };
  if (certificate == nullptr) return refuse("the authority's certificate cannot be read");
  if (key == nullptr) return refuse("the authority's key cannot be read");
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return refuse("the authority's key is not its certificate's");
  }
  if (X509_check_ca(certificate.get()) != 1) return refuse("the certificate is no authority's");
  return Authority(std::move(certificate), std::move(key));
}

Result<IssuedCertificate> Authority::IssueDevice(const std::string& common_name, UnixMicros now,
                                                 days length) const {
  return IssueLeaf(certificate_.get(), key_.get(), common_name, now, length,
                   LeafExtensions("clientAuth"));
}

Result<IssuedCertificate> Authority::IssueServer(const std::vector<std::string>& names,
                                                 UnixMicros now, days length) const {
  std::string alternatives;
  for (const std::string& name : names) {
    const std::optional<std::string> one = AlternativeName(name);
    if (!one) {
      return Status(
          ErrorCode::kInvalidArgument,
          "\"" + name + "\" is neither a host name of up to 64 characters nor an address");
    }
    alternatives += (alternatives.empty() ? "" : ",") + *one;
  }
  if (names.empty()) return Status(ErrorCode::kInvalidArgument, "a server needs a name");
  std::vector<ExtensionText> extensions = LeafExtensions("serverAuth");
  extensions.push_back({NID_subject_alt_name, alternatives});
  return IssueLeaf(certificate_.get(), key_.get(), names.front(), now, length, extensions);
}

Result<RevocationList> Authority::MakeCrl(const std::vector<RevokedCertificate>& revoked,
                                          std::string_view previous_pem, UnixMicros now,
                                          days length) const {
  if (Status status = CheckLength(length); !status.ok()) return status;
  int64_t from = SecondsOf(now) - kBackdateSeconds;
  if (const CrlPtr previous = ParseCrl(previous_pem)) {
    from = std::max(from, SecondsOf(MicrosOf(X509_CRL_get0_lastUpdate(previous.get()))) + 1);
  }
  const CrlPtr crl(X509_CRL_new());
  const auto failed = [] { return OpenSslError("making a revocation list"); };
  X509_NAME* name = X509_get_subject_name(certificate_.get());
  if (X509_CRL_set_version(crl.get(), kCrlVersion2) != 1 ||
      X509_CRL_set_issuer_name(crl.get(), name) != 1 ||
      !SetCrlTimes(crl.get(), from, SecondsOf(now) + SecondsOf(length)) ||
      !AddCrlExtensions(crl.get(), certificate_.get(), from)) {
    return failed();
  }
  RevocationList list;
  for (const RevokedCertificate& entry : revoked) {
    const X509Ptr certificate = ParseCertificate(entry.certificate_pem);
    if (certificate == nullptr) {
      ++list.unreadable;
    } else if (X509_NAME_cmp(X509_get_issuer_name(certificate.get()), name) != 0) {
      ++list.foreign;
    } else if (AddRevoked(crl.get(), certificate.get(), entry.revoked_at)) {
      ++list.revoked;
    } else {
      return failed();
    }
  }
  const BioPtr text(BIO_new(BIO_s_mem()));
  if (X509_CRL_sort(crl.get()) != 1 || X509_CRL_sign(crl.get(), key_.get(), EVP_sha256()) <= 0 ||
      PEM_write_bio_X509_CRL(text.get(), crl.get()) != 1) {
    return failed();
  }
  list.pem = TextOf(text.get());
  return list;
}

bool Authority::StillServes(std::string_view old_pem, const RevocationList& fresh,
                            UnixMicros now) const {
  const CrlPtr old_list = ParseCrl(old_pem);
  const CrlPtr new_list = ParseCrl(fresh.pem);
  if (old_list == nullptr || new_list == nullptr ||
      X509_CRL_verify(old_list.get(), key_.get()) != 1) {
    ERR_clear_error();
    return false;
  }
  const UnixMicros from = MicrosOf(X509_CRL_get0_lastUpdate(old_list.get()));
  const UnixMicros until = MicrosOf(X509_CRL_get0_nextUpdate(old_list.get()));
  return until - now > (until - from) / 2 && SameSerials(old_list.get(), new_list.get());
}

Result<std::string> Authority::CertificatePem() const {
  return PemOf(certificate_.get());
}

Result<std::string> Authority::KeyPem() const {
  return PrivateKeyPem(key_.get());
}

}  // namespace sluice
