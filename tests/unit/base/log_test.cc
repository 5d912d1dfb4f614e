#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace sluice {
namespace {

using testing::EndsWith;
using testing::MatchesRegex;
using testing::SizeIs;

constexpr int64_t kNow = 1'795'341'600'123'456;  // 2026-11-22T10:00:00.123456Z

std::string Text(LogFields fields) {
  return FormatLogLine(LogFormat::kText, LogLevel::kInfo, "s", "spool_opened", fields, kNow);
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// What `log` writes to standard error.
template <typename F>
std::vector<std::string> Captured(F log) {
  testing::internal::CaptureStderr();
  log();
  return Lines(testing::internal::GetCapturedStderr());
}

TEST(LogText, HasTimeLevelEventAndFields) {
  EXPECT_EQ(Text({{"dir", "/x"}, {"records", 12}}),
            R"(2026-11-22T10:00:00.123Z INFO spool_opened dir="/x" records=12)");
}

TEST(LogText, WritesEveryTypeOfValue) {
  EXPECT_THAT(Text({{"yes", true}, {"no", false}, {"n", -5}, {"r", 0.25}}),
              EndsWith("yes=true no=false n=-5 r=0.25"));
  EXPECT_THAT(Text({{"max", std::numeric_limits<uint64_t>::max()}, {"s", std::string("v")}}),
              EndsWith(R"(max=18446744073709551615 s="v")"));
}

TEST(LogText, CannotBeMadeToStartALineOrMoveACursor) {
  EXPECT_THAT(Text({{"topic", "a\n2026 INFO forged\x1b[2J\" x=\"\u202e"}}),
              EndsWith(R"(topic="a\n2026 INFO forged\u001b[2J\" x=\"\u202e")"));
}

TEST(LogText, WritesTimesBefore1970) {
  EXPECT_EQ(FormatLogLine(LogFormat::kText, LogLevel::kError, "s", "e", {}, -1),
            "1969-12-31T23:59:59.999Z ERROR e");
}

TEST(LogJson, IsOneObjectThatAParserReadsBack) {
  const std::string line = FormatLogLine(
      LogFormat::kJson, LogLevel::kWarning, "in\"gest", "chunk_retried",
      {{"topic", "a\n\xff"}, {"n", 7}, {"ok", false}, {"s", 1.5}, {"nan", NAN}}, kNow);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["ts"], "2026-11-22T10:00:00.123Z");
  EXPECT_EQ(json["level"], "WARNING");
  EXPECT_EQ(json["service"], "in\"gest");
  EXPECT_EQ(json["event"], "chunk_retried");
  EXPECT_EQ(json["topic"], "a\n\ufffd");
  EXPECT_EQ(json["n"], 7);
  EXPECT_EQ(json["ok"], false);
  EXPECT_EQ(json["s"], 1.5);
  EXPECT_EQ(json["nan"], "nan");
}

TEST(Log, WritesToStandardErrorFromTheMinimumLevelOn) {
  ConfigureLog(LogLevel::kWarning, LogFormat::kText, "sluice");
  const auto lines = Captured([] {
    LogInfo("too_quiet");
    LogWarning("loud_enough", {{"n", 1}});
  });
  ConfigureLog(LogLevel::kInfo, LogFormat::kText, "sluice");
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], MatchesRegex("20..-..-..T..:..:..\\....Z WARNING loud_enough n=1"));
}

TEST(Log, UsesTheConfiguredFormatAndService) {
  ConfigureLog(LogLevel::kDebug, LogFormat::kJson, "gate");
  const auto lines = Captured([] { LogDebug("detail"); });
  ConfigureLog(LogLevel::kInfo, LogFormat::kText, "sluice");
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(nlohmann::json::parse(lines[0])["service"], "gate");
}

TEST(Log, LeavesOutWhatExceedsTenLinesASecondOfAnEventAndSaysHowMany) {
  const int64_t first_second = SystemClock().Monotonic() / 1'000'000;
  int64_t logged = 0;
  // Up to and including the first line of a later second, which reports what was left out.
  const auto lines = Captured([&] {
    for (int i = 0; i < 500; ++i, ++logged) LogInfo("flood");
    while (SystemClock().Monotonic() / 1'000'000 < first_second + 2) std::this_thread::yield();
    LogInfo("flood");
    ++logged;
  });
  const int64_t seconds = SystemClock().Monotonic() / 1'000'000 - first_second + 1;
  EXPECT_LE(std::ssize(lines), 10 * seconds);
  int64_t suppressed = 0;
  for (const std::string& line : lines) {
    const size_t at = line.find("suppressed=");
    if (at != std::string::npos) suppressed += std::stoll(line.substr(at + 11));
  }
  EXPECT_GT(suppressed, 0);
  EXPECT_EQ(std::ssize(lines) + suppressed, logged);
}

TEST(Log, CountsEachEventNameByItself) {
  const auto lines = Captured([] {
    for (int i = 0; i < 1000; ++i) LogInfo("noisy");
    LogInfo("quiet");
  });
  ASSERT_FALSE(lines.empty());
  EXPECT_THAT(lines.back(), EndsWith("INFO quiet"));
}

TEST(Log, NeverLeavesOutAnError) {
  const auto lines = Captured([] {
    for (int i = 0; i < 100; ++i) LogError("broken");
  });
  EXPECT_THAT(lines, SizeIs(100));
}

TEST(Log, KeepsLinesOfManyThreadsWhole) {
  const auto lines = Captured([] {
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([] {
        for (int i = 0; i < 50; ++i) LogError("whole", {{"text", std::string(200, 'x')}});
      });
    }
  });
  ASSERT_THAT(lines, SizeIs(200));
  for (const std::string& line : lines) {
    EXPECT_THAT(line, EndsWith("ERROR whole text=\"" + std::string(200, 'x') + "\""));
  }
}

}  // namespace
}  // namespace sluice
