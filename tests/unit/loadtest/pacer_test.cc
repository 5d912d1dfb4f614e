#include "loadtest/pacer.h"

#include <gtest/gtest.h>

namespace sluice::loadtest {
namespace {

TEST(Pacer, SpreadsMessagesEvenlyFromTheStart) {
  const Pacer pacer(2000, 0, 0);
  EXPECT_EQ(pacer.DueBy(0), 1U);
  EXPECT_EQ(pacer.DueBy(499), 1U);
  EXPECT_EQ(pacer.DueBy(500), 2U);
  EXPECT_EQ(pacer.DueBy(1'000'000), 2001U);
  EXPECT_EQ(pacer.DueAt(0), 0);
  EXPECT_EQ(pacer.DueAt(2000), 1'000'000);
}

TEST(Pacer, KeepsItsRateOverAnHourWithoutDrift) {
  const Pacer pacer(3333, 0, 0);
  EXPECT_EQ(pacer.DueBy(3600LL * 1'000'000), 3333U * 3600 + 1);
}

TEST(Pacer, EndsAtTheCountOrTheDurationWhicheverIsFirst) {
  const Pacer by_count(1000, 5, 1'000'000);
  EXPECT_EQ(by_count.DueBy(1'000'000), 5U);
  EXPECT_TRUE(by_count.Over(4'000));
  EXPECT_FALSE(by_count.Over(3'999));
  const Pacer by_time(1000, 5000, 1'000'000);
  EXPECT_EQ(by_time.DueBy(60'000'000), 1000U);
  EXPECT_TRUE(by_time.Over(1'000'000));
  EXPECT_FALSE(Pacer(1000, 0, 0).Over(1LL << 50));
}

TEST(Pacer, SaysWhenALateMessageShouldHaveGone) {
  const Pacer pacer(100, 0, 0);
  EXPECT_EQ(pacer.DueAt(7), 70'000);
  EXPECT_EQ(pacer.DueBy(69'999), 7U);
  EXPECT_EQ(pacer.DueBy(70'000), 8U);
}

}  // namespace
}  // namespace sluice::loadtest
