#include "base/units.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Durations, AreReadWithTheirUnits) {
  EXPECT_EQ(ParseDuration("250ms", seconds(1)), milliseconds(250));
  EXPECT_EQ(ParseDuration("10s", milliseconds(1)), seconds(10));
  EXPECT_EQ(ParseDuration("10m", milliseconds(1)), std::chrono::minutes(10));
  EXPECT_EQ(ParseDuration("2h", milliseconds(1)), std::chrono::hours(2));
  EXPECT_EQ(ParseDuration("30d", milliseconds(1)), std::chrono::hours(720));
}

TEST(Durations, WithoutAUnitCountTheSettingsOwn) {
  EXPECT_EQ(ParseDuration("20", milliseconds(1)), milliseconds(20));
  EXPECT_EQ(ParseDuration("20", seconds(1)), seconds(20));
  EXPECT_EQ(ParseDuration("0", seconds(1)), seconds(0));
}

TEST(Durations, RefuseWhatIsNotOne) {
  for (const char* text :
       {"", "s", "-1s", "+1s", "1.5s", "1 s", " 1s", "1s ", "1S", "1us", "0x1"}) {
    EXPECT_FALSE(ParseDuration(text, milliseconds(1))) << '"' << text << '"';
  }
}

TEST(Durations, RefuseWhatDoesNotFit) {
  EXPECT_TRUE(ParseDuration("9223372036854775807", milliseconds(1)));
  EXPECT_FALSE(ParseDuration("9223372036854775808", milliseconds(1)));
  EXPECT_FALSE(ParseDuration("106751991168d", milliseconds(1)));
  EXPECT_FALSE(ParseDuration("99999999999999999999", milliseconds(1)));
}

TEST(Durations, AreWrittenInTheLargestUnitThatDividesThem) {
  EXPECT_EQ(FormatDuration(milliseconds(0)), "0");
  EXPECT_EQ(FormatDuration(milliseconds(1500)), "1500ms");
  EXPECT_EQ(FormatDuration(seconds(90)), "90s");
  EXPECT_EQ(FormatDuration(seconds(7200)), "2h");
  EXPECT_EQ(FormatDuration(std::chrono::hours(24 * 30)), "30d");
}

TEST(ByteSizes, AreReadWithPowersOf1024And1000) {
  EXPECT_EQ(ParseBytes("8192"), 8192U);
  EXPECT_EQ(ParseBytes("8192B"), 8192U);
  EXPECT_EQ(ParseBytes("64KiB"), 65536U);
  EXPECT_EQ(ParseBytes("8GiB"), 8ULL << 30);
  EXPECT_EQ(ParseBytes("10MB"), 10'000'000U);
  EXPECT_EQ(ParseBytes("10kB"), 10'000U);
}

TEST(ByteSizes, RefuseWhatIsNotOneOrDoesNotFit) {
  for (const char* text : {"", "KiB", "-1", "1.5MiB", "1 KiB", "8G", "8g", "1KiBs", "17000000TiB",
                           "18446744073709551616"}) {
    EXPECT_FALSE(ParseBytes(text)) << '"' << text << '"';
  }
  EXPECT_TRUE(ParseBytes("18446744073709551615"));
}

TEST(ByteSizes, AreWrittenInTheLargestPowerOf1024ThatDividesThem) {
  EXPECT_EQ(FormatBytes(0), "0");
  EXPECT_EQ(FormatBytes(1000), "1000");
  EXPECT_EQ(FormatBytes(65536), "64KiB");
  EXPECT_EQ(FormatBytes(8ULL << 30), "8GiB");
}

TEST(Count, IsOneOfAThingAndManyOfThem) {
  EXPECT_EQ(FormatCount(0, "message"), "0 messages");
  EXPECT_EQ(FormatCount(1, "message"), "1 message");
  EXPECT_EQ(FormatCount(2, "message"), "2 messages");
}

}  // namespace
}  // namespace sluice
