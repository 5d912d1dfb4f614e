#include "ingest/spool/redelivery.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace sluice {
namespace {

class RedeliveryMemoryTest : public testing::Test {
 protected:
  void Remember(std::string_view text) {
    for (const char& c : text) memory_.Remember(memory_.FingerprintOf({&c, 1}, 0));
  }
  bool Match(std::string_view one) { return memory_.Match(memory_.FingerprintOf(one, 0)); }

  RedeliveryMemory memory_{4};
};

TEST_F(RedeliveryMemoryTest, MatchesInOrderAndEachMessageOnce) {
  Remember("abc");
  memory_.StartConnection();
  EXPECT_TRUE(Match("a"));
  EXPECT_FALSE(Match("a"));
  EXPECT_TRUE(Match("c"));
  EXPECT_FALSE(Match("b"));
}

TEST_F(RedeliveryMemoryTest, MatchesAllOfThemAgainAfterTheNextReconnect) {
  Remember("abc");
  memory_.StartConnection();
  EXPECT_TRUE(Match("b"));
  memory_.StartConnection();
  EXPECT_TRUE(Match("b"));
  EXPECT_TRUE(Match("c"));
}

TEST_F(RedeliveryMemoryTest, DoesNotMatchWhatThisConnectionAppended) {
  Remember("a");
  memory_.StartConnection();
  Remember("x");
  EXPECT_FALSE(Match("x"));
  memory_.StartConnection();
  EXPECT_TRUE(Match("x"));
}

TEST_F(RedeliveryMemoryTest, RemembersNoMoreThanItsWindow) {
  Remember("abcdef");
  memory_.StartConnection();
  EXPECT_FALSE(Match("b"));
  EXPECT_TRUE(Match("c"));
  Remember("ghi");  // pushes d and e out
  EXPECT_FALSE(Match("e"));
  EXPECT_TRUE(Match("f"));
}

TEST_F(RedeliveryMemoryTest, ForgetsWhenTheBrokerDoes) {
  Remember("abc");
  memory_.Forget();
  EXPECT_FALSE(Match("a"));
  memory_.StartConnection();
  EXPECT_FALSE(Match("a"));
  Remember("d");
  memory_.StartConnection();
  EXPECT_TRUE(Match("d"));
}

TEST_F(RedeliveryMemoryTest, HashesWithASecretOfItsOwn) {
  const RedeliveryMemory other(4);
  EXPECT_EQ(memory_.FingerprintOf("text", 0), memory_.FingerprintOf("text", 0));
  EXPECT_FALSE(memory_.FingerprintOf("text", 0) == other.FingerprintOf("text", 0));
}

TEST_F(RedeliveryMemoryTest, TellsEqualMessagesApartByTheirPacketIds) {
  memory_.Remember(memory_.FingerprintOf("a", 1));
  memory_.Remember(memory_.FingerprintOf("a", 2));
  memory_.StartConnection();
  EXPECT_FALSE(memory_.Match(memory_.FingerprintOf("a", 3)));
  EXPECT_TRUE(memory_.Match(memory_.FingerprintOf("a", 2)));
}

TEST_F(RedeliveryMemoryTest, FindsTheFirstOfManyThatAreEqual) {
  Remember("xaaa");
  memory_.StartConnection();
  EXPECT_TRUE(Match("a"));
  EXPECT_TRUE(Match("a"));
  EXPECT_TRUE(Match("a"));
  EXPECT_FALSE(Match("a"));
}

TEST(RedeliveryMemory, FindsEveryOneOfMany) {
  constexpr int kMany = 10'000;
  RedeliveryMemory memory(kMany);
  const auto nth = [&](int i) { return memory.FingerprintOf(std::to_string(i), 0); };
  for (int i = 0; i < 2 * kMany; ++i) memory.Remember(nth(i));
  memory.StartConnection();
  for (int i = 0; i < kMany; ++i) ASSERT_FALSE(memory.Match(nth(i)));
  for (int i = kMany; i < 2 * kMany; ++i) ASSERT_TRUE(memory.Match(nth(i)));
}

TEST(RedeliveryMemory, MayHaveNoWindowAtAll) {
  RedeliveryMemory memory(0);
  memory.Remember(memory.FingerprintOf("a", 0));
  memory.StartConnection();
  EXPECT_FALSE(memory.Match(memory.FingerprintOf("a", 0)));
}

}  // namespace
}  // namespace sluice
