#include "auth/pki/authority.h"

#include <gmock/gmock.h>

#include <set>

#include "auth/pki/certificate.h"
#include "tests/unit/auth/pki/pki_fixture.h"

namespace sluice {
namespace {

using std::chrono::days;
using ::testing::HasSubstr;

// As OpenSSL prints them.
std::string ExtensionsOf(const std::string& pem) {
  const X509Ptr certificate = ParseCertificate(pem);
  const BioPtr text(BIO_new(BIO_s_mem()));
  X509V3_extensions_print(text.get(), "", X509_get0_extensions(certificate.get()), 0, 0);
  return TextOf(text.get());
}

TEST(Authority, ItsCertificateMaySignLeavesAndNothingElse) {
  const std::string text = ExtensionsOf(*NewAuthority().CertificatePem());
  EXPECT_THAT(text, HasSubstr("Basic Constraints: critical\n        CA:TRUE, pathlen:0"));
  EXPECT_THAT(text, HasSubstr("Key Usage: critical\n        Certificate Sign, CRL Sign\n"));
}

TEST(Authority, ADevicesCertificateIsForClientsOnly) {
  const Authority authority = NewAuthority();
  const IssuedCertificate issued = Issue(authority);
  EXPECT_EQ(Verdict(authority, issued.certificate_pem, kNow), X509_V_OK);
  EXPECT_EQ(Verdict(authority, issued.certificate_pem, kNow, X509_PURPOSE_SSL_SERVER),
            X509_V_ERR_INVALID_PURPOSE);
  const std::string text = ExtensionsOf(issued.certificate_pem);
  EXPECT_THAT(text, HasSubstr("Basic Constraints: critical\n        CA:FALSE"));
  EXPECT_THAT(text, HasSubstr("Key Usage: critical\n        Digital Signature\n"));
  EXPECT_THAT(text, HasSubstr("Extended Key Usage: \n        TLS Web Client Authentication\n"));
}

TEST(Authority, AServersCertificateNamesItsHostsAndIsForServersOnly) {
  const Authority authority = NewAuthority();
  const auto issued = authority.IssueServer({"broker.example", "10.0.0.5", "::1"}, kNow, days(9));
  ASSERT_TRUE(issued.ok()) << issued.message();
  EXPECT_EQ(Verdict(authority, issued->certificate_pem, kNow, X509_PURPOSE_SSL_SERVER), X509_V_OK);
  EXPECT_EQ(Verdict(authority, issued->certificate_pem, kNow), X509_V_ERR_INVALID_PURPOSE);
  const X509Ptr certificate = ParseCertificate(issued->certificate_pem);
  EXPECT_EQ(X509_check_host(certificate.get(), "broker.example", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_host(certificate.get(), "other.example", 0, 0, nullptr), 0);
  EXPECT_EQ(X509_check_ip_asc(certificate.get(), "10.0.0.5", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(certificate.get(), "::1", 0), 1);
}

TEST(Authority, RefusesAServersNameThatWouldSmuggleInAnother) {
  const Authority authority = NewAuthority();
  for (const char* bad : {"", "a,DNS:b", "a b", "email:a", "a\nb", "dirName:x"}) {
    EXPECT_FALSE(authority.IssueServer({bad}, kNow, days(9)).ok()) << bad;
  }
  EXPECT_FALSE(authority.IssueServer({}, kNow, days(9)).ok());
}

TEST(Authority, ACertificateOfAnotherAuthorityOfTheSameNameDoesNotVerify) {
  const Authority authority = NewAuthority();
  const Authority other = NewAuthority();
  const IssuedCertificate foreign = Issue(other);
  EXPECT_NE(Verdict(authority, foreign.certificate_pem, kNow), X509_V_OK);
  EXPECT_FALSE(IsIssuedBy(foreign.certificate_pem, *authority.CertificatePem()));
  EXPECT_TRUE(IsIssuedBy(foreign.certificate_pem, *other.CertificatePem()));
  EXPECT_FALSE(IsIssuedBy("no certificate", *authority.CertificatePem()));
}

TEST(Authority, ACertificateIsValidForItsDaysAndNotBeforeOrAfter) {
  const Authority authority = NewAuthority();
  const std::string pem = Issue(authority, "t/d", kNow, 30).certificate_pem;
  EXPECT_EQ(Verdict(authority, pem, kNow - 60'000'000), X509_V_OK);
  EXPECT_EQ(Verdict(authority, pem, kNow + 30 * kMicrosPerDay - 60'000'000), X509_V_OK);
  EXPECT_EQ(Verdict(authority, pem, kNow + 30 * kMicrosPerDay + 60'000'000),
            X509_V_ERR_CERT_HAS_EXPIRED);
  const std::string later = Issue(authority, "t/d", kNow + kMicrosPerDay).certificate_pem;
  EXPECT_EQ(Verdict(authority, later, kNow), X509_V_ERR_CERT_NOT_YET_VALID);
}

TEST(Authority, NothingItIssuesOutlivesIt) {
  const Authority authority = NewAuthority();
  EXPECT_TRUE(authority.IssueDevice("t/d", kNow, days(3650)).ok());
  EXPECT_FALSE(authority.IssueDevice("t/d", kNow, days(3651)).ok());
  EXPECT_FALSE(authority.IssueDevice("t/d", kNow, days(0)).ok());
}

TEST(Authority, SerialNumbersAreRandomAndOf128Bits) {
  const Authority authority = NewAuthority();
  std::set<std::string> serials;
  size_t longest = 0;
  for (int i = 0; i < 50; ++i) {
    const auto certificate = ReadCertificate(Issue(authority).certificate_pem);
    serials.insert(certificate->serial_number);
    longest = std::max(longest, certificate->serial_number.size());
  }
  EXPECT_EQ(serials.size(), 50U);
  EXPECT_EQ(longest, 32U);
}

TEST(Authority, RefusesAKeyThatIsNotItsCertificatesAndALeafForAnAuthority) {
  const Authority authority = NewAuthority();
  const Authority other = NewAuthority();
  const IssuedCertificate leaf = Issue(authority);
  EXPECT_TRUE(Authority::Parse(*authority.CertificatePem(), *authority.KeyPem()).ok());
  EXPECT_FALSE(Authority::Parse(*authority.CertificatePem(), *other.KeyPem()).ok());
  EXPECT_FALSE(Authority::Parse(leaf.certificate_pem, leaf.key_pem).ok());
  EXPECT_FALSE(Authority::Parse("", "").ok());
}

TEST(Authority, KeysAreOfP256AndFitTheirCertificates) {
  const IssuedCertificate issued = Issue(NewAuthority());
  const KeyPtr key = ParsePrivateKey(issued.key_pem);
  const X509Ptr certificate = ParseCertificate(issued.certificate_pem);
  char group[32] = "";
  EVP_PKEY_get_group_name(key.get(), group, sizeof group, nullptr);
  EXPECT_STREQ(group, "prime256v1");
  EXPECT_EQ(X509_check_private_key(certificate.get(), key.get()), 1);
}

}  // namespace
}  // namespace sluice
