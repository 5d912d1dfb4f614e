#include "base/escape.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

using namespace std::string_literals;  // NOLINT(google-build-using-namespace)

TEST(Escape, LeavesPlainTextAlone) {
  EXPECT_EQ(Escaped(""), "");
  EXPECT_EQ(Escaped("tenant/acme/device/d-1"), "tenant/acme/device/d-1");
  EXPECT_EQ(Escaped("Zürich 東京 😀"), "Zürich 東京 😀");
}

TEST(Escape, WritesQuotesBackslashesAndControlsAsJsonDoes) {
  EXPECT_EQ(Escaped("a\"b\\c"), R"(a\"b\\c)");
  EXPECT_EQ(Escaped("\b\f\n\r\t"), R"(\b\f\n\r\t)");
  EXPECT_EQ(Escaped("\0\x1b[31m\x7f"s), R"(\u0000\u001b[31m\u007f)");
}

TEST(Escape, DisarmsC1LineSeparatorsAndBidirectionalControls) {
  EXPECT_EQ(Escaped("\u0085\u009b"), R"(\u0085\u009b)");
  EXPECT_EQ(Escaped("\u00a0"), "\u00a0");
  EXPECT_EQ(Escaped("\u2028\u2029"), R"(\u2028\u2029)");
  EXPECT_EQ(Escaped("\u061c\u200e\u200f"), R"(\u061c\u200e\u200f)");
  EXPECT_EQ(Escaped("a\u202eb\u2066c\u2069d"), R"(a\u202eb\u2066c\u2069d)");
}

TEST(Escape, ReplacesEachBadByteAndKeepsTheGoodOnesAround) {
  EXPECT_EQ(Escaped("a\xff\xfe b"), R"(a\ufffd\ufffd b)");
  EXPECT_EQ(Escaped("\xc3"), R"(\ufffd)");
  EXPECT_EQ(Escaped("\xe2\x82"), R"(\ufffd\ufffd)");
  EXPECT_EQ(Escaped("\xc3(é"), R"(\ufffd(é)");
}

TEST(Escape, Appends) {
  std::string out = "x=";
  AppendEscaped("\n", &out);
  EXPECT_EQ(out, R"(x=\n)");
}

TEST(Utf8, AcceptsTheFirstAndLastOfEveryLength) {
  for (const std::string& text :
       {""s, "\0"s, "\x7f"s, "\xc2\x80"s, "\xdf\xbf"s, "\xe0\xa0\x80"s, "\xed\x9f\xbf"s,
        "\xee\x80\x80"s, "\xef\xbf\xbf"s, "\xf0\x90\x80\x80"s, "\xf4\x8f\xbf\xbf"s}) {
    EXPECT_TRUE(IsValidUtf8(text)) << ToHex(text);
  }
}

TEST(Utf8, RefusesOverlongSurrogatesTooLargeAndTorn) {
  for (const std::string& text :
       {"\x80"s, "\xbf"s, "\xc0\x80"s, "\xc1\xbf"s, "\xe0\x9f\xbf"s, "\xed\xa0\x80"s,
        "\xed\xbf\xbf"s, "\xf0\x8f\xbf\xbf"s, "\xf4\x90\x80\x80"s, "\xf5\x80\x80\x80"s, "\xff"s,
        "\xc3"s, "\xe2\x82"s, "\xf0\x9f\x98"s, "\xc3("s, "\xe2\x28\xa1"s}) {
    EXPECT_FALSE(IsValidUtf8(text)) << ToHex(text);
  }
}

TEST(Utf8, FindsABadByteAtEveryPlace) {
  for (size_t i = 0; i < 40; ++i) {
    std::string text(40, 'a');
    text[i] = '\xff';
    EXPECT_FALSE(IsValidUtf8(text)) << i;
    text.replace(i, 1, "é");
    EXPECT_TRUE(IsValidUtf8(text)) << i;
  }
}

TEST(Hex, IsLowerCaseAndTakesEveryByte) {
  EXPECT_EQ(ToHex(""), "");
  EXPECT_EQ(ToHex("a\x00\x0f\xf0\xff"s), "61000ff0ff");
}

}  // namespace
}  // namespace sluice
