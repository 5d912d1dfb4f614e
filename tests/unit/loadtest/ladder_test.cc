#include "loadtest/ladder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::loadtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Sample SampleOf(double published, double backlog) {
  Sample sample;
  sample.published = published;
  sample.backlog = backlog;
  return sample;
}

// A run in which nothing went wrong.
RunResult Good() {
  RunResult result;
  result.fleet.published = result.fleet.acknowledged = 1000;
  result.verdict = Verdict{.sent = 1000, .stored = 1000};
  result.settle_seconds = 0.1;
  result.latency.emplace();
  result.latency->Add(50'000, 1000);
  result.samples.assign(9, SampleOf(100, 10));
  return result;
}

// Plays on a machine that sustains up to `capacity`, and writes down what it was asked for.
std::function<Result<RunResult>(double)> Machine(double capacity, std::vector<double>* asked) {
  return [=](double rate) {
    asked->push_back(rate);
    RunResult result = Good();
    if (rate > capacity) result.fleet.lag_ms_max = 5000;
    return result;
  };
}

TEST(TroubleWith, IsNothingWithAGoodRun) {
  EXPECT_EQ(TroubleWith(Good(), 100, 1000), "");
}

TEST(TroubleWith, NamesWhatWentWrong) {
  RunResult late = Good();
  late.fleet.lag_ms_max = 1001;
  EXPECT_EQ(TroubleWith(late, 100, 1000), "the fleet was 1001 ms late");
  RunResult open = Good();
  open.fleet.acknowledged = 998;
  EXPECT_EQ(TroubleWith(open, 100, 1000), "2 not acknowledged");
  RunResult lost = Good();
  lost.verdict->stored = 999;
  EXPECT_EQ(TroubleWith(lost, 100, 1000), "the balance is wrong");
  RunResult torn = Good();
  torn.verdict->torn_rows = 1;
  EXPECT_EQ(TroubleWith(torn, 100, 1000), "the balance is wrong");
  RunResult unjudged = Good();
  unjudged.verdict.reset();
  EXPECT_EQ(TroubleWith(unjudged, 100, 1000), "nobody judged it");
}

TEST(TroubleWith, HoldsTheNinetyNinthPercentileAgainstTheLimit) {
  RunResult result = Good();
  result.latency->Add(2'000'000, 10);
  EXPECT_EQ(TroubleWith(result, 100, 1000), "");
  result.latency->Add(2'000'000, 10);
  EXPECT_THAT(TroubleWith(result, 100, 1000), HasSubstr("p99 200"));
  EXPECT_EQ(TroubleWith(result, 100, 3000), "");
}

TEST(TroubleWith, TakesTheTimeToTheLastCommitWhereNoLatencyIsKnown) {
  RunResult result = Good();
  result.latency.reset();
  EXPECT_EQ(TroubleWith(result, 100, 1000), "");
  result.settle_seconds = 1.5;
  EXPECT_EQ(TroubleWith(result, 100, 1000), "the last was committed 1500 ms after");
  result.settle_seconds = -1;
  EXPECT_NE(TroubleWith(result, 100, 1000), "");
}

TEST(TroubleWith, SeesABacklogThatGrowsButNotOneThatIsDrainedAfterwards) {
  RunResult result = Good();
  for (size_t i = 0; i < result.samples.size(); ++i) {
    result.samples[i].backlog = 10 * static_cast<double>(i);
  }
  EXPECT_EQ(TroubleWith(result, 100, 1000), "the backlog grew");
  EXPECT_EQ(TroubleWith(result, 10'000, 1000), "") << "what is on its way within 6 ms";
  RunResult drained = Good();
  drained.samples.push_back(SampleOf(0, 1e6));
  EXPECT_EQ(TroubleWith(drained, 100, 1000), "");
}

TEST(Climb, StopsAfterTwoFailuresInARowAndNarrowsTheGap) {
  std::vector<double> asked;
  const auto ladder =
      Climb({.from = 10, .to = 100, .step = 10, .resolution = 2.5}, Machine(36, &asked));
  ASSERT_TRUE(ladder.ok());
  EXPECT_THAT(asked, ElementsAre(10, 20, 30, 40, 50, 35, 37.5));
  EXPECT_EQ(ladder->best, 35);
  ASSERT_EQ(ladder->rungs.size(), 7U);
  EXPECT_TRUE(ladder->rungs[2].sustained());
  EXPECT_THAT(ladder->rungs[3].trouble, HasSubstr("5000 ms late"));
}

TEST(Climb, NarrowsToAQuarterOfAStepUnlessToldOtherwise) {
  std::vector<double> asked;
  const auto ladder = Climb({.from = 10, .to = 100, .step = 20}, Machine(47, &asked));
  ASSERT_TRUE(ladder.ok());
  EXPECT_THAT(asked, ElementsAre(10, 30, 50, 70, 40, 45));
  EXPECT_EQ(ladder->best, 45);
}

TEST(Climb, GoesOnAfterASingleFailure) {
  std::vector<double> asked;
  const auto machine = Machine(1000, &asked);
  const auto ladder = Climb({.from = 10, .to = 40, .step = 10}, [&](double rate) {
    Result<RunResult> result = machine(rate);
    if (rate == 20) result->fleet.lag_ms_max = 5000;
    return result;
  });
  ASSERT_TRUE(ladder.ok());
  EXPECT_THAT(asked, ElementsAre(10, 20, 30, 40));
  EXPECT_EQ(ladder->best, 40);
}

TEST(Climb, FindsNothingWhereNothingIsSustained) {
  std::vector<double> asked;
  const auto ladder = Climb({.from = 10, .to = 100, .step = 10}, Machine(1, &asked));
  ASSERT_TRUE(ladder.ok());
  EXPECT_THAT(asked, ElementsAre(10, 20));
  EXPECT_EQ(ladder->best, 0);
}

TEST(Climb, KeepsWhatItHasWhenItIsStoppedAndFailsWithAnyOtherError) {
  for (const ErrorCode code : {ErrorCode::kCancelled, ErrorCode::kUnavailable}) {
    const auto ladder = Climb({.from = 10, .to = 100, .step = 10}, [&](double rate) {
      return rate < 30 ? Result<RunResult>(Good()) : Result<RunResult>(Status(code, "no more"));
    });
    ASSERT_EQ(ladder.ok(), code == ErrorCode::kCancelled);
    if (ladder.ok()) {
      EXPECT_EQ(ladder->best, 20);
    }
  }
}

}  // namespace
}  // namespace sluice::loadtest
