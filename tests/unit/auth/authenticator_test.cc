#include "auth/authenticator.h"

#include <gtest/gtest.h>

#include <ostream>

namespace sluice {
namespace {

constexpr UnixMicros kReceived = 1'700'000'000'000'000;

enum class Hash { kNone, kApple };
enum class Token { kNone, kApple, kPear };
// kAnother: the device has an ACTIVE one, and shows another.
enum class Certificate { kNone, kRevoked, kExpired, kEndsNow, kAnother, kActive };

const Sha256Digest kShown = Sha256("the certificate that was shown");
const Sha256Digest kHeld = Sha256("the certificate that the registry holds");

std::optional<Reason> Judge(AuthPolicy policy, Hash hash, Token token, Certificate certificate,
                            std::optional<StampMethod> method = {}) {
  DeviceRecord device;
  if (hash == Hash::kApple) device.token_hash = Sha256("apple");
  device.has_certificate = certificate != Certificate::kNone;
  if (certificate == Certificate::kExpired) device.certificates = {{kShown, kReceived - 1}};
  if (certificate == Certificate::kEndsNow) device.certificates = {{kShown, kReceived}};
  if (certificate == Certificate::kActive) device.certificates = {{kShown, kReceived + 1}};
  if (certificate == Certificate::kAnother) device.certificates = {{kHeld, kReceived + 1}};
  std::optional<StampClaim> stamped;
  if (method) stamped = {*method, "a/b", *method == StampMethod::kCert ? kShown : Sha256Digest{}};
  std::optional<Sha256Digest> digest;
  if (token != Token::kNone) digest = Sha256(token == Token::kApple ? "apple" : "pear");
  return Authenticate(policy, device, digest, stamped, kReceived);
}

struct Case {
  Hash hash;
  Token token;
  Certificate certificate;
  std::optional<Reason> expected;
};

void ExpectAll(AuthPolicy policy, const std::vector<Case>& cases,
               std::optional<StampMethod> stamped = {}) {
  for (const Case& c : cases) {
    const auto got = Judge(policy, c.hash, c.token, c.certificate, stamped);
    EXPECT_EQ(got, c.expected) << "hash " << static_cast<int>(c.hash) << " token "
                               << static_cast<int>(c.token) << " certificate "
                               << static_cast<int>(c.certificate) << " gives "
                               << (got ? ReasonName(*got) : "accepted");
  }
}

constexpr std::nullopt_t kAccepted = std::nullopt;

TEST(Authenticator, WantsTheDevicesTokenWhereTokensAreRequired) {
  ExpectAll({.require_token = true, .certificates = false},
            {{Hash::kApple, Token::kApple, Certificate::kNone, kAccepted},
             {Hash::kApple, Token::kPear, Certificate::kNone, Reason::kTokenInvalid},
             {Hash::kApple, Token::kNone, Certificate::kNone, Reason::kTokenMissing},
             {Hash::kNone, Token::kNone, Certificate::kNone, Reason::kTokenNotSet},
             {Hash::kNone, Token::kApple, Certificate::kNone, Reason::kTokenNotSet}});
}

TEST(Authenticator, LooksAtNoCertificateWhileTheyAreSwitchedOff) {
  ExpectAll({.require_token = true, .certificates = false},
            {{Hash::kApple, Token::kNone, Certificate::kActive, Reason::kTokenMissing},
             {Hash::kNone, Token::kNone, Certificate::kActive, Reason::kTokenNotSet}});
}

TEST(Authenticator, TakesAnActiveCertificateInPlaceOfTheToken) {
  ExpectAll({.require_token = true, .certificates = true},
            {{Hash::kApple, Token::kNone, Certificate::kActive, kAccepted},
             {Hash::kNone, Token::kNone, Certificate::kActive, kAccepted},
             {Hash::kNone, Token::kPear, Certificate::kActive, kAccepted},
             {Hash::kApple, Token::kApple, Certificate::kActive, kAccepted}});
}

TEST(Authenticator, FallsBackToTheTokenWithoutAnActiveCertificate) {
  for (const Certificate useless :
       {Certificate::kNone, Certificate::kRevoked, Certificate::kExpired, Certificate::kEndsNow}) {
    ExpectAll({.require_token = true, .certificates = true},
              {{Hash::kApple, Token::kApple, useless, kAccepted},
               {Hash::kApple, Token::kPear, useless, Reason::kTokenInvalid},
               {Hash::kApple, Token::kNone, useless, Reason::kTokenMissing},
               {Hash::kNone, Token::kApple, useless, Reason::kTokenNotSet}});
  }
}

TEST(Authenticator, LetsAWrongTokenSpeakAgainstACertificateThatOnlyTheTopicNames) {
  for (const bool required : {true, false}) {
    const AuthPolicy policy{.require_token = required, .certificates = true};
    const std::vector<Case> wrong = {
        {Hash::kApple, Token::kPear, Certificate::kActive, Reason::kTokenInvalid}};
    const std::vector<Case> ignored = {
        {Hash::kApple, Token::kPear, Certificate::kActive, kAccepted}};
    ExpectAll(policy, wrong);
    ExpectAll(policy, ignored, StampMethod::kCert);
  }
}

TEST(Authenticator, TakesALoginWithTheTokenForTheTokenUnlessTheMessageBringsAWrongOne) {
  for (const bool required : {true, false}) {
    for (const bool certificates : {true, false}) {
      if (!required && !certificates) continue;  // nothing is asked for
      for (const Certificate any :
           {Certificate::kNone, Certificate::kRevoked, Certificate::kActive}) {
        ExpectAll({.require_token = required, .certificates = certificates},
                  {{Hash::kApple, Token::kNone, any, kAccepted},
                   {Hash::kApple, Token::kApple, any, kAccepted},
                   {Hash::kApple, Token::kPear, any, Reason::kTokenInvalid}},
                  StampMethod::kToken);
      }
    }
  }
}

TEST(Authenticator, TakesNoLoginForATokenThatTheRegistryDoesNotHave) {
  for (const Certificate any : {Certificate::kNone, Certificate::kActive}) {
    for (const Token token : {Token::kNone, Token::kApple}) {
      ExpectAll({.require_token = true, .certificates = true},
                {{Hash::kNone, token, any, Reason::kTokenNotSet}}, StampMethod::kToken);
    }
  }
  ExpectAll({.require_token = false, .certificates = true},
            {{Hash::kNone, Token::kNone, Certificate::kNone, Reason::kAuthFailed},
             {Hash::kNone, Token::kNone, Certificate::kActive, Reason::kCertNotActive}},
            StampMethod::kToken);
}

TEST(Authenticator, TakesAStampedCertificateThatIsNotActiveForNothing) {
  for (const Certificate useless : {Certificate::kRevoked, Certificate::kExpired,
                                    Certificate::kEndsNow, Certificate::kAnother}) {
    ExpectAll({.require_token = true, .certificates = true},
              {{Hash::kApple, Token::kApple, useless, kAccepted},
               {Hash::kApple, Token::kPear, useless, Reason::kTokenInvalid},
               {Hash::kApple, Token::kNone, useless, Reason::kTokenMissing}},
              StampMethod::kCert);
    ExpectAll({.require_token = false, .certificates = true},
              {{Hash::kApple, Token::kApple, useless, kAccepted},
               {Hash::kNone, Token::kNone, useless, Reason::kCertNotActive}},
              StampMethod::kCert);
  }
  ExpectAll({.require_token = true, .certificates = false},
            {{Hash::kApple, Token::kNone, Certificate::kActive, Reason::kTokenMissing}},
            StampMethod::kCert);
}

TEST(Authenticator, WithoutRequiredTokensWantsACertificateOrARightToken) {
  const AuthPolicy policy{.require_token = false, .certificates = true};
  for (const Certificate useless :
       {Certificate::kRevoked, Certificate::kExpired, Certificate::kEndsNow}) {
    ExpectAll(policy, {{Hash::kApple, Token::kApple, useless, kAccepted},
                       {Hash::kApple, Token::kPear, useless, Reason::kTokenInvalid},
                       {Hash::kApple, Token::kNone, useless, Reason::kCertNotActive},
                       {Hash::kNone, Token::kApple, useless, Reason::kCertNotActive},
                       {Hash::kNone, Token::kNone, useless, Reason::kCertNotActive}});
  }
  ExpectAll(policy, {{Hash::kApple, Token::kApple, Certificate::kNone, kAccepted},
                     {Hash::kApple, Token::kPear, Certificate::kNone, Reason::kTokenInvalid},
                     {Hash::kApple, Token::kNone, Certificate::kNone, Reason::kAuthFailed},
                     {Hash::kNone, Token::kApple, Certificate::kNone, Reason::kAuthFailed},
                     {Hash::kNone, Token::kNone, Certificate::kNone, Reason::kAuthFailed},
                     {Hash::kNone, Token::kNone, Certificate::kActive, kAccepted}});
}

TEST(Authenticator, AsksForNothingWhenNothingIsRequired) {
  for (const Token token : {Token::kNone, Token::kApple, Token::kPear}) {
    for (const Hash hash : {Hash::kNone, Hash::kApple}) {
      ExpectAll({.require_token = false, .certificates = false},
                {{hash, token, Certificate::kNone, kAccepted},
                 {hash, token, Certificate::kRevoked, kAccepted}});
    }
  }
}

}  // namespace
}  // namespace sluice
