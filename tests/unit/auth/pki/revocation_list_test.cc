#include <gmock/gmock.h>

#include "tests/unit/auth/pki/pki_fixture.h"

namespace sluice {
namespace {

using std::chrono::days;

RevocationList MustMake(const Authority& authority, const std::vector<RevokedCertificate>& revoked,
                        const std::string& previous = "", UnixMicros now = kNow) {
  Result<RevocationList> list = authority.MakeCrl(revoked, previous, now, days(30));
  if (!list.ok()) std::abort();
  return *std::move(list);
}

TEST(RevocationList, AnEmptyOneIsSignedByTheAuthorityAndRevokesNobody) {
  const Authority authority = NewAuthority();
  const std::string pem = MustMake(authority, {}).pem;
  const CrlPtr crl = ParseCrl(pem);
  ASSERT_NE(crl, nullptr);
  const X509Ptr certificate = ParseCertificate(*authority.CertificatePem());
  EXPECT_EQ(X509_CRL_verify(crl.get(), X509_get0_pubkey(certificate.get())), 1);
  EXPECT_EQ(X509_CRL_get_REVOKED(crl.get()), nullptr);
  EXPECT_EQ(
      Verdict(authority, Issue(authority).certificate_pem, kNow, X509_PURPOSE_SSL_CLIENT, pem),
      X509_V_OK);
}

TEST(RevocationList, HoldsExactlyTheRevokedSerialNumbers) {
  const Authority authority = NewAuthority();
  std::vector<RevokedCertificate> revoked;
  for (int i = 0; i < 20; ++i) revoked.push_back({Issue(authority).certificate_pem, kNow});
  const std::string kept = Issue(authority).certificate_pem;
  const RevocationList list = MustMake(authority, revoked);
  EXPECT_EQ(list.revoked, 20U);
  const CrlPtr crl = ParseCrl(list.pem);
  EXPECT_EQ(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl.get())), 20);
  for (const RevokedCertificate& entry : revoked) {
    EXPECT_EQ(Verdict(authority, entry.certificate_pem, kNow, X509_PURPOSE_SSL_CLIENT, list.pem),
              X509_V_ERR_CERT_REVOKED);
  }
  EXPECT_EQ(Verdict(authority, kept, kNow, X509_PURPOSE_SSL_CLIENT, list.pem), X509_V_OK);
}

TEST(RevocationList, CountsWhatItCannotRevoke) {
  const Authority authority = NewAuthority();
  const RevocationList list = MustMake(
      authority, {{Issue(NewAuthority("other CA")).certificate_pem, kNow}, {"garbage", kNow}});
  EXPECT_EQ(list.revoked, 0U);
  EXPECT_EQ(list.foreign, 1U);
  EXPECT_EQ(list.unreadable, 1U);
  EXPECT_NE(ParseCrl(list.pem), nullptr);
}

TEST(RevocationList, AStaleOneIsRefused) {
  const Authority authority = NewAuthority();
  const std::string pem = MustMake(authority, {}).pem;
  EXPECT_EQ(Verdict(authority, Issue(authority).certificate_pem, kNow + 31 * kMicrosPerDay,
                    X509_PURPOSE_SSL_CLIENT, pem),
            X509_V_ERR_CRL_HAS_EXPIRED);
}

// A broker that reloads has both, and OpenSSL keeps the first of two of the same second.
TEST(RevocationList, IsLaterThanTheOneItReplacesEvenInTheSameSecond) {
  const Authority authority = NewAuthority();
  std::string previous;
  UnixMicros last = 0;
  for (int i = 0; i < 3; ++i) {
    previous = MustMake(authority, {}, previous).pem;
    const UnixMicros time = MicrosOf(X509_CRL_get0_lastUpdate(ParseCrl(previous).get()));
    EXPECT_GT(time, last);
    last = time;
  }
}

TEST(RevocationList, ServesUntilItSaysSomethingElseOrHalfItsTimeIsOver) {
  const Authority authority = NewAuthority();
  const RevokedCertificate one{Issue(authority).certificate_pem, kNow};
  const RevokedCertificate other{Issue(authority).certificate_pem, kNow};
  const std::string old_pem = MustMake(authority, {one}).pem;
  EXPECT_TRUE(authority.StillServes(old_pem, MustMake(authority, {one}), kNow));
  EXPECT_FALSE(authority.StillServes(old_pem, MustMake(authority, {one, other}), kNow));
  EXPECT_FALSE(authority.StillServes(old_pem, MustMake(authority, {other}), kNow));
  EXPECT_FALSE(authority.StillServes(old_pem, MustMake(authority, {}), kNow));
  EXPECT_FALSE(
      authority.StillServes(old_pem, MustMake(authority, {one}), kNow + 16 * kMicrosPerDay));
  EXPECT_FALSE(authority.StillServes("", MustMake(authority, {one}), kNow));
  const std::string foreign = MustMake(NewAuthority(), {}).pem;
  EXPECT_FALSE(authority.StillServes(foreign, MustMake(authority, {}), kNow));
}

}  // namespace
}  // namespace sluice
