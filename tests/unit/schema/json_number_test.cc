#include "schema/json_number.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

TEST(JsonNumber, SplitsIntoItsParts) {
  JsonNumber number;
  ASSERT_TRUE(SplitJsonNumber("-120.0450e-12", &number));
  EXPECT_TRUE(number.negative);
  EXPECT_EQ(number.integer, "120");
  EXPECT_EQ(number.fraction, "0450");
  EXPECT_EQ(number.exponent, -12);

  ASSERT_TRUE(SplitJsonNumber("0", &number));
  EXPECT_FALSE(number.negative);
  EXPECT_EQ(number.integer, "0");
  EXPECT_EQ(number.fraction, "");
  EXPECT_EQ(number.exponent, 0);
}

TEST(JsonNumber, AcceptsEveryFormOfAnExponent) {
  JsonNumber number;
  for (const char* text : {"1e5", "1E5", "1e+5", "1.0E+05"}) {
    ASSERT_TRUE(SplitJsonNumber(text, &number)) << text;
    EXPECT_EQ(number.exponent, 5) << text;
  }
}

TEST(JsonNumber, HoldsAnEndlessExponentWithinItsBound) {
  JsonNumber number;
  ASSERT_TRUE(SplitJsonNumber("1e" + std::string(50, '9'), &number));
  EXPECT_EQ(number.exponent, kExponentBound);
  ASSERT_TRUE(SplitJsonNumber("1e-" + std::string(50, '9'), &number));
  EXPECT_EQ(number.exponent, -kExponentBound);
}

TEST(JsonNumber, RefusesWhatJsonDoesNotCallANumber) {
  JsonNumber number;
  for (const char* text :
       {"",   "-",  "+1",  "01",   "-01", ".5",       "5.", "1.e5", "1e",   "1e+", "1e-", "0x10",
        "1 ", " 1", "1,0", "1..2", "NaN", "Infinity", "1f", "--1",  "1e5.", "1_0", "٣"}) {
    EXPECT_FALSE(SplitJsonNumber(text, &number)) << text;
  }
}

}  // namespace
}  // namespace sluice
