#include "auth/device_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

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

// Calls back while it looks up, after it has read what it will answer.
class InterruptedStore final : public CredentialStore {
 public:
  explicit InterruptedStore(FakeCredentialStore& store) : store_(store) {}
  PgResult<std::vector<DeviceRef>> Lookup(std::span<const DeviceKeyView> keys) override {
    auto answer = store_.Lookup(keys);
    meanwhile();
    return answer;
  }
  PgResult<Provisioned> Provision(DeviceKeyView key, std::string_view site) override {
    return store_.Provision(key, site);
  }
  std::function<void()> meanwhile = [] {};

 private:
  FakeCredentialStore& store_;
};

TEST_F(DeviceDirectoryTest, CachesNothingThatWasForgottenWhileItWasLookedUp) {
  InterruptedStore slow(store_);
  const std::vector<DeviceKeyView> keys = {{"t", "a"}, {"t", "b"}};
  store_.Add("t", "a");
  DeviceRecord revoked = GoodDevice();
  revoked.active = false;
  const std::vector<std::function<void()>> ways = {
      [&] {
        directory_.Forget({"t", "a"}), directory_.Forget({"t", "b"});
      },
      [&] { directory_.ForgetAll(); },
      [&] { directory_.SetHearing(false), directory_.SetHearing(true); },
  };
  for (const auto& forget : ways) {
    directory_.ForgetAll();
    store_.Add("t", "a");
    store_.Remove("t", "b");
    slow.meanwhile = [&] {
      store_.Add("t", "a", revoked);
      store_.Add("t", "b");
      forget();
    };
    const auto before = directory_.Resolve(keys, slow);
    ASSERT_TRUE(before.ok());
    EXPECT_TRUE((*before)[0]->active) << "that is what the query read";
    const auto after = Resolve(keys);
    EXPECT_FALSE(after[0]->active);
    EXPECT_THAT(after[1], NotNull());
  }
}

TEST_F(DeviceDirectoryTest, KeepsWhatWasLookedUpWhileAnotherDeviceWasForgotten) {
  InterruptedStore slow(store_);
  // Some share the first one's place among the epochs, but not all of so many.
  slow.meanwhile = [&] { directory_.Forget({"t", "other"}); };
  for (const char* device : {"a", "b", "c"}) {
    ASSERT_TRUE(directory_.Resolve(std::vector<DeviceKeyView>{{"t", device}}, slow).ok());
  }
  EXPECT_GE(directory_.stats().unknown, 1U);
}

TEST_F(DeviceDirectoryTest, TrustsWhatItKnowsForHalfASecondOnlyWhileNobodyTellsOfChanges) {
  store_.Add("t", "a");
  const std::vector<DeviceKeyView> keys = {{"t", "a"}, {"t", "x"}};
  directory_.SetHearing(false);
  Resolve(keys);
  Resolve(keys);
  EXPECT_THAT(store_.lookups, SizeIs(1));
  clock_.Advance(microseconds(DeviceDirectory::kUnheardTtlUs));
  Resolve(keys);
  EXPECT_THAT(store_.lookups, SizeIs(2));
  directory_.SetHearing(true);
  Resolve(keys);
  EXPECT_THAT(store_.lookups, SizeIs(3)) << "what changed before is not told any more";
  clock_.Advance(microseconds(DeviceDirectory::kUnheardTtlUs));
  Resolve(keys);
  EXPECT_THAT(store_.lookups, SizeIs(3));
}

}  // namespace
}  // namespace sluice
