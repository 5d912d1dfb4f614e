// HttpServer: bodies of requests, and answers that come later.
#include <gmock/gmock.h>

#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/unit/base/http_text.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

TEST(HttpServerBody, HandsTheHandlerTheBodyOfAPostAndItsHeaders) {
  HttpServer server({});
  Echo(&server);
  ASSERT_TRUE(server.Start().ok());
  EXPECT_THAT(Exchange(server.port(), PostRequest("hello", "X-Shout: Loud\r\n")),
              AllOf(StartsWith("HTTP/1.1 200"), EndsWith("\r\n\r\nLoud hello")));
  EXPECT_THAT(Exchange(server.port(), PostRequest("")), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServerBody, WaitsForABodyThatComesInPieces) {
  HttpServer server({});
  Echo(&server);
  ASSERT_TRUE(server.Start().ok());
  const std::string body(60'000, 'b');
  const std::string request = PostRequest(body);
  const UniqueFd fd = Connect(server.port());
  // The head alone first: whoever has it must come back for the rest.
  const size_t head = request.size() - body.size();
  Send(fd, request.substr(0, head));
  std::this_thread::sleep_for(milliseconds(50));
  Send(fd, request.substr(head, 20'000));
  Send(fd, request.substr(head + 20'000));
  EXPECT_THAT(Receive(fd), AllOf(StartsWith("HTTP/1.1 200"), EndsWith(" " + body)));
}

TEST(HttpServerBody, ClosesWhenABodyDoesNotArriveInTimeHoweverItsBytesDrip) {
  HttpOptions options;
  options.timeout = milliseconds(300);
  HttpServer server(options);
  Echo(&server);
  ASSERT_TRUE(server.Start().ok());
  const UniqueFd fd = Connect(server.port());
  Send(fd, "POST /echo HTTP/1.1\r\nContent-Length: 60000\r\n\r\n");
  char byte = 0;
  while (::recv(fd.get(), &byte, 1, MSG_DONTWAIT) < 0 && (errno == EAGAIN)) {
    Send(fd, "b");
    std::this_thread::sleep_for(milliseconds(20));
  }
  EXPECT_EQ(server.stats().slow, 1U);
}

TEST(HttpServerBody, RefusesABodyThatIsTooLargeAndTheClientHearsWhy) {
  HttpOptions options;
  options.max_body_bytes = 1000;
  HttpServer server(options);
  Echo(&server);
  ASSERT_TRUE(server.Start().ok());
  EXPECT_THAT(Exchange(server.port(), PostRequest(std::string(1000, 'b'))),
              StartsWith("HTTP/1.1 200"));
  for (const size_t size : {1001U, 200'000U}) {
    EXPECT_THAT(Exchange(server.port(), PostRequest(std::string(size, 'b'))),
                AllOf(StartsWith("HTTP/1.1 413"), HasSubstr("\"too_large\"")));
  }
}

TEST(HttpServerBody, LetsAClientThatItHasRefusedSendToTheEnd) {
  HttpServer server({});
  Echo(&server);
  ASSERT_TRUE(server.Start().ok());
  const UniqueFd fd = Connect(server.port());
  Send(fd, "POST /echo HTTP/1.1\r\nContent-Length: 100000\r\n\r\n");
  char byte = 0;
  ASSERT_EQ(::recv(fd.get(), &byte, 1, MSG_PEEK), 1);
  const std::string piece(1000, 'b');
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(::send(fd.get(), piece.data(), piece.size(), MSG_NOSIGNAL), 1000) << i;
  }
  EXPECT_THAT(Receive(fd), StartsWith("HTTP/1.1 413"));
}

TEST(HttpServerBody, RefusesABodyWithoutALengthThatCanBeRead) {
  HttpServer server({});
  Echo(&server);
  ASSERT_TRUE(server.Start().ok());
  const std::string post = "POST /echo HTTP/1.1\r\nHost: x\r\n";
  EXPECT_THAT(Exchange(server.port(), post + "\r\n"), StartsWith("HTTP/1.1 411"));
  EXPECT_THAT(Exchange(server.port(), post + "Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n"),
              StartsWith("HTTP/1.1 411"));
  EXPECT_THAT(Exchange(server.port(), post + "Transfer-Encoding: chunked\r\n"
                                             "Content-Length: 1\r\n\r\nb"),
              StartsWith("HTTP/1.1 411"));
  for (const std::string length : {"-1", "many", "1x", "0x1", "1 1"}) {
    EXPECT_THAT(Exchange(server.port(), post + "Content-Length: " + length + "\r\n\r\n"),
                StartsWith("HTTP/1.1 400"))
        << length;
  }
  EXPECT_THAT(Exchange(server.port(), post + "Content-Length: 99999999999999999999999\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
}

TEST(HttpServerBody, AnswersOthersHoweverManyWaitForAnAnswerThatComesLater) {
  HttpOptions options;
  options.threads = 2;
  options.timeout = milliseconds(200);
  HttpServer server(options);
  server.Get("/health", Healthy);
  std::mutex mutex;
  std::vector<HttpReply> replies;
  server.Handle("GET", "/later", [&](const HttpRequest&, const HttpReply& reply) {
    const std::scoped_lock lock(mutex);
    replies.push_back(reply);
  });
  ASSERT_TRUE(server.Start().ok());
  std::vector<UniqueFd> waiting(20);
  for (UniqueFd& fd : waiting) {
    fd = Connect(server.port());
    Send(fd, GetRequest("/later"));
  }
  const auto all_asked = [&] {
    const std::scoped_lock lock(mutex);
    return replies.size() == waiting.size();
  };
  while (!all_asked()) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_THAT(Exchange(server.port(), GetRequest("/health")), StartsWith("HTTP/1.1 200"));
  // Whoever waits for us is not held to the deadline of those we wait for.
  std::this_thread::sleep_for(2 * options.timeout);
  std::thread answering([&] {
    for (const HttpReply& reply : replies) reply({200, "text/plain", "late"});
  });
  for (const UniqueFd& fd : waiting) EXPECT_THAT(Receive(fd), EndsWith("\r\n\r\nlate"));
  answering.join();
}

TEST(HttpServerBody, AwaitsTheAnswersThatComeLaterWhenItStops) {
  HttpServer server({});
  std::promise<HttpReply> asked;
  server.Handle("GET", "/later",
                [&](const HttpRequest&, const HttpReply& reply) { asked.set_value(reply); });
  ASSERT_TRUE(server.Start().ok());
  const UniqueFd fd = Connect(server.port());
  Send(fd, GetRequest("/later"));
  const HttpReply reply = asked.get_future().get();
  std::thread stopper([&] { server.Stop(); });
  reply({200, "text/plain", "late"});
  EXPECT_THAT(Receive(fd), EndsWith("late"));
  stopper.join();
}

}  // namespace
}  // namespace sluice
