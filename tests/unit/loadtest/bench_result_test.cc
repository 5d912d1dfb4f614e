#include "loadtest/bench_result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/loadtest/bench_samples.h"

namespace sluice::loadtest {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Names(const std::vector<Ratio>& ratios) {
  std::vector<std::string> names;
  names.reserve(ratios.size());
  for (const Ratio& ratio : ratios) names.push_back(ratio.name);
  return names;
}

TEST(SpreadOf, TakesTheMiddleOfAnOddNumberAndTheMeanOfTheMiddleTwoOfAnEvenOne) {
  const Spread odd = SpreadOf({9, 1, 4});
  EXPECT_DOUBLE_EQ(odd.median, 4);
  EXPECT_DOUBLE_EQ(odd.min, 1);
  EXPECT_DOUBLE_EQ(odd.max, 9);
  EXPECT_DOUBLE_EQ(SpreadOf({4, 1, 2, 9}).median, 3);
  EXPECT_DOUBLE_EQ(SpreadOf(std::vector<double>{}).median, 0);
}

TEST(Ratios, CompareTheConsumersAndTheWholePath) {
  const std::vector<Ratio> ratios = Ratios(SmallBench());
  ASSERT_THAT(Names(ratios),
              ElementsAre("sluice / paho", "path efficiency over paho", "node / sluice"));
  EXPECT_DOUBLE_EQ(ratios[0].spread.median, 6.0 / 5);
  EXPECT_DOUBLE_EQ(ratios[1].spread.median, (8.0 + 5 + 1 + 4) / (8 + 6 + 6));
  EXPECT_DOUBLE_EQ(ratios[2].spread.median, 60.0 / 20);
}

TEST(Ratios, CompareWithinARunAndNotAcrossRuns) {
  BenchResult bench = SmallBench();
  bench.contenders[0].runs.push_back(MeasuredRun({8, 50, 0}));  // a slow minute, for both
  bench.contenders[2].runs.push_back(MeasuredRun({8, 60, 6}));
  const Ratio ratio = Ratios(bench)[0];
  EXPECT_DOUBLE_EQ(ratio.spread.min, 1.2);
  EXPECT_DOUBLE_EQ(ratio.spread.max, 1.2);
}

TEST(Ratios, AreNotThereWithoutBothSides) {
  BenchResult bench = SmallBench();
  bench.contenders[1].runs.clear();  // bare COPY failed
  EXPECT_THAT(Names(Ratios(bench)), ElementsAre("sluice / paho", "node / sluice"));
  bench.contenders.erase(bench.contenders.begin() + 2);
  EXPECT_TRUE(Ratios(bench).empty());
}

TEST(Ratio, KeepsItsGoalByTheMedian) {
  Ratio ratio = {
      .name = "", .meaning = "", .at_most = 1.25, .at_least = {}, .spread = {1.25, 1, 9}};
  EXPECT_TRUE(ratio.met());
  ratio.spread.median = 1.26;
  EXPECT_FALSE(ratio.met());
  ratio.at_most.reset();
  ratio.at_least = 1.27;
  EXPECT_FALSE(ratio.met());
}

}  // namespace
}  // namespace sluice::loadtest
