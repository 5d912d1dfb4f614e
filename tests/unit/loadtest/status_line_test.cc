#include "loadtest/status_line.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace sluice::loadtest {
namespace {

TEST(ProgressBar, FillsUpAndStopsAtTheEnd) {
  EXPECT_EQ(ProgressBar(0), "[....................]   0 %");
  EXPECT_EQ(ProgressBar(0.25), "[#####...............]  25 %");
  EXPECT_EQ(ProgressBar(1), "[####################] 100 %");
  EXPECT_EQ(ProgressBar(1.5), ProgressBar(1));
}

TEST(StatusLine, WritesLineByLineWhereThereIsNoTerminal) {
  char* text = nullptr;
  size_t size = 0;
  std::FILE* const file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  {
    StatusLine line(file);
    EXPECT_FALSE(line.terminal());
    line.Show("one");
    line.Show(std::string(200, 'x'));
  }
  std::rewind(file);
  ASSERT_GE(::getline(&text, &size, file), 0);
  EXPECT_STREQ(text, "one\n");
  ASSERT_GE(::getline(&text, &size, file), 0);
  EXPECT_EQ(std::string(text), std::string(200, 'x') + "\n");
  EXPECT_EQ(::getline(&text, &size, file), -1);
  std::free(text);
  std::fclose(file);
}

}  // namespace
}  // namespace sluice::loadtest
