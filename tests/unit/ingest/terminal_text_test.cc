#include "ingest/commands/terminal_text.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(TerminalText, LeavesQuotesAsTheyAre) {
  EXPECT_EQ(TerminalText(""), "");
  EXPECT_EQ(TerminalText(R"(server at "db", role "sluice")"), R"(server at "db", role "sluice")");
  EXPECT_EQ(TerminalText(R"(")"), R"(")");
}

TEST(TerminalText, EscapesWhatATerminalWouldHeedOrCouldNotShow) {
  EXPECT_EQ(TerminalText("\x1b[2J\"\r\n\x07"), R"(\u001b[2J"\r\n\u0007)");
  EXPECT_EQ(TerminalText("\u009b\"\u202e\u2066"), R"(\u009b"\u202e\u2066)");
  EXPECT_EQ(TerminalText("\"\xff\"\xc3"), R"("\ufffd"\ufffd)");
  EXPECT_EQ(TerminalText(R"(\u001b)"), R"(\\u001b)") << "what only looks like an escape";
}

}  // namespace
}  // namespace sluice
