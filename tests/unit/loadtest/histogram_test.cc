#include "loadtest/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace sluice::loadtest {
namespace {

TEST(Histogram, KnowsNothingWithoutValues) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.max(), 0U);
  EXPECT_EQ(histogram.Quantile(0.99), 0U);
}

TEST(Histogram, KeepsSmallValuesExactly) {
  Histogram histogram;
  for (uint64_t value = 0; value < 2048; ++value) histogram.Add(value);
  EXPECT_EQ(histogram.Quantile(0), 0U);
  EXPECT_EQ(histogram.Quantile(0.5), 1023U);
  EXPECT_EQ(histogram.Quantile(1), 2047U);
}

TEST(Histogram, KeepsThreeDigitsOfEveryValue) {
  for (uint64_t value = 1; value < uint64_t{1} << 40; value = value * 21 / 20 + 1) {
    Histogram histogram;
    histogram.Add(value);
    histogram.Add(uint64_t{1} << 50);
    const uint64_t kept = histogram.Quantile(0.5);
    EXPECT_GE(kept, value);
    EXPECT_LE(static_cast<double>(kept), static_cast<double>(value) * 1.001);
  }
}

TEST(Histogram, PutsTheEndsOfEveryPowerOfTwoInTheRightBucket) {
  for (int power = 0; power <= 40; ++power) {
    for (const uint64_t value : {(uint64_t{1} << power) - 1, uint64_t{1} << power}) {
      Histogram histogram;
      histogram.Add(value);
      EXPECT_EQ(histogram.Quantile(0.5), value);
    }
  }
}

TEST(Histogram, FindsTheQuantilesThatSortingFinds) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> latency(9, 2);
  Histogram histogram;
  std::vector<uint64_t> values;
  for (int i = 0; i < 10'000; ++i) {
    values.push_back(static_cast<uint64_t>(latency(random)));
    histogram.Add(values.back());
  }
  std::sort(values.begin(), values.end());
  for (const double q : {0.001, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<size_t>(std::ceil(q * 10'000));
    const auto exact = static_cast<double>(values[rank - 1]);
    EXPECT_NEAR(static_cast<double>(histogram.Quantile(q)), exact, exact / 1000) << q;
  }
  EXPECT_EQ(histogram.max(), values.back());
}

TEST(Histogram, CountsManyAtOnce) {
  Histogram histogram;
  histogram.Add(10, 98);
  histogram.Add(1000, 2);
  histogram.Add(5000, 0);
  EXPECT_EQ(histogram.count(), 100U);
  EXPECT_EQ(histogram.Quantile(0.98), 10U);
  EXPECT_EQ(histogram.Quantile(0.99), 1000U);
  EXPECT_EQ(histogram.max(), 1000U);
}

TEST(Histogram, KeepsTheLargestValueHoweverLarge) {
  Histogram histogram;
  histogram.Add(UINT64_MAX);
  EXPECT_EQ(histogram.max(), UINT64_MAX);
  EXPECT_EQ(histogram.Quantile(1), UINT64_MAX);
}

}  // namespace
}  // namespace sluice::loadtest
