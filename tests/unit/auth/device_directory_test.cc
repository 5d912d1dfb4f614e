#include "auth/device_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"
#include "tests/support/fake_credential_store.h"

namespace sluice {
namespace {

using std::chrono::microseconds;
using testing::ElementsAre;
using testing::IsNull;
using testing::NotNull;
using testing::Pair;
using testing::SizeIs;

class DeviceDirectoryTest : public testing::Test {
 protected:
  static constexpr DirectoryOptions kOptions{
      .max_devices = 1600, .ttl_us = 60'000'000, .negative_ttl_us = 10'000'000};

  std::vector<DeviceRef> Resolve(const std::vector<DeviceKeyView>& keys) {
    auto answers = directory_.Resolve(keys, store_);
    EXPECT_TRUE(answers.ok());
    return answers.ok() ? *answers : std::vector<DeviceRef>();
  }

  FakeClock clock_;
  FakeCredentialStore store_;
  DeviceDirectory directory_{kOptions, clock_};
};

TEST_F(DeviceDirectoryTest, AnswersInTheOrderOfTheKeys) {
  store_.Add("t", "a");
  DeviceRecord south = GoodDevice();
  south.site_id = "south";
  store_.Add("t", "c", south);
  for (int i = 0; i < 2; ++i) {  // from the registry, then from the cache
    const auto answers = Resolve({{"t", "c"}, {"t", "b"}, {"t", "a"}});
    ASSERT_THAT(answers, ElementsAre(NotNull(), IsNull(), NotNull()));
    EXPECT_EQ(answers[0]->site_id, "south");
    EXPECT_EQ(answers[2]->site_id, "north");
  }
  EXPECT_THAT(store_.lookups, SizeIs(1));
}

TEST_F(DeviceDirectoryTest, AsksOnceForHoweverManyMisses) {
  std::vector<std::string> names;
  std::vector<DeviceKeyView> keys;
  names.reserve(500);
  keys.reserve(500);
  for (int i = 0; i < 500; ++i) names.push_back("d" + std::to_string(i));
  for (const std::string& name : names) keys.push_back({"t", name});
  EXPECT_THAT(Resolve(keys), SizeIs(500));
  EXPECT_THAT(store_.lookups, ElementsAre(SizeIs(500)));
  EXPECT_EQ(directory_.stats().queries, 1U);
  EXPECT_EQ(directory_.stats().misses, 500U);
}

TEST_F(DeviceDirectoryTest, AsksOnlyForWhatItDoesNotKnow) {
  store_.Add("t", "a");
  Resolve({{"t", "a"}});
  Resolve({{"t", "a"}, {"t", "b"}, {"t", "a"}});
  ASSERT_THAT(store_.lookups, SizeIs(2));
  EXPECT_THAT(store_.lookups[1], ElementsAre(Pair("t", "b")));
  EXPECT_EQ(directory_.stats().hits, 2U);
}

TEST_F(DeviceDirectoryTest, AsksOnceForAKeyThatComesTwiceInAChunk) {
  store_.Add("t", "a");
  const auto answers = Resolve({{"t", "a"}, {"t", "x"}, {"t", "a"}, {"t", "x"}});
  EXPECT_THAT(answers, ElementsAre(NotNull(), IsNull(), NotNull(), IsNull()));
  ASSERT_THAT(store_.lookups, SizeIs(1));
  EXPECT_THAT(store_.lookups[0], ElementsAre(Pair("t", "a"), Pair("t", "x")));
}

TEST_F(DeviceDirectoryTest, AsksNobodyWhenThereIsNothingToAsk) {
  Resolve({});
  EXPECT_THAT(store_.lookups, SizeIs(0));
}

TEST_F(DeviceDirectoryTest, KeepsTuplesApartWhoseJoinedTextsAreEqual) {
  store_.Add("a", "b/c");
  EXPECT_THAT(Resolve({{"a", "b/c"}, {"a/b", "c"}}), ElementsAre(NotNull(), IsNull()));
  EXPECT_THAT(Resolve({{"a/b", "c"}, {"a", "b/c"}}), ElementsAre(IsNull(), NotNull()));
}

TEST_F(DeviceDirectoryTest, RemembersAnUnknownDeviceForItsOwnShorterTime) {
  store_.Add("t", "a");
  Resolve({{"t", "a"}, {"t", "x"}});
  clock_.Advance(microseconds(9'000'000));
  EXPECT_THAT(Resolve({{"t", "x"}}), ElementsAre(IsNull()));
  EXPECT_THAT(store_.lookups, SizeIs(1));
  store_.Add("t", "x");
  clock_.Advance(microseconds(1'000'000));
  EXPECT_THAT(Resolve({{"t", "a"}, {"t", "x"}}), ElementsAre(NotNull(), NotNull()));
  ASSERT_THAT(store_.lookups, SizeIs(2));
  EXPECT_THAT(store_.lookups[1], ElementsAre(Pair("t", "x")));
}

TEST_F(DeviceDirectoryTest, AsksAgainWhenTheTimeIsUp) {
  store_.Add("t", "a");
  Resolve({{"t", "a"}});
  clock_.Advance(microseconds(60'000'000));
  Resolve({{"t", "a"}});
  EXPECT_THAT(store_.lookups, SizeIs(2));
}

TEST_F(DeviceDirectoryTest, NeverRemembersAnErrorAsAnAnswer) {
  store_.Add("t", "a");
  store_.FailNext(1);
  const DeviceKeyView keys[] = {{"t", "a"}, {"t", "x"}};
  const auto failed = directory_.Resolve(keys, store_);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().sqlstate, "08006");
  EXPECT_EQ(directory_.stats().devices + directory_.stats().unknown, 0U);
  EXPECT_THAT(Resolve({{"t", "a"}, {"t", "x"}}), ElementsAre(NotNull(), IsNull()));
}

TEST_F(DeviceDirectoryTest, LosesNoRegisteredDeviceToAFloodOfInventedOnes) {
  std::vector<std::string> real;
  real.reserve(100);
  for (int i = 0; i < 100; ++i) real.push_back("real-" + std::to_string(i));
  std::vector<DeviceKeyView> keys;
  for (const std::string& name : real) {
    store_.Add("t", name);
    keys.push_back({"t", name});
  }
  Resolve(keys);
  for (int i = 0; i < 20'000; ++i) {
    const std::string invented = "invented-" + std::to_string(i);
    Resolve({{"t", invented}});
  }
  const size_t asked = store_.lookups.size();
  Resolve(keys);
  EXPECT_EQ(store_.lookups.size(), asked);
  EXPECT_EQ(directory_.stats().devices, 100U);
  EXPECT_LE(directory_.stats().unknown, kOptions.max_devices);
  EXPECT_GT(directory_.stats().evictions, 0U);
}

TEST_F(DeviceDirectoryTest, ForgetsADeviceOfEitherKindOrAll) {
  store_.Add("t", "a");
  store_.Add("t", "b");
  Resolve({{"t", "a"}, {"t", "b"}, {"t", "x"}});
  directory_.Forget({"t", "a"});
  directory_.Forget({"t", "x"});
  Resolve({{"t", "a"}, {"t", "b"}, {"t", "x"}});
  ASSERT_THAT(store_.lookups, SizeIs(2));
  EXPECT_THAT(store_.lookups[1], ElementsAre(Pair("t", "a"), Pair("t", "x")));
  directory_.ForgetAll();
  Resolve({{"t", "a"}, {"t", "b"}, {"t", "x"}});
  EXPECT_THAT(store_.lookups.back(), SizeIs(3));
}

}  // namespace
}  // namespace sluice
