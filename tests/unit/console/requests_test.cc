#include "console/requests.h"

#include <gmock/gmock.h>

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr UnixMicros kNow = 1'772'359'225'000'000;  // 2026-03-01 10:00:25 UTC

std::string WhyNot(const QueryParameters& query) {
  const Result<QuarantineRequest> request = ParseList(query, kNow);
  return request.ok() ? "good" : request.message();
}

std::string WhyNot(const std::string& body) {
  const Result<QuarantineRequest> filter = ParseSelection(body, kNow);
  return filter.ok() ? "good" : filter.message();
}

std::string Repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(ParseList, GivesFiftyNewMessagesWhenNothingIsAskedFor) {
  const Result<QuarantineRequest> request = ParseList({}, kNow);
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->filter.limit, 50);
  EXPECT_EQ(request->filter.state, "NEW");
  EXPECT_FALSE(request->filter.narrows());
  EXPECT_FALSE(request->after);
}

TEST(ParseList, TakesEveryParameter) {
  const Result<QuarantineRequest> request =
      ParseList({{"tenant", "orchard"},
                 {"device", "probe-7"},
                 {"reason", "TOKEN_INVALID"},
                 {"status", "DISCARDED"},
                 {"since", "30s"},
                 {"limit", "500"},
                 {"after", "2026-03-01T10:00:25.000001Z_4711"}},
                kNow);
  ASSERT_TRUE(request.ok()) << request.message();
  EXPECT_EQ(request->filter.tenant, "orchard");
  EXPECT_EQ(request->filter.device, "probe-7");
  EXPECT_EQ(request->filter.reason, "TOKEN_INVALID");
  EXPECT_EQ(request->filter.state, "DISCARDED");
  EXPECT_EQ(request->filter.since, kNow - 30'000'000);
  EXPECT_EQ(request->filter.limit, 500);
  EXPECT_EQ(request->after->ingested_at, "2026-03-01T10:00:25.000001Z");
  EXPECT_EQ(request->after->id, "4711");
  EXPECT_EQ(CursorAt(*request->after), "2026-03-01T10:00:25.000001Z_4711");
}

TEST(ParseList, TakesWhatIsEmptyForNotGiven) {
  const Result<QuarantineRequest> request =
      ParseList({{"tenant", ""}, {"status", ""}, {"limit", ""}, {"after", ""}}, kNow);
  ASSERT_TRUE(request.ok()) << request.message();
  EXPECT_EQ(request->filter.limit, 50);
}

TEST(ParseList, TellsAllStatesFromTheNewOnes) {
  EXPECT_EQ(ParseList({{"status", "ALL"}}, kNow)->filter.state, "");
}

TEST(ParseList, NamesWhatWillNotDo) {
  EXPECT_EQ(WhyNot({{"limit", "900"}}), "limit: 900 is no whole number from 1 to 500");
  for (const char* limit : {"0", "501", "-1", "+1", "1e2", " 1", "1x", "99999999999999999999"}) {
    EXPECT_THAT(WhyNot({{"limit", limit}}), StartsWith("limit: ")) << limit;
  }
  EXPECT_EQ(WhyNot({{"tennant", "orchard"}}), "tennant: there is no such thing to ask for");
  EXPECT_THAT(WhyNot({{"reason", "BAD_LUCK"}}), StartsWith("reason: "));
  EXPECT_THAT(WhyNot({{"status", "new"}}), StartsWith("status: "));
  EXPECT_THAT(WhyNot({{"since", "soon"}}), StartsWith("since: "));
  for (const char* after : {"4711", "_4711", "2026-03-01T10:00:25.000001Z", "now_1", "2026-03-01_x",
                            "2026-03-01_1_2", "2026-03-01_'"}) {
    EXPECT_THAT(WhyNot({{"after", after}}), StartsWith("after: ")) << after;
  }
}

TEST(ParseList, RefusesAParameterWithTwoValues) {
  EXPECT_EQ(WhyNot({{"tenant", "orchard"}, {"tenant", "vineyard"}}), "tenant: it has two values");
  EXPECT_EQ(WhyNot({{"limit", "1"}, {"limit", "2"}}), "limit: it has two values");
  EXPECT_EQ(WhyNot({{"tenant", ""}, {"tenant", "orchard"}}), "tenant: it has two values");
  EXPECT_EQ(ParseWaiting({{"tenant", "a"}, {"tenant", "b"}}, {"tenant"}).message(),
            "tenant: it has two values");
}

TEST(ParseList, TakesNamesAsLongAsTheyMayBeAndNoLonger) {
  EXPECT_EQ(WhyNot({{"tenant", std::string(256, 't')}}), "good");
  EXPECT_EQ(WhyNot({{"tenant", Repeated("ü", 256)}}), "good");
  EXPECT_THAT(WhyNot({{"tenant", std::string(257, 't')}}), StartsWith("tenant: "));
  EXPECT_THAT(WhyNot({{"device", "\xff"}}), StartsWith("device: "));
  EXPECT_THAT(WhyNot({{"device", std::string("a\0b", 3)}}), StartsWith("device: "));
}

TEST(ParseList, QuotesOnlyTheBeginningOfWhatSomebodyWrote) {
  EXPECT_LT(WhyNot({{std::string(10'000, 'x'), "1"}}).size(), 200U);
  EXPECT_LT(WhyNot({{"limit", std::string(10'000, 'x')}}).size(), 200U);
}

TEST(ParseWaiting, TakesWhatIsKnownOfAListsParametersAndRefusesTheRest) {
  const Result<QuarantineFilter> filter = ParseWaiting(
      {{"tenant", "orchard"}, {"limit", "20"}, {"reason", ""}}, {"tenant", "reason", "limit"});
  ASSERT_TRUE(filter.ok()) << filter.message();
  EXPECT_EQ(filter->tenant, "orchard");
  EXPECT_EQ(filter->state, "NEW");
  EXPECT_EQ(filter->limit, 20);
  EXPECT_EQ(ParseWaiting({{"since", "2h"}}, {"tenant"}).message(),
            "since: there is no such thing to ask for");
  EXPECT_THAT(ParseWaiting({{"limit", "0"}}, {"limit"}).message(), StartsWith("limit: "));
}

TEST(ParseMessageId, TakesWholeNumbers) {
  EXPECT_EQ(*ParseMessageId("4711"), 4711);
  EXPECT_EQ(*ParseMessageId("999999999999999999"), 999'999'999'999'999'999);
  for (const char* text : {"", "-1", "1.5", "1000000000000000000", "4711'", "0x1", "abc"}) {
    EXPECT_FALSE(ParseMessageId(text).ok()) << text;
  }
}

TEST(ParseSelection, TakesIds) {
  const Result<QuarantineRequest> request = ParseSelection(R"({"ids":["3","4711"]})", kNow);
  ASSERT_TRUE(request.ok()) << request.message();
  EXPECT_THAT(request->filter.ids, ElementsAre(3, 4711));
  EXPECT_EQ(request->filter.state, "NEW");
  EXPECT_EQ(request->filter.limit, 0);
  EXPECT_FALSE(request->after);
}

TEST(ParseSelection, TakesAFilterWithItsLimitAndWhereToGoOn) {
  const Result<QuarantineRequest> request = ParseSelection(
      R"({"filter":{"tenant":"orchard","device":"probe-7","reason":"TOKEN_INVALID","since":"2h"},
          "limit":10000,"after":"2026-03-01T10:00:00.000001Z_41"})",
      kNow);
  ASSERT_TRUE(request.ok()) << request.message();
  const QuarantineFilter& filter = request->filter;
  EXPECT_EQ(filter.tenant, "orchard");
  EXPECT_EQ(filter.device, "probe-7");
  EXPECT_EQ(filter.reason, "TOKEN_INVALID");
  EXPECT_EQ(filter.since, kNow - 7'200'000'000);
  EXPECT_EQ(filter.state, "NEW");
  EXPECT_EQ(filter.limit, 10'000);
  ASSERT_TRUE(request->after);
  EXPECT_EQ(CursorAt(*request->after), "2026-03-01T10:00:00.000001Z_41");
}

TEST(ParseSelection, RefusesWhatCouldMeanMoreThanWasMeant) {
  for (const char* body : {"",
                           "null",
                           "[]",
                           "{",
                           "{}",
                           R"({"limit":1})",
                           R"({"ids":[]})",
                           R"({"ids":"1"})",
                           R"({"ids":[1]})",
                           R"({"ids":["x"]})",
                           R"({"ids":["1"],"limit":1})",
                           R"({"ids":["1"],"filter":{"tenant":"a"}})",
                           R"({"filter":{},"limit":1})",
                           R"({"filter":{"tenant":""},"limit":1})",
                           R"({"filter":{"tenant":null},"limit":1})",
                           R"({"filter":{"tennant":"a"},"limit":1})",
                           R"({"filter":{"status":"ALL"},"limit":1})",
                           R"({"filter":{"tenant":"a"}})",
                           R"({"filter":{"tenant":"a"},"limit":0})",
                           R"({"filter":{"tenant":"a"},"limit":10001})",
                           R"({"filter":{"tenant":"a"},"limit":1.5})",
                           R"({"filter":{"tenant":"a"},"limit":"1"})",
                           R"({"filter":{"tenant":"a"},"limit":18446744073709551615})",
                           R"({"filter":{"tenant":"a"},"limit":1,"all":true})",
                           R"({"filter":["tenant"],"limit":1})",
                           R"({"filter":{"tenant":"a"},"limit":1,"after":"41"})",
                           R"({"filter":{"tenant":"a"},"limit":1,"after":null})",
                           R"({"ids":["1"],"after":"2026-03-01T10:00:00.000001Z_41"})",
                           "{\"filter\":{\"tenant\":\"\\u0000\"},\"limit\":1}",
                           "{\"ids\":[\"1\"]} x"}) {
    EXPECT_NE(WhyNot(std::string(body)), "good") << body;
  }
  EXPECT_THAT(WhyNot(std::string(R"({"filter":{"tenant":"a"},"limit":10001})")),
              HasSubstr("limit: 10001"));
  EXPECT_NE(WhyNot(Repeated("[", 60'000)), "good");
}

TEST(ParseSelection, RefusesAKeyThatIsThereTwice) {
  for (const char* body :
       {R"({"ids":["1"],"ids":["2"]})", R"({"filter":{"tenant":"a","tenant":"b"},"limit":1})",
        R"({"filter":{"tenant":"a"},"limit":1,"l\u0069mit":10})",
        R"({"filter":{"tenant":"a"},"filter":{"tenant":"b"},"limit":1})"}) {
    EXPECT_EQ(WhyNot(std::string(body)), "body: an object has the same key twice") << body;
  }
}

TEST(ParseSelection, TakesAThousandIdsAndNoMore) {
  const auto body = [](int ids) { return R"({"ids":["1")" + Repeated(R"(,"1")", ids - 1) + "]}"; };
  EXPECT_EQ(WhyNot(body(1000)), "good");
  EXPECT_THAT(WhyNot(body(1001)), StartsWith("ids: "));
}

}  // namespace
}  // namespace sluice
