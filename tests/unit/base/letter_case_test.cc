#include "base/letter_case.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(LetterCase, LowersTheLettersOfAsciiAndNothingElse) {
  EXPECT_EQ(LowerCase("Content-TYPE: AZ@[`{az09"), "content-type: az@[`{az09");
  EXPECT_EQ(LowerCase("\xc4\xd6Ü"), "\xc4\xd6Ü");
}

TEST(LetterCase, ComparesWithoutIt) {
  EXPECT_TRUE(EqualsIgnoringCase("", ""));
  EXPECT_TRUE(EqualsIgnoringCase("Bearer ", "bEARER "));
  EXPECT_FALSE(EqualsIgnoringCase("Bearer", "Bearer "));
  EXPECT_FALSE(EqualsIgnoringCase("@", "`")) << "a bit apart, and no letters";
  EXPECT_FALSE(EqualsIgnoringCase("Ü", "ü"));
}

}  // namespace
}  // namespace sluice
