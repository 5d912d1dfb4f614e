#include "auth/stamp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/escape.h"
#include "tests/support/temp_dir.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kTopic = "tenant/acme/device/pump-7/telemetry";
constexpr std::string_view kPayload = R"({"site_id":"s1","metrics":{"t":1}})";
constexpr std::string_view kIdentity = "acme/pump-7";
constexpr Sha256Digest kFingerprint = {0x0f, 0xa1};
const std::string kCertWord = "cert:0fa1" + std::string(60, '0');
constexpr StampClaim kClaim{StampMethod::kCert, kIdentity, kFingerprint};

class Stamp : public ::testing::Test {
 protected:
  Result<StampKeys> Load(std::string_view content, mode_t mode = 0600) {
    testing::WriteFile(path_, content);
    chmod(path_.c_str(), mode);
    return StampKeys::Load(path_);
  }
  StampKeys Keys(const std::string& content) {
    auto keys = Load(content);
    EXPECT_TRUE(keys.ok()) << keys.status().message();
    return *keys;
  }
  std::string WhyRefused(std::string_view content, mode_t mode = 0600) {
    auto keys = Load(content, mode);
    return keys.ok() ? "" : keys.message();
  }

  testing::TempDir directory_;
  const std::string path_ = directory_.Path("stamp.key");
  const std::string one_ = std::string(64, 'a');
  const std::string two_ = std::string(62, 'b') + "01";
};

TEST_F(Stamp, SaysWhoPublishedAndHowItWasProven) {
  const StampKeys keys = Keys(one_ + "\n");
  const std::pair<StampMethod, std::string_view> clients[] = {
      {StampMethod::kCert, kIdentity},
      {StampMethod::kToken, kIdentity},
      {StampMethod::kAccount, "sluice-ingest"}};
  for (const auto& [method, identity] : clients) {
    const Sha256Digest certificate = method == StampMethod::kCert ? kFingerprint : Sha256Digest{};
    const auto stamp = keys.Sign({method, identity, certificate}, kTopic, kPayload);
    ASSERT_TRUE(stamp.has_value());
    const auto claim = keys.Verify(kTopic, kPayload, *stamp);
    ASSERT_TRUE(claim.has_value()) << *stamp;
    EXPECT_EQ(claim->method, method);
    EXPECT_EQ(claim->identity, identity);
    EXPECT_EQ(claim->certificate, certificate);
  }
}

TEST_F(Stamp, IsTheHmacThatTheHeaderDescribes) {
  for (const size_t digits : {64, 128, 256}) {
    const StampKeys keys = Keys(std::string(digits, 'c'));
    unsigned char hash[32];
    unsigned int size = 0;
    EVP_Digest(kPayload.data(), kPayload.size(), hash, &size, EVP_sha256(), nullptr);
    std::string text =
        "sluice-stamp 1\n" + kCertWord + "\nacme/pump-7\n" + std::string(kTopic) + "\n";
    text.append(reinterpret_cast<const char*>(hash), sizeof hash);
    const std::string key(digits / 2, '\xcc');
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash, &size);
    EXPECT_EQ(keys.Sign(kClaim, kTopic, kPayload),
              "1 " + kCertWord + " acme/pump-7 " +
                  ToHex({reinterpret_cast<const char*>(hash), sizeof hash}));
  }
}

TEST_F(Stamp, IsForgedWhenAnyBitOfItOrOfTheMessageChanges) {
  const StampKeys keys = Keys(one_);
  const std::string stamp = *keys.Sign(kClaim, kTopic, kPayload);
  const auto every_bit = [](std::string_view text, auto check) {
    for (size_t bit = 0; bit < text.size() * 8; ++bit) {
      std::string changed(text);
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
      check(changed);
    }
  };
  every_bit(kTopic, [&](const std::string& topic) {
    EXPECT_FALSE(keys.Verify(topic, kPayload, stamp).has_value()) << topic;
  });
  every_bit(kPayload, [&](const std::string& payload) {
    EXPECT_FALSE(keys.Verify(kTopic, payload, stamp).has_value()) << payload;
  });
  every_bit(stamp, [&](const std::string& changed) {
    EXPECT_FALSE(keys.Verify(kTopic, kPayload, changed).has_value()) << changed;
  });
}

TEST_F(Stamp, OfOneDeviceMethodOrTopicIsNoneForAnother) {
  const StampKeys keys = Keys(one_);
  const std::string stamp = *keys.Sign({StampMethod::kToken, kIdentity}, kTopic, kPayload);
  const std::string mac = stamp.substr(stamp.size() - 64);
  EXPECT_FALSE(keys.Verify(kTopic, kPayload, "1 " + kCertWord + " acme/pump-7 " + mac).has_value());
  EXPECT_FALSE(
      keys.Verify(kTopic, kPayload, "1 token:" + kCertWord.substr(5) + " acme/pump-7 " + mac)
          .has_value());
  EXPECT_FALSE(keys.Verify(kTopic, kPayload, "1 token acme/pump-8 " + mac).has_value());
  EXPECT_FALSE(keys.Verify("tenant/acme/device/pump-8/telemetry", kPayload, stamp).has_value());
}

TEST_F(Stamp, HasOneSpellingOnly) {
  const StampKeys keys = Keys(one_);
  const std::string stamp = *keys.Sign(kClaim, kTopic, kPayload);
  const std::string mac = stamp.substr(stamp.size() - 64);
  std::string upper = mac;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  ASSERT_NE(upper, mac);
  const std::string cert = "1 " + kCertWord + " acme/pump-7";
  ASSERT_EQ(stamp, cert + " " + mac);
  const std::vector<std::string> others = {"1  " + kCertWord + " acme/pump-7 " + mac,
                                           "1 " + kCertWord + "  acme/pump-7 " + mac,
                                           cert + "  " + mac,
                                           " " + stamp,
                                           stamp + " ",
                                           stamp + "\n",
                                           stamp + "0",
                                           stamp + stamp,
                                           cert + " " + upper,
                                           "1 CERT" + cert.substr(6) + " " + mac,
                                           "1 cert:0FA1" + cert.substr(11) + " " + mac,
                                           "1 cert acme/pump-7 " + mac,
                                           "1 cert: acme/pump-7 " + mac,
                                           "1 " + kCertWord + "0 acme/pump-7 " + mac,
                                           "2" + cert.substr(1) + " " + mac,
                                           "0" + cert + " " + mac,
                                           "1\t" + cert.substr(2) + " " + mac,
                                           cert,
                                           cert + " ",
                                           "1 " + kCertWord + " " + mac,
                                           "1 " + mac,
                                           mac,
                                           "1",
                                           "1 ",
                                           "",
                                           " ",
                                           stamp.substr(0, stamp.size() - 1)};
  for (const std::string& other : others) {
    EXPECT_FALSE(keys.Verify(kTopic, kPayload, other).has_value()) << other;
  }
}

TEST_F(Stamp, IsNotGivenToWhatCannotBeTold) {
  const StampKeys keys = Keys(one_);
  EXPECT_FALSE(keys.Sign({StampMethod::kCert, "acme/pump\n7"}, kTopic, kPayload).has_value());
  EXPECT_FALSE(keys.Sign({StampMethod::kCert, "acme"}, kTopic, kPayload).has_value());
  EXPECT_FALSE(keys.Sign({StampMethod::kAccount, "a/b"}, kTopic, kPayload).has_value());
  EXPECT_FALSE(keys.Sign({StampMethod::kAccount, "a b"}, kTopic, kPayload).has_value());
  EXPECT_FALSE(keys.Sign(kClaim, "a\nb", kPayload).has_value());
}

TEST_F(Stamp, OfEitherKeyIsGenuineAndTheFirstSigns) {
  const StampKeys old_only = Keys(one_);
  const StampKeys both = Keys(two_ + "\n" + one_ + "\n");
  const StampKeys new_only = Keys(two_);
  const std::string old_stamp = *old_only.Sign(kClaim, kTopic, kPayload);
  const std::string stamp = *both.Sign(kClaim, kTopic, kPayload);
  EXPECT_TRUE(both.Verify(kTopic, kPayload, old_stamp).has_value());
  EXPECT_TRUE(both.Verify(kTopic, kPayload, stamp).has_value());
  EXPECT_TRUE(new_only.Verify(kTopic, kPayload, stamp).has_value());
  EXPECT_FALSE(new_only.Verify(kTopic, kPayload, old_stamp).has_value());
  EXPECT_FALSE(old_only.Verify(kTopic, kPayload, stamp).has_value());
}

TEST_F(Stamp, KeysAreReadInEitherCaseWithOrWithoutANewline) {
  const StampKeys lower = Keys(std::string(64, 'a') + "\n");
  const StampKeys upper = Keys(std::string(64, 'A'));
  const std::string stamp = *lower.Sign(kClaim, kTopic, kPayload);
  EXPECT_TRUE(upper.Verify(kTopic, kPayload, stamp).has_value());
}

TEST_F(Stamp, KeysThatAreShortOrNoKeysAreRefusedWithTheLine) {
  EXPECT_THAT(WhyRefused(""), HasSubstr("is empty"));
  EXPECT_THAT(WhyRefused("\n"), HasSubstr("line 1"));
  EXPECT_THAT(WhyRefused(std::string(63, 'a')), HasSubstr("line 1 does not have 64"));
  EXPECT_THAT(WhyRefused(std::string(65, 'a')), HasSubstr("line 1 is not an even number"));
  EXPECT_THAT(WhyRefused(one_ + "\n" + std::string(62, 'b')), HasSubstr("line 2 does not have"));
  EXPECT_THAT(WhyRefused(one_ + "\n" + std::string(64, 'g')), HasSubstr("line 2 is not an even"));
  EXPECT_THAT(WhyRefused(one_ + "\n\n"), HasSubstr("line 2"));
  EXPECT_THAT(WhyRefused(one_ + "\n" + two_ + "\n" + one_), HasSubstr("more than two lines"));
  EXPECT_THAT(WhyRefused(one_ + "\r\n"), HasSubstr("line 1"));
  EXPECT_THAT(WhyRefused(std::string(4096, 'a')), HasSubstr("too long"));
}

TEST_F(Stamp, KeysThatOthersMayReadAreRefused) {
  ASSERT_EQ(WhyRefused(one_, 0400), "");
  if (geteuid() == 0) {
    ASSERT_EQ(chown(path_.c_str(), 65534, 65534), 0);
  }
  for (const mode_t mode : {0640, 0604, 0660, 0610, 0777}) {
    EXPECT_THAT(WhyRefused(one_, mode), HasSubstr("chmod 600"));
  }
}

TEST_F(Stamp, KeysOfRootsMayBeReadByTheGroupAndByNobodyElse) {
  if (geteuid() != 0) GTEST_SKIP() << "needs a file of root's";
  EXPECT_EQ(WhyRefused(one_, 0440), "");
  EXPECT_EQ(WhyRefused(one_, 0640), "");
  for (const mode_t mode : {0604, 0660, 0650, 0777}) {
    EXPECT_THAT(WhyRefused(one_, mode), HasSubstr("chmod 600"));
  }
}

TEST_F(Stamp, KeysThatAreMissingAreAnError) {
  const auto keys = StampKeys::Load(directory_.Path("absent"));
  ASSERT_FALSE(keys.ok());
  EXPECT_THAT(keys.message(), HasSubstr("absent cannot be opened: No such file"));
  EXPECT_FALSE(StampKeys::Load(directory_.path()).ok());
}

TEST_F(Stamp, RefusalsDoNotShowTheKey) {
  EXPECT_THAT(WhyRefused("deadbeef"), ::testing::Not(HasSubstr("deadbeef")));
}

TEST(StampProperty, IsRecognisedInAnyCase) {
  for (const char* name : {"sluice-stamp", "SLUICE-STAMP", "Sluice-Stamp", "sluice-stamP"}) {
    EXPECT_TRUE(IsStampProperty(name)) << name;
  }
  for (const char* name : {"", "sluice-stam", "sluice-stamps", "sluice_stamp", "xluice-stamp"}) {
    EXPECT_FALSE(IsStampProperty(name)) << name;
  }
}

}  // namespace
}  // namespace sluice
