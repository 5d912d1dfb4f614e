#include "auth/pki/broker_process.h"

#include <gmock/gmock.h>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace sluice {
namespace {

using sluice::testing::Process;
using sluice::testing::TempDir;
using sluice::testing::WriteFile;
using ::testing::HasSubstr;

TEST(BrokerProcess, RefusesAFileThatIsMissingOrHoldsNoNumber) {
  const TempDir directory;
  EXPECT_EQ(TellBrokerToReload(directory.Path("none")).code(), ErrorCode::kNotFound);
  for (const char* text : {"", "abc", "0", "-1", "12 13", "99999999999"}) {
    WriteFile(directory.Path("pid"), text);
    EXPECT_FALSE(TellBrokerToReload(directory.Path("pid")).ok()) << text;
  }
}

TEST(BrokerProcess, LeavesAProcessAloneThatIsNoMosquitto) {
  const TempDir directory;
  const auto other = Process::Start({.argv = {"sleep", "60"}});
  WriteFile(directory.Path("pid"), std::to_string(other->pid()) + "\n");
  const Status status = TellBrokerToReload(directory.Path("pid"));
  EXPECT_THAT(status.message(), HasSubstr("not a running mosquitto"));
  EXPECT_TRUE(other->Running());
}

TEST(BrokerProcess, SaysThatAProcessIsGone) {
  const TempDir directory;
  const auto other = Process::Start({.argv = {"true"}});
  ASSERT_TRUE(other->Wait(std::chrono::seconds(30)).has_value());
  WriteFile(directory.Path("pid"), std::to_string(other->pid()) + "\n");
  EXPECT_EQ(TellBrokerToReload(directory.Path("pid")).code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace sluice
