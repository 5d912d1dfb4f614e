// The campaign: how often each scenario is repeated, which random moments, and the row it leaves in
// the table of docs/reliability.md.
//
// Environment, set by `./test --campaign`:
//   SLUICE_CAMPAIGN=full       the repetitions of the campaign instead of the few of ./test
//   SLUICE_CAMPAIGN_SEED       makes the random moments those of an earlier run
//   SLUICE_CAMPAIGN_RESULTS    file that rows are appended to, tab-separated
#pragma once

#include <chrono>
#include <random>
#include <string>

#include "tests/fault/judge.h"

namespace sluice::testing {

bool FullCampaign();
// `quick` inside ./test, `full` in the campaign.
int Repetitions(int quick, int full);

// Printed by the first call; one generator for the program, used by one thread.
unsigned Seed();
std::mt19937& Random();
std::chrono::milliseconds RandomMoment(int from_ms, int to_ms);

// One row: what was done how often, and what the judge found. Written when it goes; a test that has
// failed by then leaves a row that says so. Not thread-safe.
class Scenario {
 public:
  // `number` as in docs/reliability.md, e.g. "1"; `name` says what happens to whom.
  Scenario(std::string number, std::string name);
  ~Scenario();
  Scenario(const Scenario&) = delete;
  Scenario& operator=(const Scenario&) = delete;

  void Repeated(int times = 1) { repetitions_ += times; }
  // Adds the figures to the row and fails the test unless L = D = W = 0.
  void Judged(const Judgement& judgement);
  // The longest is shown.
  void Recovered(std::chrono::steady_clock::duration time);
  // A figure for the last column.
  void Say(const std::string& figure);

 private:
  const std::string number_;
  const std::string name_;
  int repetitions_ = 0;
  Judgement sum_;
  std::chrono::milliseconds recovery_{-1};
  std::string said_;
};

}  // namespace sluice::testing
