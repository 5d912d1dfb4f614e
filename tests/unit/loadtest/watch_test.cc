#include "loadtest/watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::loadtest {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(WatchLine, ShowsTheRatesOfTheIntervalAndTheLargestReasons) {
  const Scrape before(
      "sluice_received_messages_total 1000\nsluice_stored_messages_total 900\n"
      "sluice_quarantined_messages_total{reason=\"TOKEN_INVALID\"} 100\n");
  const Scrape now(
      "sluice_received_messages_total 5000\nsluice_stored_messages_total 4300\n"
      "sluice_quarantined_messages_total{reason=\"TOKEN_INVALID\"} 500\n"
      "sluice_quarantined_messages_total{reason=\"A\"} 20\n"
      "sluice_quarantined_messages_total{reason=\"B\"} 40\n"
      "sluice_quarantined_messages_total{reason=\"C\"} 2\n"
      "sluice_quarantined_messages_total{reason=\"NEVER\"} 0\n"
      "sluice_publish_to_commit_seconds_bucket{le=\"0.01\"} 10\n"
      "sluice_publish_to_commit_seconds_bucket{le=\"+Inf\"} 10\n"
      "sluice_spool_backlog_records 12\nsluice_database_up 1\n");
  EXPECT_EQ(WatchLine(now, before, 2),
            "in 2000/s  stored 1700/s  p50 5.0 ms  p99 9.9 ms  backlog 12 [###.......]"
            "  quarantined 231/s (TOKEN_INVALID 200, B 20, A 10, 1 more)");
}

TEST(WatchLine, SaysWhenTheDatabaseIsDown) {
  EXPECT_THAT(WatchLine(Scrape("sluice_database_up 0\n"), Scrape(), 1), HasSubstr("DATABASE DOWN"));
  EXPECT_THAT(WatchLine(Scrape("sluice_database_up 1\n"), Scrape(), 1), Not(HasSubstr("DOWN")));
}

TEST(BacklogBar, GrowsWithTheLogarithmAndIsFullAtAHundredThousand) {
  EXPECT_EQ(BacklogBar(0), "[..........]");
  EXPECT_EQ(BacklogBar(9), "[##........]");
  EXPECT_EQ(BacklogBar(9999), "[########..]");
  EXPECT_EQ(BacklogBar(99999), "[##########]");
  EXPECT_EQ(BacklogBar(1e9), "[##########]");
}

}  // namespace
}  // namespace sluice::loadtest
