// The sequence of docs/operations.md, Backup and restore, with pg_dump and pg_restore: what was
// committed after the backup comes out of the spool again, everything once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/publisher.h"
#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;

constexpr const char* kTopic = "tenant/orchard/device/probe-7/telemetry";

void RunTool(const SluiceStack& stack, const std::vector<std::string>& argv) {
  const std::string said = stack.Path("tool.log");
  const auto ended = Run({.argv = argv, .stdout_path = said, .stderr_path = said});
  ASSERT_TRUE(ended && ended->code == 0) << argv.front() << ": " << ReadFile(said);
}

TEST(Backup, TakenUnderLoadAndRestoredGetsTheRestFromTheSpool) {
  SluiceStack stack;
  stack.Register({});
  stack.Start();
  std::atomic<bool> enough = false;
  int published = 0;
  std::thread load([&] {
    Publisher publisher(stack.broker().port());
    while (!enough) {
      publisher.Publish(kTopic, R"({"site_id":"north","provision_token":"tok-apple","seq":)" +
                                    std::to_string(++published) + "}");
    }
  });
  EXPECT_TRUE(Eventually([&] { return stack.Count("telemetry") > 300; }));
  const std::string dump = stack.Path("backup");
  RunTool(stack, {"pg_dump", "-Fc", "-f", dump, stack.server().Url(stack.database())});
  const int64_t soon_after = stack.Count("telemetry");
  EXPECT_TRUE(Eventually([&] { return stack.Count("telemetry") > soon_after + 300; }));
  enough = true;
  load.join();

  ASSERT_TRUE(stack.Stop().has_value());
  const std::string restored = stack.server().CreateDatabase();
  RunTool(stack, {"pg_restore", "-d", stack.server().Url(restored), dump});
  const auto sql = stack.server().Connect(restored);
  const auto count = [&] { return sql->Exec("SELECT count(*) FROM telemetry")->Int(0, 0); };
  EXPECT_LT(count(), published) << "the backup is older than what was published last";
  stack.env()["DATABASE_URL"] = stack.server().Url(restored, "sluice_ingest");
  stack.Start();
  EXPECT_THAT(stack.log(), HasSubstr("database_older_than_spool"));
  EXPECT_THAT(stack.log(), HasSubstr("gone=0"));
  EXPECT_TRUE(Eventually([&] { return count() >= published; }));
  auto each = sql->Exec("SELECT count(*), count(DISTINCT seq) FROM telemetry");
  EXPECT_EQ(each->Int(0, 0), published);
  EXPECT_EQ(each->Int(0, 1), published);
}

}  // namespace
}  // namespace sluice::testing
