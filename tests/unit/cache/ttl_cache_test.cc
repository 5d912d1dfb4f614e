#include "cache/ttl_cache.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

using Cache = TtlCache<int>;

constexpr int64_t kTtl = 10'240;

// Keys are views, so their text must stay.
std::vector<std::string> Names(size_t count) {
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back("probe-" + std::to_string(i));
  return names;
}

DeviceKeyView Key(const std::string& device) {
  return {"orchard", device};
}

size_t Alive(Cache& cache, const std::vector<std::string>& names, int64_t now) {
  size_t alive = 0;
  for (const std::string& name : names) alive += cache.Get(Key(name), now).has_value() ? 1 : 0;
  return alive;
}

// Names that compete for the same places in the cache.
std::vector<std::string> Neighbours(size_t count) {
  std::vector<std::string> neighbours;
  for (const std::string& name : Names(10'000)) {
    Cache one_each(1, kTtl);
    if (!neighbours.empty()) one_each.Put(Key(neighbours.front()), 0, 0);
    one_each.Put(Key(name), 1, 0);
    if (one_each.size() == 1) neighbours.push_back(name);
    if (neighbours.size() == count) break;
  }
  return neighbours;
}

TEST(TtlCache, GivesBackWhatWasPutLast) {
  Cache cache(100, kTtl);
  EXPECT_EQ(cache.Get(Key("a"), 0), std::nullopt);
  cache.Put(Key("a"), 1, 0);
  EXPECT_EQ(cache.Get(Key("a"), 0), 1);
  cache.Put(Key("a"), 2, 0);
  EXPECT_EQ(cache.Get(Key("a"), 0), 2);
  EXPECT_EQ(cache.size(), 1U);
}

TEST(TtlCache, KeepsEveryEntryForNineTenthsOfItsTimeAndNoneForLonger) {
  const std::vector<std::string> names = Names(1000);
  Cache cache(100'000, kTtl);
  for (const std::string& name : names) cache.Put(Key(name), 1, 0);
  EXPECT_EQ(Alive(cache, names, kTtl * 9 / 10), names.size());
  EXPECT_EQ(Alive(cache, names, kTtl), 0U);
  EXPECT_EQ(cache.size(), 0U) << "what has expired makes room";
}

TEST(TtlCache, SpreadsTheEndsOfEntriesThatCameTogether) {
  const std::vector<std::string> names = Names(1000);
  Cache cache(100'000, kTtl);
  for (const std::string& name : names) cache.Put(Key(name), 1, 0);
  const size_t alive = Alive(cache, names, kTtl * 95 / 100);
  EXPECT_GT(alive, 300U);
  EXPECT_LT(alive, 700U);
}

TEST(TtlCache, CountsTimeFromTheLastPutAndNotFromTheLastGet) {
  Cache cache(100, kTtl);
  cache.Put(Key("a"), 1, 0);
  EXPECT_EQ(cache.Get(Key("a"), kTtl / 2), 1);
  EXPECT_EQ(cache.Get(Key("a"), kTtl), std::nullopt);
  cache.Put(Key("b"), 1, 0);
  cache.Put(Key("b"), 2, kTtl / 2);
  EXPECT_EQ(cache.Get(Key("b"), kTtl), 2);
}

TEST(TtlCache, PushesOutTheLeastRecentlyUsedWhenItIsFull) {
  const std::vector<std::string> names = Neighbours(3);
  ASSERT_EQ(names.size(), 3U);
  Cache cache(32, kTtl);  // two of these
  cache.Put(Key(names[0]), 0, 0);
  cache.Put(Key(names[1]), 1, 0);
  EXPECT_EQ(cache.Get(Key(names[0]), 0), 0);
  cache.Put(Key(names[2]), 2, 0);
  EXPECT_EQ(cache.Get(Key(names[0]), 0), 0);
  EXPECT_EQ(cache.Get(Key(names[1]), 0), std::nullopt);
  EXPECT_EQ(cache.Get(Key(names[2]), 0), 2);
  EXPECT_EQ(cache.evictions(), 1U);
}

TEST(TtlCache, CountsNoEvictionWhenThePlaceWasTakenFromTheDead) {
  const std::vector<std::string> names = Neighbours(2);
  ASSERT_EQ(names.size(), 2U);
  Cache cache(16, kTtl);  // one of these
  cache.Put(Key(names[0]), 0, 0);
  cache.Put(Key(names[1]), 1, kTtl);
  EXPECT_EQ(cache.Get(Key(names[0]), kTtl), std::nullopt);
  EXPECT_EQ(cache.Get(Key(names[1]), kTtl), 1);
  EXPECT_EQ(cache.evictions(), 0U);
}

TEST(TtlCache, PuttingAKnownKeyAgainPushesNobodyOut) {
  const std::vector<std::string> names = Neighbours(2);
  ASSERT_EQ(names.size(), 2U);
  Cache cache(32, kTtl);
  cache.Put(Key(names[0]), 0, 0);
  cache.Put(Key(names[1]), 1, 0);
  cache.Put(Key(names[1]), 2, 0);
  EXPECT_EQ(cache.Get(Key(names[0]), 0), 0);
  EXPECT_EQ(cache.Get(Key(names[1]), 0), 2);
  EXPECT_EQ(cache.evictions(), 0U);
}

TEST(TtlCache, StaysWithinItsBoundWhateverComes) {
  Cache cache(160, kTtl);
  for (const std::string& name : Names(5000)) cache.Put(Key(name), 1, 0);
  EXPECT_LE(cache.size(), 160U);
  EXPECT_EQ(cache.size() + cache.evictions(), 5000U);
}

TEST(TtlCache, KeepsTheTupleApartWhereTheJoinedTextWouldBeTheSame) {
  Cache cache(1000, kTtl);
  cache.Put({"a", "b/c"}, 1, 0);
  cache.Put({"a/b", "c"}, 2, 0);
  cache.Put({"ab", "/c"}, 3, 0);
  EXPECT_EQ(cache.Get({"a", "b/c"}, 0), 1);
  EXPECT_EQ(cache.Get({"a/b", "c"}, 0), 2);
  EXPECT_EQ(cache.Get({"ab", "/c"}, 0), 3);
  EXPECT_EQ(cache.Get({"", "a/b/c"}, 0), std::nullopt);
}

TEST(TtlCache, ForgetsOneOrAll) {
  Cache cache(1000, kTtl);
  for (const char* name : {"a", "b", "c"}) cache.Put(Key(name), 1, 0);
  cache.Erase(Key("b"));
  cache.Erase(Key("nobody"));
  EXPECT_EQ(cache.Get(Key("b"), 0), std::nullopt);
  EXPECT_EQ(cache.size(), 2U);
  cache.Clear();
  EXPECT_EQ(cache.size(), 0U);
  EXPECT_EQ(cache.Get(Key("a"), 0), std::nullopt);
  EXPECT_EQ(cache.evictions(), 0U) << "forgetting is no eviction";
}

}  // namespace
}  // namespace sluice
