#include "auth/digest.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

// FIPS 180-4, "abc".
constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Digest, IsSha256OfTheBytes) {
  EXPECT_EQ(DigestToHex(Sha256("abc")), kAbc);
  EXPECT_EQ(DigestToHex(Sha256("")),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_NE(Sha256(std::string_view("a\0b", 3)), Sha256("a")) << "a NUL does not end the text";
}

TEST(Digest, IsReadFromHexOfEitherCase) {
  EXPECT_EQ(DigestFromHex(kAbc), Sha256("abc"));
  EXPECT_EQ(DigestFromHex("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"),
            Sha256("abc"));
}

TEST(Digest, IsNotReadFromAnythingElse) {
  const std::string hex = kAbc;
  EXPECT_EQ(DigestFromHex(""), std::nullopt);
  EXPECT_EQ(DigestFromHex(hex.substr(1)), std::nullopt);
  EXPECT_EQ(DigestFromHex(hex + "0"), std::nullopt);
  EXPECT_EQ(DigestFromHex(hex.substr(0, 63) + "g"), std::nullopt);
  EXPECT_EQ(DigestFromHex(" " + hex.substr(1)), std::nullopt);
  EXPECT_EQ(DigestFromHex("0x" + hex.substr(2)), std::nullopt);
}

TEST(Digest, EqualsOnlyWhatAgreesInEveryBit) {
  const Sha256Digest digest = Sha256("abc");
  EXPECT_TRUE(DigestsEqual(digest, Sha256("abc")));
  for (size_t i = 0; i < digest.size() * 8; ++i) {
    Sha256Digest other = digest;
    other[i / 8] = static_cast<unsigned char>(other[i / 8] ^ (1U << (i % 8)));
    EXPECT_FALSE(DigestsEqual(digest, other)) << "bit " << i;
  }
}

}  // namespace
}  // namespace sluice
