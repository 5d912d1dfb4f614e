#include "tests/fault/campaign.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <utility>

namespace sluice::testing {
namespace {

std::string FromEnv(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? "" : text;
}

}  // namespace

bool FullCampaign() {
  return FromEnv("SLUICE_CAMPAIGN") == "full";
}

int Repetitions(int quick, int full) {
  return FullCampaign() ? full : quick;
}

unsigned Seed() {
  static const unsigned seed = [] {
    const std::string given = FromEnv("SLUICE_CAMPAIGN_SEED");
    const unsigned value =
        given.empty() ? std::random_device()() : static_cast<unsigned>(std::stoul(given));
    std::printf("seed %u\n", value);
    return value;
  }();
  return seed;
}

std::mt19937& Random() {
  static std::mt19937 random(Seed());
  return random;
}

std::chrono::milliseconds RandomMoment(int from_ms, int to_ms) {
  return std::chrono::milliseconds(std::uniform_int_distribution<int>(from_ms, to_ms)(Random()));
}

Scenario::Scenario(std::string number, std::string name)
    : number_(std::move(number)), name_(std::move(name)) {
  Seed();
}

Scenario::~Scenario() {
  const bool failed = ::testing::Test::HasFailure();
  char row[512];
  std::snprintf(row, sizeof row, "%s\t%s\t%d\t%zu\t%zu\t%zu\t%zu\t%lld\t%u\t%s\t", number_.c_str(),
                name_.c_str(), repetitions_, sum_.acknowledged, sum_.lost, sum_.duplicated,
                sum_.wrongly_accepted, static_cast<long long>(recovery_.count()), Seed(),
                failed                         ? "FAILED"
                : ::testing::Test::IsSkipped() ? "skipped"
                                               : "ok");
  std::printf("%s%s\n", row, said_.c_str());
  if (const std::string path = FromEnv("SLUICE_CAMPAIGN_RESULTS"); !path.empty()) {
    std::ofstream(path, std::ios::app) << row << said_ << '\n';
  }
}

void Scenario::Judged(const Judgement& judgement) {
  EXPECT_EQ(judgement.lost, 0U) << "of " << judgement.acknowledged << ", e.g. "
                                << judgement.example_lost;
  EXPECT_EQ(judgement.duplicated, 0U) << "e.g. " << judgement.example_duplicated;
  EXPECT_EQ(judgement.wrongly_accepted, 0U);
  sum_.acknowledged += judgement.acknowledged;
  sum_.lost += judgement.lost;
  sum_.duplicated += judgement.duplicated;
  sum_.wrongly_accepted += judgement.wrongly_accepted;
}

void Scenario::Recovered(std::chrono::steady_clock::duration time) {
  recovery_ = std::max(recovery_, std::chrono::duration_cast<std::chrono::milliseconds>(time));
}

void Scenario::Say(const std::string& figure) {
  said_ += (said_.empty() ? "" : "; ") + figure;
}

}  // namespace sluice::testing
