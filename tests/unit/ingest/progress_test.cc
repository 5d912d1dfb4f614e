#include "ingest/commands/progress.h"

#include <gmock/gmock.h>

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ProgressLine, SaysHowFarItIsAndHowFast) {
  EXPECT_EQ(ProgressLine(500, 2000, 0.5),
            "[#######-----------------------]  25 %  500 of 2000  1000/s");
}

TEST(ProgressLine, IsFullAtTheEndAndWhenThereIsMoreThanWasExpected) {
  const std::string full = "[" + std::string(30, '#') + "] 100 %";
  EXPECT_THAT(ProgressLine(2000, 2000, 1), StartsWith(full));
  EXPECT_THAT(ProgressLine(2100, 2000, 1), HasSubstr("2100 of 2100"));
  EXPECT_THAT(ProgressLine(0, 0, 0), StartsWith(full));
}

}  // namespace
}  // namespace sluice
