#include "auth/identity.h"

#include <gtest/gtest.h>

#include <string>

using namespace std::string_view_literals;

namespace sluice {
namespace {

TEST(Identity, IsATenantAndADeviceWithOneSlash) {
  const auto key = ParseDeviceIdentity("acme-1/pump:7_a.b");
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(key->tenant, "acme-1");
  EXPECT_EQ(key->device, "pump:7_a.b");
}

TEST(Identity, TakesPartsOfUpTo128Bytes) {
  const std::string longest(128, 'x');
  EXPECT_TRUE(ParseDeviceIdentity(longest + "/" + longest).has_value());
  EXPECT_FALSE(ParseDeviceIdentity(longest + "x/d").has_value());
  EXPECT_FALSE(ParseDeviceIdentity("t/" + longest + "x").has_value());
}

TEST(Identity, RefusesWhatCouldMeanMoreThanOneDevice) {
  for (const std::string_view text :
       {""sv,       "a"sv,          "/"sv,     "a/"sv,       "/b"sv,        "a/b/c"sv, "a//b"sv,
        "+/+"sv,    "#"sv,          "a/#"sv,   "a/+"sv,      "../b"sv,      "a/.."sv,  "./b"sv,
        "a/."sv,    "a/b\n"sv,      "a\n/b"sv, "a/b\0"sv,    "a\0/b"sv,     " a/b"sv,  "a/b "sv,
        "a/\xff"sv, "\xc3\xa4/b"sv, "%u/b"sv,  "$share/b"sv, "{tenant}/b"sv}) {
    EXPECT_FALSE(ParseDeviceIdentity(text).has_value()) << text;
  }
}

TEST(Identity, OfAnAccountHasNoSlash) {
  EXPECT_TRUE(IsAccountName("sluice-ingest"));
  for (const std::string_view text : {""sv, "a/b"sv, "."sv, ".."sv, "a b"sv, "+"sv, "a\n"sv}) {
    EXPECT_FALSE(IsAccountName(text)) << text;
  }
}

}  // namespace
}  // namespace sluice
