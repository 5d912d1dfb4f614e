#include "base/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/unit/base/http_text.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr milliseconds kForEver{600'000};

TEST(HttpServer, AnswersWithStatusTypeBodyAndGuardingHeaders) {
  HttpServer server({});
  server.Get("/health", Healthy);
  server.Get("/ready", [](const HttpRequest&) { return HttpResponse{503, "text/plain", "no\n"}; });
  ASSERT_TRUE(server.Start().ok());
  EXPECT_THAT(Exchange(server.port(), GetRequest("/health")),
              AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("Content-Type: application/json\r\n"),
                    HasSubstr("X-Content-Type-Options: nosniff\r\n"),
                    HasSubstr("Cache-Control: no-store\r\n"), HasSubstr("Content-Length: 11\r\n"),
                    HasSubstr("Connection: close\r\n"), EndsWith("\r\n\r\n{\"ok\":true}")));
  EXPECT_THAT(Exchange(server.port(), GetRequest("/ready")),
              AllOf(StartsWith("HTTP/1.1 503"), EndsWith("no\n")));
}

TEST(HttpServer, AnswersHeadWithoutABody) {
  HttpServer server({});
  server.Get("/health", Healthy);
  ASSERT_TRUE(server.Start().ok());
  EXPECT_THAT(Exchange(server.port(), "HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 200"), EndsWith("\r\n\r\n")));
}

TEST(HttpServer, HandsTheHandlerPathAndQuery) {
  HttpServer server({});
  server.Get("/q", [](const HttpRequest& request) {
    return HttpResponse{200, "text/plain", request.path + " " + request.query.find("a b")->second};
  });
  ASSERT_TRUE(server.Start().ok());
  EXPECT_THAT(Exchange(server.port(), GetRequest("/q?a%20b=c%26d&e=f")), EndsWith("/q c&d"));
}

TEST(HttpServer, RefusesOtherPathsAndMethods) {
  HttpServer server({});
  server.Get("/a.b", Healthy);
  ASSERT_TRUE(server.Start().ok());
  EXPECT_THAT(Exchange(server.port(), GetRequest("/axb")), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Exchange(server.port(), GetRequest("/a.b/")), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Exchange(server.port(), "POST /a.b HTTP/1.1\r\nHost: x\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 405"), HasSubstr("Allow: GET, HEAD\r\n")));
}

TEST(HttpServer, TurnsAnExceptionIntoStatus500WithoutItsText) {
  HttpServer server({});
  server.Get("/boom",
             [](const HttpRequest&) -> HttpResponse { throw std::runtime_error("inner"); });
  ASSERT_TRUE(server.Start().ok());
  testing::internal::CaptureStderr();
  const std::string answer = Exchange(server.port(), GetRequest("/boom"));
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("http_handler_failed"), HasSubstr("inner")));
  EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 500"), Not(HasSubstr("inner"))));
}

TEST(HttpServer, SaysWhichPortIsTaken) {
  HttpServer first({});
  ASSERT_TRUE(first.Start().ok());
  HttpOptions options;
  options.port = first.port();
  HttpServer second(options);
  const Status status = second.Start();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.message(), "cannot serve HTTP on 127.0.0.1 port " +
                                  std::to_string(first.port()) + ": Address already in use");
}

TEST(HttpServer, FreesThePortWhenItStops) {
  HttpServer first({});
  ASSERT_TRUE(first.Start().ok());
  HttpOptions options;
  options.port = first.port();
  Exchange(first.port(), GetRequest("/"));
  first.Stop();
  first.Stop();
  HttpServer second(options);
  EXPECT_TRUE(second.Start().ok());
}

TEST(HttpServer, ClosesWhenARequestDoesNotArriveInTimeHoweverItsBytesDrip) {
  HttpOptions options;
  options.timeout = milliseconds(300);
  HttpServer server(options);
  server.Get("/health", Healthy);
  ASSERT_TRUE(server.Start().ok());
  const UniqueFd fd = Connect(server.port());
  Send(fd, "GET /health HTTP/1.1\r\n");
  // Each drip comes well within the timeout, the request never ends: only a deadline closes it.
  char byte = 0;
  while (::recv(fd.get(), &byte, 1, MSG_DONTWAIT) < 0 && (errno == EAGAIN)) {
    Send(fd, "A: b\r\n");
    std::this_thread::sleep_for(milliseconds(20));
  }
  SUCCEED();
}

TEST(HttpServer, ClosesOnARequestThatIsTooLarge) {
  HttpOptions options;
  options.timeout = kForEver;
  options.max_request_bytes = 16 << 10;
  HttpServer server(options);
  server.Get("/health", Healthy);
  ASSERT_TRUE(server.Start().ok());
  std::string headers;
  for (int i = 0; i < 10'000; ++i) headers += "A" + std::to_string(i) + ": b\r\n";
  EXPECT_THAT(Exchange(server.port(), GetRequest("/health", headers)), Not(HasSubstr("200 OK")));
}

TEST(HttpServer, AnswersOnceWhateverRangesAreAskedFor) {
  HttpServer server({});
  server.Get("/metrics", [](const HttpRequest&) {
    return HttpResponse{200, "text/x", std::string(999, 'm')};
  });
  ASSERT_TRUE(server.Start().ok());
  std::string range = "Range: bytes=0-";
  while (range.size() < 8000) range += ",0-";
  const std::string answer = Exchange(server.port(), GetRequest("/metrics", range + "\r\n"));
  EXPECT_THAT(answer,
              AllOf(StartsWith("HTTP/1.1 200"), EndsWith("\r\n\r\n" + std::string(999, 'm'))));
}

TEST(HttpServer, GoesOnAnsweringWhileClientsStall) {
  HttpOptions options;
  options.threads = 2;
  options.timeout = milliseconds(200);
  HttpServer server(options);
  server.Get("/health", Healthy);
  ASSERT_TRUE(server.Start().ok());
  std::vector<UniqueFd> stalled(12);
  for (UniqueFd& fd : stalled) fd = Connect(server.port());
  EXPECT_THAT(Exchange(server.port(), GetRequest("/health")), StartsWith("HTTP/1.1 200"));
}

void ExpectHealthWithinASecond(int port) {
  const auto asked = std::chrono::steady_clock::now();
  EXPECT_THAT(Exchange(port, GetRequest("/health")), StartsWith("HTTP/1.1 200"));
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(1));
}

TEST(HttpServer, AnswersWithinASecondHoweverManyClientsSendNothingOrALittle) {
  HttpServer server({});
  server.Get("/health", Healthy);
  ASSERT_TRUE(server.Start().ok());
  for (const char* sent : {"", "GET /health HT"}) {
    std::vector<UniqueFd> stalled(100);
    for (UniqueFd& fd : stalled) {
      fd = Connect(server.port());
      Send(fd, sent);
    }
    ExpectHealthWithinASecond(server.port());
    EXPECT_GE(server.stats().connections, stalled.size());
  }
}

TEST(HttpServer, AnswersWithinASecondWhileClientsTakeNoAnswer) {
  HttpServer server({});
  std::atomic<size_t> made{0};
  server.Get("/health", Healthy);
  server.Get("/large", [&made](const HttpRequest&) {
    ++made;
    return HttpResponse{200, "text/plain", std::string(8 << 20, 'x')};  // more than a socket takes
  });
  ASSERT_TRUE(server.Start().ok());
  std::vector<UniqueFd> stalled(10);
  for (UniqueFd& fd : stalled) {
    fd = Connect(server.port(), 4096);
    Send(fd, GetRequest("/large"));
  }
  while (made < stalled.size()) std::this_thread::sleep_for(milliseconds(1));
  Exchange(server.port(), GetRequest("/health"));  // behind the last of them
  ExpectHealthWithinASecond(server.port());
  EXPECT_GE(server.stats().connections, stalled.size());
}

TEST(HttpServer, GivesTheOldestPlaceToANewClientWhenAllAreTaken) {
  HttpOptions options;
  options.timeout = kForEver;
  options.max_connections = 10;
  HttpServer server(options);
  server.Get("/health", Healthy);
  ASSERT_TRUE(server.Start().ok());
  std::vector<UniqueFd> stalled(30);
  for (UniqueFd& fd : stalled) fd = Connect(server.port());
  EXPECT_THAT(Exchange(server.port(), GetRequest("/health")), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(Receive(stalled[0]), "");
  Send(stalled[29], GetRequest("/health"));
  EXPECT_THAT(Receive(stalled[29]), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(server.stats().crowded_out, 21U);
  EXPECT_LE(server.stats().connections, 10U);
}

TEST(HttpServer, CountsWhomItClosedOn) {
  HttpOptions options;
  options.timeout = milliseconds(50);
  HttpServer server(options);
  ASSERT_TRUE(server.Start().ok());
  EXPECT_EQ(Exchange(server.port(), "GET / HTTP/1.1\r\n"), "");
  EXPECT_EQ(server.stats().slow, 1U);
  Exchange(server.port(), std::string(200'000, 'x'));
  EXPECT_EQ(server.stats().oversized, 1U);
  EXPECT_EQ(server.stats().crowded_out, 0U);
}

TEST(HttpServer, TakesOneMoreSegmentWhereAPathEndsInAStar) {
  HttpServer server({});
  server.Get("/a/*", [](const HttpRequest& request) {
    return HttpResponse{200, "text/plain", "any " + request.path};
  });
  server.Get("/a/own", [](const HttpRequest&) { return HttpResponse{200, "text/plain", "own"}; });
  ASSERT_TRUE(server.Start().ok());
  EXPECT_THAT(Exchange(server.port(), GetRequest("/a/4711")), EndsWith("any /a/4711"));
  EXPECT_THAT(Exchange(server.port(), GetRequest("/a/own")), EndsWith("\r\n\r\nown"));
  for (const char* path : {"/a", "/a/b/c", "/4711", "/"}) {
    EXPECT_THAT(Exchange(server.port(), GetRequest(path)), StartsWith("HTTP/1.1 404")) << path;
  }
}

TEST(HttpServer, RefusesAMethodThatThePathDoesNotHave) {
  HttpServer server({});
  Echo(&server);
  ASSERT_TRUE(server.Start().ok());
  EXPECT_THAT(Exchange(server.port(), GetRequest("/echo")),
              AllOf(StartsWith("HTTP/1.1 405"), HasSubstr("Allow: POST\r\n")));
}

TEST(HttpServer, SendsTheHeadersOfTheServerAndOfTheAnswer) {
  HttpOptions options;
  options.headers = {{"Referrer-Policy", "no-referrer"}};
  HttpServer server(options);
  server.Get("/", [](const HttpRequest&) {
    return HttpResponse{401, "text/plain", "", {{"WWW-Authenticate", "Bearer"}}};
  });
  ASSERT_TRUE(server.Start().ok());
  EXPECT_THAT(Exchange(server.port(), GetRequest("/")),
              AllOf(StartsWith("HTTP/1.1 401 Unauthorized\r\n"),
                    HasSubstr("Referrer-Policy: no-referrer\r\n"),
                    HasSubstr("WWW-Authenticate: Bearer\r\n")));
  EXPECT_THAT(Exchange(server.port(), GetRequest("/nothing")), HasSubstr("Referrer-Policy"));
}

TEST(HttpServer, RefusesInJsonWhateverItQuotes) {
  EXPECT_EQ(HttpError(400, "bad", "a\"b\n\x1b").body,
            R"({"error":{"code":"bad","message":"a\"b\n\u001b"}})"
            "\n");
}

TEST(HttpServer, RefusesWhatIsNoRequest) {
  HttpServer server({});
  ASSERT_TRUE(server.Start().ok());
  for (const std::string text : {"hello\r\n\r\n", "GET /\r\n\r\n", "\r\n\r\n"}) {
    EXPECT_THAT(Exchange(server.port(), text), StartsWith("HTTP/1.1 400")) << text;
  }
}

TEST(HttpServer, DoesNotReadTheBodyOfARequestThatTakesNone) {
  HttpServer server({});
  server.Get("/health", Healthy);
  ASSERT_TRUE(server.Start().ok());
  for (const std::string method : {"GET", "POST"}) {
    EXPECT_THAT(Exchange(server.port(), method + " /health HTTP/1.1\r\nHost: x\r\n"
                                                 "Content-Length: 1000000000\r\n\r\n"),
                StartsWith(method == "GET" ? "HTTP/1.1 200" : "HTTP/1.1 405"));
  }
}

TEST(HttpServer, StopsWithoutWaitingForStalledClients) {
  HttpOptions options;
  options.threads = 2;
  options.timeout = kForEver;
  HttpServer server(options);
  ASSERT_TRUE(server.Start().ok());
  std::vector<UniqueFd> stalled(12);
  for (UniqueFd& fd : stalled) fd = Connect(server.port());
  server.Stop();
}

TEST(HttpServer, FinishesTheHandlerThatRunsWhenItStops) {
  HttpServer server({});
  std::promise<void> entered;
  std::promise<void> release;
  server.Get("/slow", [&](const HttpRequest& request) {
    entered.set_value();
    release.get_future().wait();
    return Healthy(request);
  });
  ASSERT_TRUE(server.Start().ok());
  const UniqueFd fd = Connect(server.port());
  Send(fd, GetRequest("/slow"));
  entered.get_future().wait();
  std::thread stopper([&] { server.Stop(); });
  release.set_value();
  EXPECT_THAT(Receive(fd), StartsWith("HTTP/1.1 200"));
  stopper.join();
}

TEST(HttpServer, AnswersManyClientsAtOnce) {
  HttpServer server({});
  server.Get("/health", Healthy);
  ASSERT_TRUE(server.Start().ok());
  std::vector<std::future<std::string>> answers(50);
  for (auto& answer : answers) {
    answer = std::async(std::launch::async,
                        [&] { return Exchange(server.port(), GetRequest("/health")); });
  }
  for (auto& answer : answers) EXPECT_THAT(answer.get(), StartsWith("HTTP/1.1 200"));
}

}  // namespace
}  // namespace sluice
