#include "loadtest/pacer.h"

#include <gtest/gtest.h>

namespace sluice::loadtest {
namespace {

constexpr int64_t kSecond = 1'000'000;

TEST(Pacer, SpreadsMessagesEvenlyFromTheStart) {
  const Pacer pacer({.rate = 2000});
  EXPECT_EQ(pacer.DueBy(0), 1U);
  EXPECT_EQ(pacer.DueBy(499), 1U);
  EXPECT_EQ(pacer.DueBy(500), 2U);
  EXPECT_EQ(pacer.DueBy(kSecond), 2001U);
  EXPECT_EQ(pacer.DueAt(0), 0);
  EXPECT_EQ(pacer.DueAt(2000), kSecond);
}

TEST(Pacer, KeepsItsRateOverAnHourWithoutDrift) {
  const Pacer pacer({.rate = 3333});
  EXPECT_EQ(pacer.DueBy(3600 * kSecond), 3333U * 3600 + 1);
}

TEST(Pacer, EndsAtTheCountOrTheDurationWhicheverIsFirst) {
  const Pacer by_count({.rate = 1000, .count = 5, .duration_us = kSecond});
  EXPECT_EQ(by_count.DueBy(kSecond), 5U);
  EXPECT_TRUE(by_count.Over(4'000));
  EXPECT_FALSE(by_count.Over(3'999));
  const Pacer by_time({.rate = 1000, .count = 5000, .duration_us = kSecond});
  EXPECT_EQ(by_time.DueBy(60 * kSecond), 1000U);
  EXPECT_TRUE(by_time.Over(kSecond));
  EXPECT_FALSE(Pacer({.rate = 1000}).Over(1LL << 50));
}

TEST(Pacer, SaysWhenALateMessageShouldHaveGone) {
  const Pacer pacer({.rate = 100});
  EXPECT_EQ(pacer.DueAt(7), 70'000);
  EXPECT_EQ(pacer.DueBy(69'999), 7U);
  EXPECT_EQ(pacer.DueBy(70'000), 8U);
}

TEST(Pacer, AddsBurstsThatAreDueAtOneMoment) {
  const Pacer pacer({.rate = 10, .burst_every_us = kSecond, .burst_size = 1000});
  EXPECT_EQ(pacer.DueBy(kSecond - 1), 10U);
  EXPECT_EQ(pacer.DueBy(kSecond), 1011U);
  EXPECT_EQ(pacer.DueBy(2 * kSecond), 2021U);
  EXPECT_EQ(pacer.DueAt(9), 900'000);
  EXPECT_EQ(pacer.DueAt(10), kSecond);
  EXPECT_EQ(pacer.DueAt(1010), kSecond);
  EXPECT_EQ(pacer.DueAt(1011), 1'100'000);
}

TEST(Pacer, AgreesWithItselfAboutEveryMessage) {
  for (const Timetable& timetable :
       {Timetable{.rate = 700, .burst_every_us = 300'000, .burst_size = 13},
        Timetable{.rate = 0.5, .burst_every_us = 10'000, .burst_size = 3},
        Timetable{.rate = 10'000, .burst_every_us = 1'700, .burst_size = 1},
        Timetable{.rate = 333}}) {
    const Pacer pacer(timetable);
    for (uint64_t index = 0; index < 5000; ++index) {
      const int64_t due = pacer.DueAt(index);
      ASSERT_GT(pacer.DueBy(due), index) << timetable.rate;
      ASSERT_LE(pacer.DueBy(due - 1), index) << timetable.rate;
    }
  }
}

TEST(Pacer, HasNoBurstAtTheMomentItEnds) {
  const Pacer pacer(
      {.rate = 10, .duration_us = 2 * kSecond, .burst_every_us = kSecond, .burst_size = 1000});
  EXPECT_EQ(pacer.DueBy(9 * kSecond), 1020U);
  EXPECT_DOUBLE_EQ(pacer.Share(510), 0.5);
  EXPECT_LT(Pacer({.rate = 10}).Share(510), 0);
}

TEST(Pacer, CallsForAStormAfterEachInterval) {
  const Pacer pacer({.storm_every_us = kSecond});
  EXPECT_EQ(pacer.StormsBy(kSecond - 1), 0U);
  EXPECT_EQ(pacer.StormsBy(3 * kSecond), 3U);
  EXPECT_EQ(Pacer(Timetable{}).StormsBy(3 * kSecond), 0U);
}

}  // namespace
}  // namespace sluice::loadtest
