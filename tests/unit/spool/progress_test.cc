#include "ingest/spool/progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

namespace sluice {
namespace {

TEST(SpoolProgress, StopsAtTheFirstRecordThatIsNotDone) {
  Progress progress(10);
  progress.Complete({21, 30});
  EXPECT_EQ(progress.watermark(), 10U);
  EXPECT_EQ(progress.done_beyond(), 10U);
  progress.Complete({11, 15});
  EXPECT_EQ(progress.watermark(), 15U);
  progress.Complete({16, 20});
  EXPECT_EQ(progress.watermark(), 30U);
  EXPECT_EQ(progress.done_beyond(), 0U);
}

TEST(SpoolProgress, IgnoresWhatIsDoneAlready) {
  Progress progress(10);
  progress.Complete({1, 10});
  progress.Complete({5, 12});
  EXPECT_EQ(progress.watermark(), 12U);
  progress.Complete({20, 25});
  progress.Complete({22, 23});
  progress.Complete({18, 27});
  EXPECT_EQ(progress.done_beyond(), 10U);
}

TEST(SpoolProgress, AgreesWithASetOfNumbersInAnyOrder) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    Progress progress(0);
    std::set<uint64_t> done;
    for (int i = 0; i < 40; ++i) {
      const uint64_t first = 1 + random() % 100;
      const uint64_t last = first + random() % 8;
      progress.Complete({first, last});
      for (uint64_t seq = first; seq <= last; ++seq) done.insert(seq);
      uint64_t watermark = 0;
      while (done.contains(watermark + 1)) ++watermark;
      ASSERT_EQ(progress.watermark(), watermark);
      ASSERT_EQ(progress.done_beyond(), done.size() - watermark);
    }
  }
}

}  // namespace
}  // namespace sluice
