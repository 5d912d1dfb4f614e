#include "schema/checks.h"

#include <gmock/gmock.h>

#include <fstream>
#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::SizeIs;

// The third column of docs/architecture.md's table, a line for each check.
std::vector<std::string> ReasonsInTheDocs() {
  std::ifstream page(SLUICE_SOURCE_DIR "/docs/architecture.md");
  std::vector<std::string> reasons;
  for (std::string line; std::getline(page, line);) {
    if (line.rfind("| " + std::to_string(reasons.size() + 1) + " |", 0) != 0) continue;
    const size_t last = line.rfind('|');
    const size_t before = line.rfind('|', last - 1);
    reasons.push_back(line.substr(before + 2, last - before - 3));
  }
  return reasons;
}

TEST(Checks, AreThoseOfTheDocsWithTheSameReasonsInTheSameOrder) {
  const std::vector<std::string> docs = ReasonsInTheDocs();
  ASSERT_THAT(docs, SizeIs(kCheckCount));
  for (const Check& check : AllChecks()) {
    std::string reasons;
    for (auto i = static_cast<size_t>(check.first); i <= static_cast<size_t>(check.last); ++i) {
      reasons += (reasons.empty() ? "" : ", ") + std::string(ReasonName(static_cast<Reason>(i)));
    }
    EXPECT_EQ(reasons, docs[static_cast<size_t>(check.number) - 1]) << "check " << check.number;
  }
}

TEST(Checks, AreFoundByEachOfTheirReasons) {
  EXPECT_EQ(CheckOf(Reason::kBadTopicFormat).number, 1);
  EXPECT_EQ(CheckOf(Reason::kDeviceMismatch).number, 5);
  EXPECT_EQ(CheckOf(Reason::kSeqInvalid).number, 7);
  EXPECT_EQ(CheckOf(Reason::kIdentityForged).number, 13);
  EXPECT_EQ(CheckOf(Reason::kStorageRejected).number, 16);
}

}  // namespace
}  // namespace sluice
