#include "loadtest/ack_log.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

namespace sluice::loadtest {
namespace {

std::string Contents(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(AckLog, AppendsALinePerMessageWithTheKindOfABadOne) {
  const std::string path = testing::TempDir() + "ack_log_test." + std::to_string(::getpid());
  std::remove(path.c_str());
  const std::vector<Sender> senders = {{"t1", "d1", "s"}, {"t2", "d2", "s"}};
  for (int i = 0; i < 2; ++i) {
    auto log = AckLog::Open(path, senders);
    ASSERT_TRUE(log.ok());
    log->Acknowledged(0, 41, Kind::kGood);
    log->Acknowledged(1, 42, Kind::kNoToken);
    EXPECT_TRUE(log->Flush().ok());
  }
  EXPECT_EQ(Contents(path), "t1 d1 41\nt2 d2 42 no_token\nt1 d1 41\nt2 d2 42 no_token\n");
  std::remove(path.c_str());
}

TEST(AckLog, DoesNothingWithoutAPathAndFailsOnABadOne) {
  auto none = AckLog::Open("", {});
  ASSERT_TRUE(none.ok());
  none->Acknowledged(0, 1, Kind::kGood);
  EXPECT_TRUE(none->Flush().ok());
  EXPECT_FALSE(AckLog::Open("/nowhere/at/all", {}).ok());
}

}  // namespace
}  // namespace sluice::loadtest
