#include "auth/rate_limiter.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr UnixMicros kSecond = 1'000'000;
constexpr UnixMicros kStart = 1'700'000'000 * kSecond;
constexpr DeviceKeyView kProbe{"orchard", "probe-7"};

// How many of `asked` messages at that moment pass.
int Passed(RateLimiter& limiter, UnixMicros at, int asked, double rps, double burst) {
  int passed = 0;
  for (int i = 0; i < asked; ++i) passed += limiter.Allow(0, kProbe, at, rps, burst) ? 1 : 0;
  return passed;
}

TEST(RateLimiter, LetsABurstThroughAndThenTheRate) {
  RateLimiter limiter;
  EXPECT_EQ(Passed(limiter, kStart, 10, 2, 5), 5);
  EXPECT_EQ(Passed(limiter, kStart + kSecond, 10, 2, 5), 2);
  EXPECT_EQ(Passed(limiter, kStart + 2 * kSecond, 10, 2, 5), 2);
}

TEST(RateLimiter, NeedsOneWholeToken) {
  RateLimiter limiter;
  EXPECT_EQ(Passed(limiter, kStart, 1, 1, 1), 1);
  EXPECT_EQ(Passed(limiter, kStart + kSecond - 1, 1, 1, 1), 0);
  EXPECT_EQ(Passed(limiter, kStart + kSecond, 2, 1, 1), 1);
}

TEST(RateLimiter, RefusedMessagesSpendNothing) {
  RateLimiter limiter;
  EXPECT_EQ(Passed(limiter, kStart, 1, 1, 1), 1);
  EXPECT_EQ(Passed(limiter, kStart + kSecond / 2, 1000, 1, 1), 0);
  EXPECT_EQ(Passed(limiter, kStart + kSecond, 1, 1, 1), 1);
}

TEST(RateLimiter, WithABurstOfOneAndALotLetsOneThrough) {
  RateLimiter limiter;
  EXPECT_EQ(Passed(limiter, kStart, 10, 1, 1.9), 1);
  // 0.9 are left: a little more than a tenth of a second brings the next.
  EXPECT_EQ(Passed(limiter, kStart + kSecond / 10 + 1, 10, 1, 1.9), 1);
}

TEST(RateLimiter, WithARateOfZeroLetsTheBurstThroughAndNothingMore) {
  RateLimiter limiter;
  EXPECT_EQ(Passed(limiter, kStart, 10, 0, 3), 3);
  EXPECT_EQ(Passed(limiter, kStart + 1'000'000 * kSecond, 10, 0, 3), 0);
}

TEST(RateLimiter, NeverHoldsMoreThanTheBurst) {
  RateLimiter limiter;
  EXPECT_EQ(Passed(limiter, kStart, 10, 100, 3), 3);
  EXPECT_EQ(Passed(limiter, kStart + 1000 * kSecond, 10, 100, 3), 3);
}

TEST(RateLimiter, RefillsNothingWhenTimeGoesBack) {
  RateLimiter limiter;
  EXPECT_EQ(Passed(limiter, kStart, 2, 1, 2), 2);
  EXPECT_EQ(Passed(limiter, kStart - 30 * kSecond, 10, 1, 2), 0);
  EXPECT_EQ(Passed(limiter, kStart, 10, 1, 2), 0) << "and the way forth again is no time either";
  EXPECT_EQ(Passed(limiter, kStart + kSecond, 10, 1, 2), 1);
}

TEST(RateLimiter, GoesOnFromTheNewTimeWhenTheClockWasSetBack) {
  RateLimiter limiter;
  const UnixMicros back = kStart - 3600 * kSecond;
  EXPECT_EQ(Passed(limiter, kStart, 2, 1, 2), 2);
  EXPECT_EQ(Passed(limiter, back, 10, 1, 2), 0);
  EXPECT_EQ(Passed(limiter, back + kSecond, 10, 1, 2), 1);
}

TEST(RateLimiter, TakesNothingAwayWhenTimeGoesBack) {
  RateLimiter limiter;
  EXPECT_EQ(Passed(limiter, kStart, 1, 1, 2), 1);
  EXPECT_EQ(Passed(limiter, kStart - 100 * kSecond, 10, 1, 2), 1);
}

TEST(RateLimiter, JudgesABacklogByTheTimesOfArrival) {
  RateLimiter limiter;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(limiter.Allow(0, kProbe, kStart + i * kSecond, 1, 1)) << i;
  }
}

TEST(RateLimiter, GivesABacklogAndLiveTrafficBesideItBucketsOfTheirOwn) {
  RateLimiter limiter;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(limiter.Allow(1, kProbe, kStart + (2000 + i) * kSecond, 1, 1)) << "live " << i;
    EXPECT_TRUE(limiter.Allow(0, kProbe, kStart + i * kSecond, 1, 1)) << "backlog " << i;
  }
}

TEST(RateLimiter, KeepsDevicesApart) {
  RateLimiter limiter;
  EXPECT_TRUE(limiter.Allow(0, {"a", "b/c"}, kStart, 0, 1));
  EXPECT_TRUE(limiter.Allow(0, {"a/b", "c"}, kStart, 0, 1));
  EXPECT_FALSE(limiter.Allow(0, {"a", "b/c"}, kStart, 0, 1));
  EXPECT_EQ(limiter.size(), 2U);
}

TEST(RateLimiter, FollowsABurstThatChanges) {
  RateLimiter limiter;
  EXPECT_EQ(Passed(limiter, kStart, 1, 1, 20), 1);
  EXPECT_EQ(Passed(limiter, kStart, 10, 1, 2), 2) << "a smaller burst takes the rest away";
  EXPECT_EQ(Passed(limiter, kStart + 100 * kSecond, 100, 1, 20), 20);
}

TEST(RateLimiter, ForgetsWhatWasIdleAndGivesItAFullBucketAgain) {
  RateLimiter limiter;
  EXPECT_TRUE(limiter.Allow(0, {"t", "idle"}, kStart, 0, 1));
  EXPECT_TRUE(limiter.Allow(0, {"t", "busy"}, kStart + kSecond, 0, 1));
  limiter.ForgetIdle(kStart + kSecond);
  EXPECT_EQ(limiter.size(), 1U);
  EXPECT_FALSE(limiter.Allow(0, {"t", "busy"}, kStart + kSecond, 0, 1));
  EXPECT_TRUE(limiter.Allow(0, {"t", "idle"}, kStart + kSecond, 0, 1));
}

}  // namespace
}  // namespace sluice
