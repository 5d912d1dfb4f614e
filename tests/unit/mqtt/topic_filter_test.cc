#include "mqtt/topic_filter.h"

#include <gtest/gtest.h>

#include <tuple>

namespace sluice::mqtt {
namespace {

TEST(FilterCatches, WhatTheStandardSays) {
  const std::tuple<const char*, const char*, bool> cases[] = {
      {"a/b", "a/b", true},     {"a/b", "a/c", false},      {"a/b", "a", false},
      {"a", "a/b", false},      {"a/+", "a/b", true},       {"a/+", "a", false},
      {"a/+", "a/b/c", false},  {"a/+/c", "a//c", true},    {"a/#", "a", true},
      {"a/#", "a/b/c", true},   {"#", "a/b", true},         {"#", "$SYS/x", false},
      {"+/x", "$SYS/x", false}, {"$SYS/#", "$SYS/x", true}, {"a/+", "a/", true},
  };
  for (const auto& [filter, topic, catches] : cases) {
    EXPECT_EQ(FilterCatches(filter, topic), catches) << filter << " " << topic;
  }
}

}  // namespace
}  // namespace sluice::mqtt
