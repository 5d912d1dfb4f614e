// The benchmark itself, small: that it measures, and what it refuses.
#include <gmock/gmock.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;

const std::string kShipped = std::string(SLUICE_SOURCE_DIR) + "/loadtest/peers";

class BenchTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    server_ = new PostgresServer({.settings = {"track_commit_timestamp = on"}});
    stack_ = new SluiceStack({}, server_);
    const std::string sql = stack_->Path("register.sql");
    testing::Run({.argv = {BinaryPath("sluice-loadtest"), "register", "--devices", "10"},
                  .stdout_path = sql});
    stack_->Sql(ReadFile(sql));
  }
  static void TearDownTestSuite() {
    delete stack_;
    delete server_;
  }

  // How it ended; what it said is Said(), since the last time.
  static int Bench(const std::string& peers, const std::vector<std::string>& arguments) {
    std::vector<std::string> argv = {BinaryPath("sluice-loadtest"),
                                     "bench",
                                     "--peers",
                                     peers,
                                     "--work",
                                     stack_->Path("work"),
                                     "--store",
                                     stack_->Path("store"),
                                     "--port",
                                     std::to_string(stack_->broker().port()),
                                     "--broker-pid",
                                     std::to_string(stack_->broker().pid()),
                                     "--postgres-pid",
                                     std::to_string(server_->pid()),
                                     "--json",
                                     stack_->Path("json"),
                                     "--html",
                                     stack_->Path("html"),
                                     "--devices",
                                     "10",
                                     "--rate",
                                     "1000",
                                     "--for",
                                     "1",
                                     "--runs",
                                     "1"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    WriteFile(stack_->Path("said"), "");
    const auto ended = testing::Run({.argv = argv,
                                     .env = {{"DATABASE_URL", server_->Url(stack_->database())}},
                                     .stdout_path = stack_->Path("said"),
                                     .stderr_path = stack_->Path("said")},
                                    std::chrono::seconds(200));
    return ended ? ended->code : -1;
  }
  static std::string Said() { return ReadFile(stack_->Path("said")); }

  static inline PostgresServer* server_ = nullptr;
  static inline SluiceStack* stack_ = nullptr;
};

TEST_F(BenchTest, MeasuresTheBaselinesAndSluiceOnTheSameMessages) {
  ASSERT_EQ(Bench(kShipped, {"paho", "copy", "sluice", "--empty-the-tables"}), 0) << Said();
  const nlohmann::json bench = nlohmann::json::parse(ReadFile(stack_->Path("json")));
  for (const auto& contender : bench["contenders"]) {
    SCOPED_TRACE(contender.dump());
    EXPECT_EQ(contender["verdict"], "all there");
    ASSERT_EQ(contender["runs"].size(), 1U);
    EXPECT_GT(contender["runs"][0]["consumer"], 0);
    EXPECT_GT(contender["runs"][0]["messages_per_second"], 0);
    if (contender["name"] != "copy") {
      EXPECT_GT(contender["runs"][0]["broker"], 0);
    }
    if (contender["name"] != "paho") {
      EXPECT_GT(contender["runs"][0]["database"], 0);
    }
  }
  EXPECT_EQ(bench["contenders"].size(), 3U);
  EXPECT_EQ(bench["ratios"].size(), 2U);
  EXPECT_THAT(ReadFile(stack_->Path("html")), HasSubstr("\"kind\":\"bench\""));
  // What the last one wrote is still there, and it was the daemon.
  EXPECT_EQ(stack_->Count("telemetry"), 2000);
  EXPECT_GT(stack_->Count("ingest_ledger"), 0);
}

TEST_F(BenchTest, TouchesNoTableWithoutBeingTold) {
  stack_->Sql(
      "INSERT INTO telemetry (time, tenant_id, device_id, site_id)"
      " VALUES (now(), 'orchard', 'probe-7', 'north')");
  const int64_t before = stack_->Count("telemetry");
  EXPECT_EQ(Bench(kShipped, {"paho"}), 1);
  EXPECT_THAT(Said(), HasSubstr("--empty-the-tables"));
  EXPECT_EQ(stack_->Count("telemetry"), before);
}

TEST_F(BenchTest, ReportsAContenderThatDoesNotStart) {
  const std::string peer = stack_->Path("peers/lame");
  std::filesystem::create_directories(peer);
  WriteFile(peer + "/contender.json", R"({"about": "ends at once"})");
  WriteFile(peer + "/run", "#!/bin/sh\nexit 1\n");
  std::filesystem::permissions(peer + "/run", std::filesystem::perms::owner_all);
  EXPECT_EQ(Bench(stack_->Path("peers"), {"lame", "--empty-the-tables"}), 1) << Said();
  const nlohmann::json bench = nlohmann::json::parse(ReadFile(stack_->Path("json")));
  EXPECT_EQ(bench["contenders"][0]["failed"], true);
  EXPECT_THAT(Said(), HasSubstr("lame: did not subscribe"));
}

}  // namespace
}  // namespace sluice::testing
