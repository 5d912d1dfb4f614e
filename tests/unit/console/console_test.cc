#include "console/console.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "console/files.h"
#include "schema/reason.h"
#include "tests/support/http_exchange.h"

namespace sluice {
namespace {

using nlohmann::json;
using sluice::testing::HttpAnswer;
using sluice::testing::HttpExchange;
using sluice::testing::HttpQuestion;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kToken = "correct-horse-battery";
constexpr const char* kReplay = "/api/v1/quarantine/replay";
// Nobody listens there.
constexpr const char* kNoDatabase = "host=127.0.0.1 port=1 dbname=x";

// On a server of its own, without a database; a replay is what the test says.
class ConsoleTest : public ::testing::Test {
 protected:
  void Serve(const std::string& admin_token = kToken, bool enabled = true) {
    console_ = std::make_unique<Console>(
        ConsoleOptions{enabled, kNoDatabase, std::chrono::seconds(5), admin_token},
        [] { return std::string(R"({"version":"x"})"); },
        [this](const QuarantineRequest& request, const std::function<bool()>& go_on) {
          return replay_(request, go_on);
        });
    http_.Get("/health", [](const HttpRequest&) { return HttpResponse{200, "text/plain", "ok"}; });
    console_->ServeOn(&http_);
    ASSERT_TRUE(http_.Start().ok());
  }
  ~ConsoleTest() override {
    if (console_) console_->Stop();
    http_.Stop();
  }
  HttpAnswer Ask(const HttpQuestion& question) {
    return HttpExchange(static_cast<uint16_t>(http_.port()), question);
  }
  // What the browser sends, with a header changed, or left out where it is "".
  HttpQuestion Replay(const std::string& changed = "", const std::string& to = "") {
    HttpQuestion question{.method = "POST", .target = kReplay, .body = R"({"ids":["1"]})"};
    for (auto [name, value] :
         std::vector<HttpHeader>{{"Authorization", std::string("Bearer ") + kToken},
                                 {"Content-Type", "application/json"},
                                 {"Origin", "http://localhost"},
                                 {"Sec-Fetch-Site", "same-origin"}}) {
      if (name == changed) value = to;
      if (!value.empty()) question.headers.emplace_back(name, value);
    }
    return question;
  }

  std::function<ReplayEnd(const QuarantineRequest&, const std::function<bool()>&)> replay_ =
      [](const QuarantineRequest&, const std::function<bool()>&) {
        ReplayEnd end;
        end.totals.messages = end.totals.replayed = 1;
        end.complete = true;
        return end;
      };
  std::unique_ptr<Console> console_;
  HttpServer http_{{.headers = ConsoleHeaders()}};
};

std::string CodeOf(const HttpAnswer& answer) {
  const json body = json::parse(answer.body, nullptr, false);
  return body.is_object() && body.contains("error") ? body["error"]["code"] : "";
}

TEST_F(ConsoleTest, ServesThePageAndItsFilesWithAPolicyThatLetsNothingElseIn) {
  Serve();
  const HttpAnswer page = Ask({.target = "/"});
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.headers.at("Content-Type"), "text/html; charset=utf-8");
  EXPECT_THAT(page.body, HasSubstr("<html"));
  for (const ConsoleFile& file : ConsoleFiles()) {
    const HttpAnswer answer = Ask({.target = std::string(file.path)});
    EXPECT_EQ(answer.status, 200) << file.path;
    EXPECT_EQ(answer.headers.at("Content-Type"), file.content_type);
    EXPECT_EQ(answer.body, file.bytes);
    EXPECT_EQ(answer.headers.at("Content-Security-Policy"),
              "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
              "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    EXPECT_EQ(answer.headers.at("X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(answer.headers.at("Referrer-Policy"), "no-referrer");
    EXPECT_EQ(answer.headers.count("Set-Cookie"), 0U);
  }
  EXPECT_EQ(Ask({.target = "/console/nothing.js"}).status, 404);
  EXPECT_EQ(Ask({.target = "/console/..%2fopenapi.json"}).status, 404);
}

TEST_F(ConsoleTest, ServesOnlyTheStatusWhenItIsOff) {
  Serve("", false);
  EXPECT_EQ(Ask({.target = "/api/v1/status"}).status, 200);
  for (const char* target : {"/", "/api/v1/openapi.json", "/api/v1/quarantine"}) {
    EXPECT_EQ(Ask({.target = target}).status, 404) << target;
  }
}

TEST_F(ConsoleTest, LetsWhoHasTheTokenReplay) {
  replay_ = [](const QuarantineRequest& request, const std::function<bool()>& go_on) {
    ReplayEnd end;
    end.totals.messages = request.filter.ids.size();
    end.totals.replayed = go_on() ? 1 : 0;
    end.totals.rows = 2;
    end.totals.refused = 3;
    end.totals.not_kept = 4;
    end.totals.reasons[Reason::kTokenInvalid] = 3;
    end.complete = true;
    return end;
  };
  Serve();
  const HttpAnswer answer = Ask(Replay());
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(json::parse(answer.body), (json{{"replayed", 1},
                                            {"rows", 2},
                                            {"kept", 7},
                                            {"kept_reasons", {{"TOKEN_INVALID", 3}}},
                                            {"not_whole", 4},
                                            {"complete", true},
                                            {"next", nullptr}}));
}

TEST_F(ConsoleTest, SaysWhereAReplayGoesOnAndGoesOnThere) {
  replay_ = [](const QuarantineRequest& request, const std::function<bool()>&) {
    ReplayEnd end;
    end.last = request.after.value_or(QuarantinePosition{"2026-03-01T10:00:00.000001Z", "41"});
    return end;
  };
  Serve();
  HttpQuestion question = Replay();
  for (const char* after : {"", R"(,"after":"2026-03-02T10:00:00.000002Z_42")"}) {
    question.body = std::string(R"({"filter":{"device":"probe-7"},"limit":5)") + after + "}";
    const json answer = json::parse(Ask(question).body);
    EXPECT_EQ(answer["complete"], false);
    EXPECT_EQ(answer["next"],
              *after ? "2026-03-02T10:00:00.000002Z_42" : "2026-03-01T10:00:00.000001Z_41");
  }
}

// What is no browser sends neither.
TEST_F(ConsoleTest, WantsNoOriginOfWhatIsNoBrowser) {
  Serve();
  HttpQuestion question = Replay("Origin");
  std::erase_if(question.headers, [](const auto& h) { return h.first == "Sec-Fetch-Site"; });
  EXPECT_EQ(Ask(question).status, 200);
  EXPECT_EQ(Ask(Replay("Content-Type", "Application/JSON ; charset=utf-8")).status, 200);
  EXPECT_EQ(Ask(Replay("Authorization", std::string("bearer ") + kToken)).status, 200);
}

TEST_F(ConsoleTest, ChangesNothingWithoutTheToken) {
  Serve();
  for (const char* given :
       {"", "Bearer", "Bearer ", "Bearer correct-horse-batter", "Bearer correct-horse-batteryy",
        "Bearer  correct-horse-battery", "Basic correct-horse-battery", "correct-horse-battery"}) {
    const HttpAnswer answer = Ask(Replay("Authorization", given));
    EXPECT_EQ(answer.status, 401) << given;
    EXPECT_EQ(answer.headers.at("WWW-Authenticate"), "Bearer");
    EXPECT_THAT(answer.body, Not(HasSubstr("horse")));
  }
}

TEST_F(ConsoleTest, ChangesNothingWhereNoTokenIsSet) {
  Serve("");
  for (const char* given : {"", "Bearer ", "Bearer correct-horse-battery"}) {
    const HttpAnswer answer = Ask(Replay("Authorization", given));
    EXPECT_EQ(answer.status, 403);
    EXPECT_EQ(CodeOf(answer), "read_only");
    EXPECT_THAT(answer.body, HasSubstr("read-only: ADMIN_TOKEN is not set"));
  }
}

TEST_F(ConsoleTest, RefusesWhatAPageFromElsewhereAsksFor) {
  Serve();
  for (const auto& [name, value] : std::vector<HttpHeader>{{"Origin", "http://evil.example"},
                                                           {"Origin", "null"},
                                                           {"Origin", "http://localhost.evil"},
                                                           {"Origin", "http://localhost:1"},
                                                           {"Sec-Fetch-Site", "cross-site"},
                                                           {"Sec-Fetch-Site", "same-site"}}) {
    const HttpAnswer answer = Ask(Replay(name, value));
    EXPECT_EQ(answer.status, 403) << value;
    EXPECT_EQ(CodeOf(answer), "cross_origin");
  }
  EXPECT_EQ(Ask({.method = "OPTIONS", .target = kReplay}).status, 405);
}

TEST_F(ConsoleTest, RefusesBodiesThatABrowserSendsWithoutAsking) {
  Serve();
  for (const char* type : {"", "text/plain", "application/x-www-form-urlencoded",
                           "multipart/form-data", "application/jsonx"}) {
    const HttpAnswer answer = Ask(Replay("Content-Type", type));
    EXPECT_EQ(answer.status, 415) << type;
    EXPECT_EQ(CodeOf(answer), "unsupported_type");
  }
  HttpQuestion question = Replay();
  question.body = "ids=1";
  EXPECT_EQ(CodeOf(Ask(question)), "bad_body");
}

TEST_F(ConsoleTest, RefusesAParameterWithTwoValues) {
  Serve();
  for (const char* target : {"/api/v1/quarantine?tenant=a&tenant=b",
                             "/api/v1/quarantine/count?tenant=a&reason=TOKEN_INVALID&tenant=",
                             "/api/v1/quarantine/devices?limit=1&limit=2"}) {
    const HttpAnswer answer = Ask({.target = target});
    EXPECT_EQ(answer.status, 400) << target;
    EXPECT_THAT(answer.body, HasSubstr("it has two values")) << target;
  }
}

TEST_F(ConsoleTest, SaysThatTheDatabaseIsAway) {
  Serve();
  for (const char* target :
       {"/api/v1/quarantine", "/api/v1/quarantine/summary", "/api/v1/quarantine/count",
        "/api/v1/quarantine/devices", "/api/v1/quarantine/4711"}) {
    const HttpAnswer answer = Ask({.target = target});
    EXPECT_EQ(answer.status, 503) << target;
    EXPECT_EQ(CodeOf(answer), "database_unavailable");
  }
  HttpQuestion discard = Replay();
  discard.target = "/api/v1/quarantine/discard";
  EXPECT_EQ(Ask(discard).status, 503);
  EXPECT_EQ(Ask({.target = "/api/v1/status"}).status, 200);
}

TEST_F(ConsoleTest, SaysWhatWasDoneBeforeAReplayFailed) {
  replay_ = [](const QuarantineRequest&, const std::function<bool()>&) {
    ReplayEnd end;
    end.totals.replayed = 4000;
    end.failure = "server closed the connection";
    return end;
  };
  Serve();
  const HttpAnswer answer = Ask(Replay());
  EXPECT_EQ(answer.status, 503);
  EXPECT_THAT(answer.body, HasSubstr("server closed the connection; replayed before: 4000"));
}

// A replay that waits for the database, and what becomes of everybody else meanwhile.
class WaitingConsoleTest : public ConsoleTest {
 protected:
  WaitingConsoleTest() {
    replay_ = [this](const QuarantineRequest&, const std::function<bool()>& go_on) {
      entered_.set_value();
      leave_.get_future().wait();
      ReplayEnd end;
      end.complete = go_on();
      return end;
    };
    Serve();
    replaying_ = std::async(std::launch::async, [this] { return Ask(Replay()); });
    entered_.get_future().wait();
  }

  std::promise<void> entered_;
  std::promise<void> leave_;
  std::future<HttpAnswer> replaying_;
};

TEST_F(WaitingConsoleTest, HoldsUpNothingThatNeedsNoDatabase) {
  EXPECT_EQ(Ask({.target = "/health"}).status, 200);
  EXPECT_EQ(Ask({.target = "/api/v1/status"}).status, 200);
  EXPECT_EQ(Ask({.target = "/api/v1/quarantine?limit=0"}).status, 400);
  leave_.set_value();
  EXPECT_EQ(replaying_.get().status, 200);
}

TEST_F(WaitingConsoleTest, RefusesWhenTooManyWaitAndAnswersThoseLaterWhenItStops) {
  std::vector<std::future<HttpAnswer>> asked(40);
  for (auto& answer : asked) {
    answer =
        std::async(std::launch::async, [this] { return Ask({.target = "/api/v1/quarantine"}); });
  }
  size_t answered = 0;
  const auto ready = [](const auto& answer) {
    return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  };
  while (answered < asked.size() - 16) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    answered = static_cast<size_t>(std::count_if(asked.begin(), asked.end(), ready));
  }
  console_->RequestStop();
  leave_.set_value();
  EXPECT_EQ(json::parse(replaying_.get().body)["complete"], false) << "told to stop";
  console_->Stop();
  std::map<std::string, int> codes;
  for (auto& answer : asked) ++codes[CodeOf(answer.get())];
  EXPECT_EQ(codes, (std::map<std::string, int>{{"busy", 24}, {"stopping", 16}}));
  EXPECT_EQ(CodeOf(Ask({.target = "/api/v1/quarantine"})), "stopping");
}

TEST(OpenApi, NamesEveryReason) {
  json reasons;
  for (const ConsoleFile& file : ConsoleFiles()) {
    if (file.path != "/api/v1/openapi.json") continue;
    reasons = json::parse(file.bytes)["components"]["schemas"]["Reason"]["enum"];
  }
  json expected = json::array();
  for (size_t i = 0; i < kReasonCount; ++i) expected.push_back(ReasonName(static_cast<Reason>(i)));
  EXPECT_EQ(reasons, expected);
}

}  // namespace
}  // namespace sluice
