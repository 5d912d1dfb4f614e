#include "auth/pki/certificate.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>

#include "tests/unit/auth/pki/pki_fixture.h"

namespace sluice {
namespace {

// A self-signed certificate with these common names.
std::string WithNames(const std::vector<std::string>& names) {
  const KeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  const X509Ptr certificate(X509_new());
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 0x0a1b);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 60);
  X509_set_pubkey(certificate.get(), key.get());
  for (const std::string& name : names) {
    X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate.get()), NID_commonName,
                               MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.data()),
                               static_cast<int>(name.size()), -1, 0);
  }
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  const BioPtr text(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(text.get(), certificate.get());
  return TextOf(text.get());
}

TEST(Certificate, ReadsWhatTheTableHolds) {
  const auto certificate = ReadCertificate(Issue(NewAuthority("our CA"), "t/d").certificate_pem);
  ASSERT_TRUE(certificate.ok());
  EXPECT_EQ(certificate->common_name, "t/d");
  EXPECT_EQ(certificate->issuer, "CN=our CA");
  EXPECT_EQ(certificate->fingerprint_sha256.size(), 64U);
  EXPECT_EQ(certificate->not_after, kNow + 365 * kMicrosPerDay);
  EXPECT_LT(certificate->not_before, kNow);
}

TEST(Certificate, WritesTheSerialNumberInLowerCaseHexadecimal) {
  EXPECT_EQ(ReadCertificate(WithNames({"a"}))->serial_number, "0a1b");
}

TEST(Certificate, RefusesNoCommonNameTwoOfThemAndOneWithANul) {
  EXPECT_TRUE(ReadCertificate(WithNames({"a"})).ok());
  EXPECT_FALSE(ReadCertificate(WithNames({})).ok());
  EXPECT_FALSE(ReadCertificate(WithNames({"t/d", "t/e"})).ok());
  EXPECT_FALSE(ReadCertificate(WithNames({std::string("t/d\0x", 5)})).ok());
}

TEST(Certificate, RefusesTextThatIsNone) {
  const IssuedCertificate issued = Issue(NewAuthority());
  EXPECT_FALSE(ReadCertificate("").ok());
  EXPECT_FALSE(ReadCertificate(issued.key_pem).ok());
  EXPECT_FALSE(ReadCertificate(issued.certificate_pem.substr(0, 200)).ok());
}

TEST(EarliestEnd, IsThatOfTheFirstCertificateOrListToEnd) {
  const Authority authority = NewAuthority();  // for ten years
  const std::string ca = *authority.CertificatePem();
  const std::string device = Issue(authority, "t/d", kNow, 90).certificate_pem;
  const std::string list = authority.MakeCrl({}, "", kNow, std::chrono::days(30))->pem;
  EXPECT_EQ(*EarliestEnd(ca), kNow + 3650 * kMicrosPerDay);
  EXPECT_EQ(*EarliestEnd(ca + device), kNow + 90 * kMicrosPerDay);
  EXPECT_EQ(*EarliestEnd(device + ca), kNow + 90 * kMicrosPerDay);
  EXPECT_EQ(*EarliestEnd(ca + list + device), kNow + 30 * kMicrosPerDay);
}

TEST(EarliestEnd, IsUnknownOfATextWithoutAnyOrWithABrokenOne) {
  const IssuedCertificate issued = Issue(NewAuthority());
  EXPECT_FALSE(EarliestEnd("").ok());
  EXPECT_FALSE(EarliestEnd(issued.key_pem).ok());
  EXPECT_FALSE(EarliestEnd(issued.certificate_pem.substr(0, 200)).ok());
  EXPECT_FALSE(EarliestEnd(issued.certificate_pem + issued.certificate_pem.substr(0, 200)).ok());
}

TEST(Certificate, KeepsOnlyTheCertificateOfATextThatHoldsItsKey) {
  const IssuedCertificate issued = Issue(NewAuthority());
  const auto certificate = ReadCertificate(issued.key_pem + issued.certificate_pem);
  ASSERT_TRUE(certificate.ok());
  EXPECT_EQ(certificate->pem, issued.certificate_pem);
}

}  // namespace
}  // namespace sluice
