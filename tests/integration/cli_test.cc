// The command line as an operator meets it: exit statuses and what is said.
#include <gtest/gtest.h>

#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

struct Said {
  int code = -1;
  std::string text;
};

Said Sluice(const std::vector<std::string>& arguments, const Env& env = {}) {
  TempDir directory;
  std::vector<std::string> argv = {BinaryPath("sluice")};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const auto ended = sluice::testing::Run({.argv = argv,
                                           .env = env,
                                           .clear_env = true,
                                           .stdout_path = directory.Path("out"),
                                           .stderr_path = directory.Path("out")});
  return {ended ? ended->code : -1, ReadFile(directory.Path("out"))};
}

TEST(CommandLine, CheckSaysThatGoodSettingsAreGood) {
  const Said said = Sluice({"ingest", "--check"});
  EXPECT_EQ(said.code, 0) << said.text;
}

TEST(CommandLine, CheckNamesEverySettingThatWillNotDo) {
  const Said said =
      Sluice({"ingest", "--check"},
             {{"BATCH_SIZE", "many"}, {"SPOOL_SYNC", "sometimes"}, {"HTTP_PORT", "x"}});
  EXPECT_EQ(said.code, 78);
  for (const char* part : {"BATCH_SIZE=many", "SPOOL_SYNC=sometimes", "HTTP_PORT=x"}) {
    EXPECT_NE(said.text.find(part), std::string::npos) << said.text;
  }
}

TEST(CommandLine, CheckRefusesSettingsThatContradictEachOther) {
  const Said said =
      Sluice({"ingest", "--check"}, {{"FLUSH_INTERVAL_MS", "30000"}, {"DRAIN_SECONDS", "10"}});
  EXPECT_EQ(said.code, 78);
  EXPECT_NE(said.text.find("FLUSH_INTERVAL_MS"), std::string::npos) << said.text;
  EXPECT_NE(said.text.find("DRAIN_SECONDS"), std::string::npos) << said.text;
}

TEST(CommandLine, PrintConfigMasksSecrets) {
  const Said said =
      Sluice({"ingest", "--print-config"},
             {{"MQTT_PASSWORD", "hush-1"}, {"DATABASE_URL", "postgresql://u:hush-2@h/d"}});
  EXPECT_EQ(said.code, 0) << said.text;
  EXPECT_NE(said.text.find("MQTT_PASSWORD=********"), std::string::npos) << said.text;
  EXPECT_EQ(said.text.find("hush-"), std::string::npos) << said.text;
}

TEST(CommandLine, HelpListsTheSettings) {
  const Said said = Sluice({"ingest", "--help"});
  EXPECT_EQ(said.code, 0);
  EXPECT_NE(said.text.find("SPOOL_MAX_BYTES"), std::string::npos);
}

TEST(CommandLine, MigrateSaysWhatItWouldDoAndThenDoesItOnce) {
  PostgresServer& server = SharedPostgres();
  const std::string database = server.CreateDatabase();
  const Env env = {{"DATABASE_URL", server.Url(database)}};
  EXPECT_NE(Sluice({"migrate", "--dry-run"}, env).text.find("would apply 001"), std::string::npos);
  const auto tables = [&] {
    return server.Connect(database)
        ->Exec("SELECT count(*) FROM pg_tables WHERE tablename = 'telemetry'")
        ->Int(0, 0);
  };
  EXPECT_EQ(tables(), 0);
  const Said applied = Sluice({"migrate"}, env);
  EXPECT_EQ(applied.code, 0) << applied.text;
  EXPECT_EQ(tables(), 1);
  EXPECT_NE(Sluice({"migrate"}, env).text.find("nothing to do"), std::string::npos);
}

TEST(CommandLine, MigrateWithoutADatabaseFailsWithASentenceAndNoPassword) {
  const Said said = Sluice({"migrate"}, {{"DATABASE_URL", "postgresql://u:hush@127.0.0.1:1/d"}});
  EXPECT_EQ(said.code, 1);
  EXPECT_FALSE(said.text.empty());
  EXPECT_EQ(said.text.find("hush"), std::string::npos) << said.text;
}

TEST(CommandLine, AnUnusableSpoolDirectoryStopsTheStart) {
  const Said said = Sluice({"ingest"}, {{"SPOOL_DIR", "/proc/spool"}, {"HTTP_PORT", "0"}});
  EXPECT_EQ(said.code, 1);
  EXPECT_NE(said.text.find("/proc/spool"), std::string::npos) << said.text;
}

}  // namespace
}  // namespace sluice::testing
