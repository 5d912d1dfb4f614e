#include "loadtest/scrape.h"

#include <gtest/gtest.h>

#include <limits>

namespace sluice::loadtest {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

TEST(Scrape, ReadsValuesLabelsAndBuckets) {
  const Scrape scrape(
      "# HELP a_total something\n# TYPE a_total counter\n"
      "a_total 1.5e+06\n"
      "q_total{reason=\"TOKEN_INVALID\"} 3\n"
      "q_total{reason=\"INVALID_JSON\"} 4\n"
      "h_bucket{stage=\"x\",le=\"0.5\"} 2\nh_bucket{stage=\"x\",le=\"+Inf\"} 5\n"
      "broken\nnan_total nothing");
  EXPECT_EQ(scrape.Value("a_total"), 1.5e6);
  EXPECT_EQ(scrape.Value("absent"), 0);
  EXPECT_EQ(scrape.Value("nan_total"), 0);
  const std::map<std::string, double> reasons = {{"INVALID_JSON", 4}, {"TOKEN_INVALID", 3}};
  EXPECT_EQ(scrape.ByLabel("q_total", "reason"), reasons);
  EXPECT_EQ(scrape.Histogram("h"), (Buckets{{0.5, 2}, {kInf, 5}}));
}

TEST(Quantile, InterpolatesWithinTheBucket) {
  const Buckets buckets = {{0.1, 10}, {0.2, 30}, {0.4, 40}, {kInf, 40}};
  EXPECT_DOUBLE_EQ(Quantile(buckets, 0.25), 0.1);
  EXPECT_DOUBLE_EQ(Quantile(buckets, 0.5), 0.15);
  EXPECT_DOUBLE_EQ(Quantile(buckets, 0.125), 0.05);
  EXPECT_DOUBLE_EQ(Quantile(buckets, 1), 0.4);
}

TEST(Quantile, SkipsEmptyBuckets) {
  EXPECT_DOUBLE_EQ(Quantile({{0.1, 0}, {0.2, 0}, {0.4, 10}, {kInf, 10}}, 0.5), 0.3);
}

TEST(Quantile, StaysAtTheLastBoundForWhatLiesAboveIt) {
  EXPECT_DOUBLE_EQ(Quantile({{0.1, 1}, {0.2, 1}, {kInf, 10}}, 0.99), 0.2);
}

TEST(Quantile, KnowsNothingWithoutObservations) {
  EXPECT_EQ(Quantile({}, 0.5), -1);
  EXPECT_EQ(Quantile({{0.1, 0}, {kInf, 0}}, 0.5), -1);
}

TEST(Difference, LeavesOnlyWhatWasCountedInBetween) {
  EXPECT_EQ(Difference({{0.1, 5}, {kInf, 9}}, {{0.1, 4}, {kInf, 6}}),
            (Buckets{{0.1, 1}, {kInf, 3}}));
  EXPECT_EQ(Difference({{0.1, 5}, {kInf, 9}}, {}), (Buckets{{0.1, 5}, {kInf, 9}}));
}

}  // namespace
}  // namespace sluice::loadtest
