#include "quarantine/review.h"

#include <gmock/gmock.h>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr UnixMicros kNow = 1'772'359'225'000'000;  // 2026-03-01 10:00:25 UTC
constexpr UnixMicros kMinute = 60'000'000;

TEST(ParseSince, TakesATimeBeforeNowOrOneOfTheCalendar) {
  EXPECT_EQ(ParseSince("30m", kNow), kNow - 30 * kMinute);
  EXPECT_EQ(ParseSince("2h", kNow), kNow - 120 * kMinute);
  EXPECT_EQ(ParseSince("7d", kNow), kNow - 7 * 24 * 60 * kMinute);
  EXPECT_EQ(ParseSince("45s", kNow), kNow - 45'000'000);
  EXPECT_EQ(ParseSince("2026-03-01T10:00:25Z", kNow), kNow);
  EXPECT_EQ(ParseSince("2026-03-01T12:00:25+02:00", kNow), kNow);
}

TEST(ParseSince, RefusesWhatIsNeither) {
  for (const char* text : {"", "soon", "-2h", "h", "1000000000000d", "2h30m", "2026-13-01"}) {
    EXPECT_EQ(ParseSince(text, kNow), std::nullopt) << text;
  }
}

TEST(QuarantineCondition, IsTheStateAloneWithoutAFilter) {
  const QuarantineCondition condition({});
  EXPECT_EQ(condition.sql(), "replay_state = 'NEW'");
  EXPECT_THAT(condition.params(), IsEmpty());
  EXPECT_EQ(QuarantineCondition({.state = ""}).sql(), "true");
}

TEST(QuarantineCondition, GivesWhatPeopleWroteAsParametersOnly) {
  QuarantineCondition condition({.ids = {3, 4},
                                 .tenant = "o'chard",
                                 .device = "probe-7",
                                 .reason = "TOKEN_INVALID",
                                 .since = kNow});
  condition.After({.ingested_at = "2026-03-01T10:00:25.000001Z", .id = "9"});
  EXPECT_EQ(condition.sql(),
            "replay_state = 'NEW' AND id = ANY ($1::bigint[]) AND tenant_id = $2 AND "
            "device_id = $3 AND reason = $4 AND ingested_at >= $5::timestamptz AND "
            "(ingested_at, id) > ($6::timestamptz, $7::bigint)");
  EXPECT_THAT(condition.params(),
              ElementsAre("{\"3\",\"4\"}", "o'chard", "probe-7", "TOKEN_INVALID",
                          "2026-03-01T10:00:25.000000Z", "2026-03-01T10:00:25.000001Z", "9"));
}

TEST(QuarantineFilter, KnowsWhetherItNarrowsAnythingDown) {
  EXPECT_FALSE(QuarantineFilter{}.narrows());
  EXPECT_FALSE((QuarantineFilter{.state = "", .limit = 5}.narrows()));
  EXPECT_TRUE((QuarantineFilter{.since = kNow}.narrows()));
  EXPECT_TRUE((QuarantineFilter{.tenant = "orchard"}.narrows()));
}

TEST(BytesFromHex, ReadsEveryByte) {
  EXPECT_EQ(BytesFromHex("7b00ff7D"), std::string("{\0\xff}", 4));
  EXPECT_EQ(BytesFromHex(""), "");
}

}  // namespace
}  // namespace sluice
