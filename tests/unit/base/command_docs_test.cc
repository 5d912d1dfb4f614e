#include "base/command_docs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/roff.h"
#include "base/setting_table.h"

namespace sluice {
namespace {

using testing::HasSubstr;
using testing::Not;

// A program with a command in a command, and one of each kind of option.
class CommandDocs : public testing::Test {
 protected:
  CommandDocs() {
    CLI::App* fruit = program_.add_subcommand("fruit", "All about fruit");
    fruit->add_option("--tree", tree_, "Where it grows")->required();
    CLI::App* pick = fruit->add_subcommand("pick", "Takes some");
    pick->add_option("NAME", name_, "Which one");
    pick->add_option("--count", count_, "How many")->capture_default_str()->envname("COUNT");
    pick->add_flag("-r,--ripe", ripe_, "Only what is ripe");
    pick->add_flag("--secret", ripe_, "Nobody's business")->group("");
    pick->footer("Wash it.\nEat it.");
    program_.add_subcommand("hidden", "Not for everybody")->group("");
  }

  std::string tree_;
  std::string name_;
  int count_ = 3;
  bool ripe_ = false;
  CLI::App program_{"An orchard", "orchard"};
};

TEST_F(CommandDocs, ShowEveryCommandAndOptionInTheManual) {
  const std::string page =
      RenderManual(program_, {.summary = "trees", .source = "orchard 7", .more = ".SH NOTES\n"});
  EXPECT_THAT(page, HasSubstr(".TH \"ORCHARD\" 1 \"\" \"orchard 7\" Sluice\n"
                              ".SH NAME\norchard \\- trees\n"));
  EXPECT_THAT(page, HasSubstr(".SS \\fBorchard fruit\\fR [OPTIONS] COMMAND\nAll about fruit.\n"));
  EXPECT_THAT(page, HasSubstr("\\fB\\-\\-tree\\fR \\fITEXT\\fR\nWhere it grows (required)\n"));
  EXPECT_THAT(page, HasSubstr(".SS \\fBorchard fruit pick\\fR [OPTIONS] [NAME]\nTakes some.\n"));
  EXPECT_THAT(page, HasSubstr("\\fINAME\\fR\nWhich one\n"));
  EXPECT_THAT(page, HasSubstr("\\fB\\-\\-count\\fR \\fIINT\\fR\n"
                              "How many (default: 3) (environment: COUNT)\n"));
  EXPECT_THAT(page, HasSubstr("\\fB\\-r\\fR, \\fB\\-\\-ripe\\fR\nOnly what is ripe\n"));
  EXPECT_THAT(page, HasSubstr(".PP\nWash it.\n.PP\nEat it.\n"));
  EXPECT_TRUE(page.ends_with(".SH NOTES\n"));
}

TEST_F(CommandDocs, HideWhatHelpHides) {
  for (const std::string& page : {RenderManual(program_, {}), RenderBashCompletion(program_),
                                  RenderZshCompletion(program_)}) {
    EXPECT_THAT(page, Not(HasSubstr("secret")));
    EXPECT_THAT(page, Not(HasSubstr("hidden")));
  }
}

TEST_F(CommandDocs, CompleteWhatMayFollow) {
  for (const std::string& script :
       {RenderBashCompletion(program_), RenderZshCompletion(program_)}) {
    EXPECT_THAT(script, HasSubstr("'orchard' 'fruit --help '"));
    EXPECT_THAT(script, HasSubstr("'orchard fruit' 'pick --help --tree '"));
    EXPECT_THAT(script, HasSubstr("'orchard fruit pick' '--help --count --ripe '"));
    EXPECT_THAT(script, HasSubstr("'orchard fruit pick --count' 1"));
    EXPECT_THAT(script, Not(HasSubstr("'orchard fruit pick --ripe'")));
  }
}

TEST(Roff, PrintsWhatWouldBeARequestOrAnEscape) {
  EXPECT_EQ(Roff(".SH \\fB a-b\nc"), "\\&.SH \\efB a\\-b c");
  EXPECT_EQ(Roff("'tis"), "\\&'tis");
  EXPECT_EQ(Roff("it is so."), "it is so.");
}

TEST(RenderedSettings, HoldEachSettingItsDefaultAndItsMeaning) {
  struct Values {
    int64_t size = 0;
    std::string path;
  };
  SettingTable<Values> table;
  table.Group("Room");
  table.Add("SIZE", &Values::size, IntegerSetting(1, 9), "4", "How much there is.");
  table.Add("PATH_NAME", &Values::path, TextSetting(), "two words", "Where it is.").secret = true;
  EXPECT_EQ(RenderSettingsManual(table.settings()),
            ".SH Room\n"
            ".TP\n\\fBSIZE\\fR=4\nHow much there is. (integer: 1 to 9)\n"
            ".TP\n\\fBPATH_NAME\\fR=two words\nWhere it is. (text; secret)\n");
  EXPECT_EQ(RenderSettingsFile(table.settings()),
            "\n# ---- Room\n"
            "\n# How much there is. (integer: 1 to 9)\n#SIZE=4\n"
            "\n# Where it is. (text; secret)\n#PATH_NAME='two words'\n");
}

}  // namespace
}  // namespace sluice
