#include "base/setting_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

enum class Color { kRed, kBlue };

struct Sample {
  std::string host;
  std::string password;
  std::vector<std::string> topics;
  int64_t count = 0;
  double rate = 0;
  bool on = false;
  milliseconds wait{};
  uint64_t size = 0;
  Color color = Color::kRed;
  uint16_t port = 0;
};

SettingTable<Sample> MakeTable() {
  using std::chrono::seconds;
  SettingTable<Sample> table;
  table.Group("Network");
  table.Add("HOST", &Sample::host, TextSetting(), "here", "Where it is.");
  table.Add("PORT", &Sample::port, PortSetting(), "1883", "Its port.");
  table.Add("PASSWORD", &Sample::password, TextSetting(), "", "Its password.").secret = true;
  table.Add("TOPICS", &Sample::topics, ListSetting(), "a,b", "Topics.");
  table.Group("Work");
  table.Add("COUNT", &Sample::count, IntegerSetting(1, 100), "3", "How many.").reloadable = true;
  table.Add("RATE", &Sample::rate, RealSetting(0, 1'000'000), "5", "How fast.");
  table.Add("ON", &Sample::on, FlagSetting(), "1", "Whether.");
  table.Add("WAIT", &Sample::wait, DurationSetting(seconds(1), milliseconds(0), seconds(3600)),
            "10s", "How long.");
  table.Add("SIZE", &Sample::size, BytesSetting(1, 1 << 20), "64KiB", "How big.");
  table.Add("COLOR", &Sample::color,
            ChoiceSetting<Color>({{"red", Color::kRed}, {"blue", Color::kBlue}}), "red", "Which.");
  return table;
}

class SettingTableTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "setting_table." + std::to_string(::getpid());
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Environment FromVariables() {
    return [this](const char* name) {
      const auto found = variables_.find(name);
      return found == variables_.end() ? nullptr : found->second.c_str();
    };
  }

  Sample Load() {
    Sample sample;
    std::vector<SettingError> errors;
    values_ = ReadSettings(table_.settings(), FromVariables(), &errors);
    table_.Assign(values_, &sample, &errors);
    errors_.clear();
    for (const SettingError& error : errors) errors_.push_back(error.message);
    return sample;
  }

  // The path of a file that holds `text`.
  std::string File(const std::string& text) {
    std::string path = directory_ + "/secret";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  const SettingTable<Sample> table_ = MakeTable();
  std::map<std::string, std::string> variables_;
  std::vector<SettingValue> values_;
  std::vector<std::string> errors_;
  std::string directory_;
};

TEST_F(SettingTableTest, GivesDefaultsWhenNothingIsSet) {
  const Sample sample = Load();
  EXPECT_THAT(errors_, IsEmpty());
  EXPECT_EQ(sample.host, "here");
  EXPECT_EQ(sample.port, 1883);
  EXPECT_EQ(sample.password, "");
  EXPECT_THAT(sample.topics, ElementsAre("a", "b"));
  EXPECT_EQ(sample.count, 3);
  EXPECT_EQ(sample.rate, 5);
  EXPECT_TRUE(sample.on);
  EXPECT_EQ(sample.wait, milliseconds(10'000));
  EXPECT_EQ(sample.size, 65536U);
  EXPECT_EQ(sample.color, Color::kRed);
}

TEST(ListSetting, HasNoPlacesWithoutAText) {
  EXPECT_THAT(ListSetting().parse(""), testing::Optional(IsEmpty()));
}

TEST_F(SettingTableTest, TakesEveryTypeFromTheEnvironment) {
  variables_ = {
      {"HOST", "there"}, {"PORT", "65535"}, {"PASSWORD", "p w"}, {"TOPICS", " x , y/+/# "},
      {"COUNT", "100"},  {"RATE", "0.5"},   {"ON", "off"},       {"WAIT", "20"},
      {"SIZE", "1KiB"},  {"COLOR", "BLUE"}};
  const Sample sample = Load();
  EXPECT_THAT(errors_, IsEmpty());
  EXPECT_EQ(sample.host, "there");
  EXPECT_EQ(sample.port, 65535);
  EXPECT_EQ(sample.password, "p w");
  EXPECT_THAT(sample.topics, ElementsAre("x", "y/+/#"));
  EXPECT_EQ(sample.count, 100);
  EXPECT_EQ(sample.rate, 0.5);
  EXPECT_FALSE(sample.on);
  EXPECT_EQ(sample.wait, milliseconds(20'000));
  EXPECT_EQ(sample.size, 1024U);
  EXPECT_EQ(sample.color, Color::kBlue);
}

TEST_F(SettingTableTest, TakesAnEmptyVariableForOneThatIsNotSet) {
  variables_ = {{"HOST", ""}, {"COUNT", ""}, {"PASSWORD_FILE", ""}};
  const Sample sample = Load();
  EXPECT_THAT(errors_, IsEmpty());
  EXPECT_EQ(sample.host, "here");
  EXPECT_EQ(sample.count, 3);
}

TEST_F(SettingTableTest, KnowsTheWordsForOnAndOffInAnyCase) {
  for (const char* text : {"1", "true", "YES", "On"}) {
    variables_ = {{"ON", text}};
    EXPECT_TRUE(Load().on) << text;
    EXPECT_THAT(errors_, IsEmpty()) << text;
  }
  for (const char* text : {"0", "False", "no", "OFF"}) {
    variables_ = {{"ON", text}};
    EXPECT_FALSE(Load().on) << text;
    EXPECT_THAT(errors_, IsEmpty()) << text;
  }
}

TEST_F(SettingTableTest, RefusesWhatIsOutOfRangeOrOfAnotherType) {
  const std::pair<const char*, const char*> bad[] = {
      {"COUNT", "0"},    {"COUNT", "101"}, {"COUNT", "3.0"},   {"COUNT", "3 "},  {"PORT", "0"},
      {"PORT", "65536"}, {"PORT", "-1"},   {"RATE", "-0.1"},   {"RATE", "nan"},  {"RATE", "inf"},
      {"ON", "2"},       {"ON", "y"},      {"WAIT", "2h"},     {"WAIT", "soon"}, {"SIZE", "2MiB"},
      {"SIZE", "0"},     {"COLOR", "re"},  {"TOPICS", "a,,b"}, {"TOPICS", ","},  {"TOPICS", " "}};
  for (const auto& [name, text] : bad) {
    variables_ = {{name, text}};
    Load();
    ASSERT_THAT(errors_, SizeIs(1)) << name << '=' << text;
    EXPECT_THAT(errors_[0], HasSubstr(std::string(name) + "=" + text + ": it must be "));
  }
}

TEST_F(SettingTableTest, SaysWhatWouldBeRight) {
  variables_ = {{"WAIT", "2h"}};
  Load();
  EXPECT_THAT(errors_, ElementsAre("WAIT=2h: it must be a duration such as 250ms, 10s, 10m, 2h or "
                                   "30d (a bare number counts s), 0 to 1h"));
  variables_ = {{"COLOR", "gr\neen"}};
  Load();
  EXPECT_THAT(errors_, ElementsAre("COLOR=gr\\neen: it must be red or blue"));
}

TEST_F(SettingTableTest, ReportsEveryMistakeAtOnce) {
  variables_ = {{"COUNT", "x"}, {"ON", "x"}, {"PASSWORD", "a"}, {"PASSWORD_FILE", "/b"}};
  Load();
  EXPECT_THAT(errors_, SizeIs(3));
}

TEST_F(SettingTableTest, ReadsASecretFromAFileWithoutItsLastNewline) {
  variables_ = {{"PASSWORD_FILE", File("top secret\n")}};
  EXPECT_EQ(Load().password, "top secret");
  variables_ = {{"PASSWORD_FILE", File("two\nlines\n\n")}};
  EXPECT_EQ(Load().password, "two\nlines\n");
  variables_ = {{"PASSWORD_FILE", File("dos\r\n")}};
  EXPECT_EQ(Load().password, "dos");
  variables_ = {{"PASSWORD_FILE", File("bare")}};
  EXPECT_EQ(Load().password, "bare");
  EXPECT_THAT(errors_, IsEmpty());
}

TEST_F(SettingTableTest, RefusesASecretGivenTwiceAndShowsNeither) {
  variables_ = {{"PASSWORD", "hunter2"}, {"PASSWORD_FILE", File("hunter3")}};
  Load();
  EXPECT_THAT(errors_,
              ElementsAre("PASSWORD and PASSWORD_FILE are both set: set only one of them"));
}

TEST_F(SettingTableTest, NamesTheFileVariableWhenTheFileCannotBeRead) {
  for (const std::string& path : {directory_ + "/missing", directory_, File("")}) {
    variables_ = {{"PASSWORD_FILE", path}};
    Load();
    ASSERT_THAT(errors_, SizeIs(1)) << path;
    EXPECT_THAT(errors_[0], HasSubstr("PASSWORD_FILE=" + path + ": the file "));
  }
  variables_ = {{"PASSWORD_FILE", File(std::string(65537, 'x'))}};
  Load();
  EXPECT_THAT(errors_, ElementsAre(HasSubstr("larger than 64KiB")));
}

TEST_F(SettingTableTest, ReadsNoFileForASettingThatIsNoSecret) {
  variables_ = {{"HOST_FILE", File("elsewhere")}};
  EXPECT_EQ(Load().host, "here");
}

TEST_F(SettingTableTest, ShowsValuesWithTheirSourcesAndMasksSecrets) {
  variables_ = {{"HOST", "a\nb"}, {"PASSWORD_FILE", File("hunter2")}};
  Load();
  const std::string shown = RenderSettings(table_.settings(), values_);
  EXPECT_THAT(shown, HasSubstr("HOST=a\\nb  # environment\n"));
  EXPECT_THAT(shown, HasSubstr("PORT=1883  # default\n"));
  EXPECT_THAT(shown, HasSubstr("PASSWORD=********  # file\n"));
  EXPECT_THAT(shown, Not(HasSubstr("hunter2")));
  variables_.clear();
  Load();
  EXPECT_THAT(RenderSettings(table_.settings(), values_), HasSubstr("PASSWORD=  # default\n"));
}

TEST_F(SettingTableTest, AssignsOneSettingByName) {
  Sample sample;
  EXPECT_TRUE(table_.Assign("COUNT", "7", &sample).ok());
  EXPECT_EQ(sample.count, 7);
  const Status refused = table_.Assign("COUNT", "700", &sample);
  EXPECT_EQ(refused.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused.message(), "COUNT=700: it must be a whole number, 1 to 100");
  EXPECT_EQ(sample.count, 7);
  EXPECT_EQ(table_.Assign("COUNTS", "7", &sample).code(), ErrorCode::kNotFound);
}

TEST_F(SettingTableTest, DescribesEverySettingInHelpAndPage) {
  const std::string help = RenderSettingsHelp(table_.settings());
  const std::string page = RenderSettingsMarkdown(table_.settings());
  for (const Setting& setting : table_.settings()) {
    EXPECT_THAT(help, AllOf(HasSubstr("  " + setting.name + "="), HasSubstr(setting.meaning)));
    EXPECT_THAT(page, AllOf(HasSubstr("| `" + setting.name + "` |"), HasSubstr(setting.meaning)));
  }
  EXPECT_THAT(help, HasSubstr("How many. (integer: 1 to 100; reloadable)"));
  EXPECT_THAT(page, HasSubstr("## Work\n\n| Setting | Default | Type | Meaning |\n"));
  EXPECT_THAT(page, HasSubstr("| `WAIT` | `10s` | duration in s: 0 to 1h | How long. |\n"));
  EXPECT_THAT(page, HasSubstr("| `PASSWORD` |  | text | Its password. **Secret.** |\n"));
}

TEST(SettingsHelp, BreaksLongMeaningsIntoLines) {
  Setting setting;
  setting.name = "LONG";
  setting.type = "text";
  for (int i = 0; i < 50; ++i) setting.meaning += "word ";
  setting.meaning += std::string(120, 'x');
  const std::string help = RenderSettingsHelp({setting});
  EXPECT_THAT(help, HasSubstr("      word word"));
  EXPECT_THAT(help, HasSubstr("\n      " + std::string(120, 'x') + "\n      (text)\n"));
}

}  // namespace
}  // namespace sluice
