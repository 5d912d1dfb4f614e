#include <gtest/gtest.h>

#include "ingest/housekeeper.h"

namespace sluice {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

class AppSettings : public testing::Test {
 protected:
  void SetUp() override {
    auto loaded = LoadSettings([](const char* /*name*/) { return nullptr; });
    ASSERT_TRUE(loaded.ok());
    defaults_ = *loaded;
  }

  Settings defaults_;
  RuntimeSettings runtime_;
};

TEST_F(AppSettings, SetWhatMayChangeWhileTheDaemonRuns) {
  ApplyAppSettings({{"MAX_PAYLOAD_BYTES", "1000"},
                    {"RATE_LIMIT_RPS", "2.5"},
                    {"RATE_LIMIT_BURST", "7"},
                    {"STORE_REJECTS", "0"}},
                   defaults_, &runtime_);
  EXPECT_EQ(runtime_.max_payload_bytes, 1000U);
  EXPECT_EQ(runtime_.rate_limit_rps, 2.5);
  EXPECT_EQ(runtime_.rate_limit_burst, 7);
  EXPECT_FALSE(runtime_.store_rejects);
}

TEST_F(AppSettings, FallBackToTheEnvironmentWhenTheRowIsGone) {
  defaults_.rate_limit_rps = 3;
  ApplyAppSettings({{"RATE_LIMIT_RPS", "9"}}, defaults_, &runtime_);
  EXPECT_EQ(runtime_.rate_limit_rps, 9);
  ApplyAppSettings({}, defaults_, &runtime_);
  EXPECT_EQ(runtime_.rate_limit_rps, 3);
}

TEST_F(AppSettings, LeaveOutAValueThatWillNotDoAndTakeTheOthers) {
  ApplyAppSettings({{"RATE_LIMIT_RPS", "fast"},
                    {"RATE_LIMIT_BURST", "-1"},
                    {"MAX_PAYLOAD_BYTES", ""},
                    {"STORE_REJECTS", "0"}},
                   defaults_, &runtime_);
  EXPECT_EQ(runtime_.rate_limit_rps, 5);
  EXPECT_EQ(runtime_.rate_limit_burst, 20);
  EXPECT_EQ(runtime_.max_payload_bytes, 8192U);
  EXPECT_FALSE(runtime_.store_rejects);
}

TEST_F(AppSettings, ChangeNothingElse) {
  EXPECT_NO_FATAL_FAILURE(ApplyAppSettings(
      {{"BATCH_SIZE", "1"}, {"PG_PASS", "x"}, {"theme", "dark"}}, defaults_, &runtime_));
  EXPECT_EQ(runtime_.rate_limit_rps, 5);
}

}  // namespace
}  // namespace sluice
