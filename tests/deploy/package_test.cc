// What `cmake --install` puts below a prefix, the units, and the pages that the programs print of
// themselves. tests/ship/package_test.sh tries the package as a whole.
#include <gmock/gmock.h>

#include <chrono>
#include <filesystem>

#include "base/units.h"
#include "ingest/settings.h"
#include "tests/deploy/monitoring.h"
#include "tests/support/process.h"

namespace sluice::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::StartsWith;

// What a command writes; it must succeed.
std::string Output(const std::vector<std::string>& argv) {
  const TempDir directory;
  const std::string said = directory.Path("said");
  const auto ended = Run({.argv = argv, .stdout_path = said, .stderr_path = said});
  EXPECT_TRUE(ended && ended->code == 0) << argv[0] << ": " << ReadFile(said);
  return ReadFile(said);
}

std::string Page(const std::string& program, const std::string& kind) {
  return Output({std::string(SLUICE_BIN_DIR) + "/" + program, "--print-docs", kind});
}

// The build, installed once below a prefix of its own.
class Installed : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    prefix_ = std::make_unique<TempDir>();
    Output({SLUICE_CMAKE, "--install", SLUICE_BUILD_DIR, "--prefix", prefix_->path()});
  }
  static void TearDownTestSuite() { prefix_.reset(); }

  static std::string In(const std::string& path) { return prefix_->Path(path); }

  static std::set<std::string> Files() {
    std::set<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(prefix_->path())) {
      if (entry.is_regular_file()) {
        files.insert(std::filesystem::relative(entry.path(), prefix_->path()));
      }
    }
    return files;
  }

  static inline std::unique_ptr<TempDir> prefix_;
};

TEST_F(Installed, IsAllThatAnAdministratorNeeds) {
  EXPECT_THAT(Files(), IsSupersetOf({"bin/sluice",
                                     "bin/sluice-loadtest",
                                     "lib/sluice/sluice_broker_plugin.so",
                                     "lib/systemd/system/sluice-crl.service",
                                     "lib/systemd/system/sluice.service",
                                     "lib/sysusers.d/sluice.conf",
                                     "lib/tmpfiles.d/sluice.conf",
                                     "share/bash-completion/completions/sluice",
                                     "share/bash-completion/completions/sluice-loadtest",
                                     "share/doc/sluice/CHANGELOG.md",
                                     "share/doc/sluice/copyright",
                                     "share/doc/sluice/docs/operations.md",
                                     "share/man/man1/sluice-loadtest.1.gz",
                                     "share/man/man1/sluice.1.gz",
                                     "share/man/man5/sluice.env.5.gz",
                                     "share/sluice/crl.env",
                                     "share/zsh/vendor-completions/_sluice",
                                     "share/zsh/vendor-completions/_sluice-loadtest",
                                     "share/sluice/grafana/dashboards/sluice.json",
                                     "share/sluice/mosquitto/listeners.conf",
                                     "share/sluice/mosquitto/mosquitto.conf",
                                     "share/sluice/mosquitto/rules.conf",
                                     "share/sluice/postgres/grants.sql",
                                     "share/sluice/prometheus/sluice-rules.yml",
                                     "share/sluice/sluice.env",
                                     "share/sluice/test_mtls_device.sh"}));
}

TEST_F(Installed, StandsBelowItsPrefixAndNowhereElse) {
  EXPECT_THAT(Files(),
              Each(::testing::AnyOf(StartsWith("bin/"), StartsWith("lib/"), StartsWith("share/"))));
  EXPECT_THAT(Output({In("bin/sluice"), "--version"}), StartsWith("sluice "));
  EXPECT_THAT(ReadFile(In("share/sluice/mosquitto/listeners.conf")),
              HasSubstr("\nplugin " + In("lib/sluice/sluice_broker_plugin.so") + "\n"));
  EXPECT_THAT(ReadFile(In("lib/systemd/system/sluice.service")),
              HasSubstr("\nExecStart=" + In("bin/sluice") + " ingest\n"));
}

TEST_F(Installed, HasUnitsThatSystemdAccepts) {
  if (Process::Start({.argv = {"systemd-analyze", "--version"}}) == nullptr) {
    GTEST_SKIP() << "there is no systemd-analyze: install Debian's systemd";
  }
  EXPECT_EQ(
      Output({"systemd-analyze", "--man=no", "verify", In("lib/systemd/system/sluice.service"),
              In("lib/systemd/system/sluice-crl.service")}),
      "");
}

TEST(Unit, GivesTheDaemonMoreTimeToStopThanItTakes) {
  const std::string unit = ReadFile(SourcePath("deploy/systemd/sluice.service"));
  const auto timeout = AllMatches(unit, "^TimeoutStopSec=(.+)$");
  ASSERT_EQ(timeout.size(), 1U);
  const auto drain = LoadSettings([](const char*) { return nullptr; })->drain;
  EXPECT_GT(ParseDuration(timeout[0], std::chrono::seconds(1)), 2 * drain);
}

// Every name at the beginning of a line, commented out or not.
std::vector<std::string> NamesIn(const std::string& environment_file) {
  return AllMatches(environment_file, "^#?([A-Z][A-Z0-9_]*)=.*$");
}

TEST(EnvironmentFile, HasEverySettingAndNoOther) {
  std::vector<std::string> names;
  for (const Setting& setting : SettingsTable().settings()) names.push_back(setting.name);
  EXPECT_EQ(NamesIn(Page("sluice", "environment")), names);
}

TEST(EnvironmentFile, IsGoodAsItIsAndWithEachDefaultSet) {
  const TempDir directory;
  const std::string file = directory.Path("sluice.env");
  const std::regex comment("^#([A-Z])", std::regex::ECMAScript | std::regex::multiline);
  for (const std::string& text :
       {Page("sluice", "environment"),
        std::regex_replace(Page("sluice", "environment"), comment, "$1")}) {
    WriteFile(file, text);
    // Named, the file of the default must be there.
    EXPECT_EQ(
        Output({"sh", "-c",
                "set -a; . " + file + "; MQTT_CA_CERT= " SLUICE_BIN_DIR "/sluice ingest --check"}),
        "settings are good\n");
  }
}

TEST(Manual, HasEverySetting) {
  const std::string page = Page("sluice", "settings-man");
  for (const Setting& setting : SettingsTable().settings()) {
    EXPECT_THAT(page, HasSubstr("\n\\fB" + setting.name + "\\fR="));
  }
}

// What --help of every command names is in the pages: "quarantine list", "--tenant".
TEST(Manual, HasWhatHelpHas) {
  for (const std::string program : {"sluice", "sluice-loadtest"}) {
    const std::string manual = std::regex_replace(Page(program, "man"), std::regex(R"(\\-)"), "-");
    const std::string completion = Page(program, "bash");
    const auto commands = AllMatches(manual, "^\\.SS \\\\fB([a-z -]*[a-z-])\\\\fR");
    EXPECT_THAT(commands, Not(IsEmpty()));
    for (std::string command : commands) {
      EXPECT_THAT(completion, HasSubstr("'" + command + "' '"));
      command = std::string(SLUICE_BIN_DIR) + "/" + command + " --help";
      const std::string help = Output({"sh", "-c", command});
      for (const std::string& option : AllMatches(help, "^ +(?:-[a-z],)?(--[a-z-]+)")) {
        EXPECT_THAT(completion, HasSubstr(option + " ")) << command;
        EXPECT_THAT(manual, HasSubstr("\\fB" + option + "\\fR")) << command;
      }
    }
  }
}

TEST(Package, HasTheVersionOfTheProgram) {
  const auto version =
      AllMatches(ReadFile(SourcePath("deploy/debian/changelog")), "^sluice \\(([^)]+)\\) ");
  ASSERT_THAT(version, Not(IsEmpty()));
  EXPECT_THAT(Output({SLUICE_BIN_DIR "/sluice", "--version"}),
              StartsWith("sluice " + version[0] + " (commit "));
}

}  // namespace
}  // namespace sluice::testing
