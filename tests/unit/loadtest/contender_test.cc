#include "loadtest/contender.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <thread>

#include "tests/support/sluice_stack.h"
#include "tests/support/temp_dir.h"

namespace sluice::loadtest {
namespace {

using sluice::testing::Eventually;
using sluice::testing::ReadFile;
using sluice::testing::TempDir;
using sluice::testing::WriteFile;
using std::chrono::seconds;
using ::testing::HasSubstr;

const std::string kShipped = std::string(SLUICE_SOURCE_DIR) + "/loadtest/peers";

class ContenderProcessTest : public ::testing::Test {
 protected:
  std::unique_ptr<ContenderProcess> Start(const std::string& script) {
    WriteFile(directory_.Path("run"), "#!/bin/sh\n" + script);
    std::filesystem::permissions(directory_.Path("run"), std::filesystem::perms::owner_all);
    Contender contender;
    contender.directory = directory_.path();
    auto started =
        ContenderProcess::Start(contender, {{"WORK", directory_.path()}}, directory_.Path("log"));
    if (!started.ok()) ADD_FAILURE() << started.message();
    return started.ok() ? *std::move(started) : nullptr;
  }
  std::string Log() const { return ReadFile(directory_.Path("log")); }

  TempDir directory_;
};

TEST(Contender, IsDescribedForEveryDirectoryThatIsShipped) {
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kShipped)) {
    if (!entry.is_directory()) continue;
    ++found;
    const Result<Contender> contender = LoadContender(kShipped, entry.path().filename());
    ASSERT_TRUE(contender.ok()) << contender.message();
    EXPECT_FALSE(contender->about.empty()) << contender->name;
    EXPECT_EQ(::access((contender->directory + "/run").c_str(), X_OK), 0) << contender->name;
  }
  EXPECT_GE(found, 8);
}

TEST(Contender, IsRefusedWhenItsDescriptionIsMissingOrWrong) {
  const TempDir peers;
  EXPECT_EQ(LoadContender(peers.path(), "nobody").status().code(), ErrorCode::kNotFound);
  std::filesystem::create_directory(peers.Path("odd"));
  for (const char* const text : {"{", "{}", R"({"about": "x", "share": 0})", R"({"about": 1})"}) {
    WriteFile(peers.Path("odd/contender.json"), text);
    const Result<Contender> contender = LoadContender(peers.path(), "odd");
    ASSERT_FALSE(contender.ok()) << text;
    EXPECT_EQ(contender.status().code(), ErrorCode::kInvalidArgument) << text;
  }
}

TEST_F(ContenderProcessTest, RunsInItsDirectoryWithWhatItIsTold) {
  const auto process = Start("echo \"$WORK is $PWD\"\n");
  ASSERT_NE(process, nullptr);
  EXPECT_TRUE(Eventually([&] { return !process->Running(); }));
  EXPECT_EQ(Log(), directory_.path() + " is " + directory_.path() + "\n");
}

TEST_F(ContenderProcessTest, IsAskedToEndBeforeItIsKilled) {
  const auto process =
      Start("trap 'echo ended; exit' TERM\necho up\nwhile :; do sleep 0.1; done\n");
  ASSERT_NE(process, nullptr);
  ASSERT_TRUE(Eventually([&] { return Log() == "up\n"; }));
  process->Stop(seconds(20));
  EXPECT_THAT(Log(), HasSubstr("ended"));
}

TEST_F(ContenderProcessTest, TakesWhatItStartedWithIt) {
  const auto process = Start("trap '' TERM\nsleep 1000 &\necho $!\nwait\n");
  ASSERT_NE(process, nullptr);
  ASSERT_TRUE(Eventually([&] { return Log().find('\n') != std::string::npos; }));
  const pid_t child = std::stoi(Log());
  process->Stop(std::chrono::milliseconds(0));
  // Its parent is dead, so whoever took it in may take a moment to wait for it.
  EXPECT_TRUE(Eventually([&] {
    const std::string state = ReadFile("/proc/" + std::to_string(child) + "/stat");
    return state.empty() || state.find(") Z ") != std::string::npos;
  }));
}

TEST(ContenderProcess, SaysWhenThereIsNothingToRun) {
  const TempDir directory;
  Contender contender;
  contender.directory = directory.path();
  EXPECT_FALSE(ContenderProcess::Start(contender, {}, directory.Path("log")).ok());
}

}  // namespace
}  // namespace sluice::loadtest
