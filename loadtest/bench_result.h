// What the benchmark found: figures of each contender's runs, and the ratios between contenders.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loadtest/contender.h"

namespace sluice::loadtest {

// CPU in microseconds a message, which is CPU seconds per million messages.
struct Cost {
  double broker = 0;
  double consumer = 0;
  double database = 0;

  double total() const { return broker + consumer + database; }
};

// One run of one contender.
struct Measurement {
  uint64_t sent = 0;     // acknowledged to the fleet, or the rows it had to make
  uint64_t arrived = 0;  // rows, or what a subscriber without a table has counted
  Cost cost;
  double per_second = 0;  // messages, with as much to do as it can take
};

struct ContenderResult {
  Contender contender;
  double rate = 0;  // messages a second while CPU was measured; 0: as many as it could
  std::vector<Measurement> runs;
  std::string trouble;  // why there are no more of them; else ""
};

struct BenchResult {
  std::string machine;  // for people
  double rate = 0;
  int devices = 0;
  uint64_t payload_bytes = 0;
  std::vector<ContenderResult> contenders;

  // Null when there is none.
  const ContenderResult* Find(const std::string& name) const;
};

struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
};
// All 0 for no values.
Spread SpreadOf(std::vector<double> values);
// Of what `figure` gives for each run.
template <typename Figure>
Spread SpreadOf(const ContenderResult& result, Figure figure) {
  std::vector<double> values;
  for (const Measurement& run : result.runs) values.push_back(figure(run));
  return SpreadOf(std::move(values));
}

// Two contenders compared run by run, so that both sides of a quotient stem from the same minutes.
struct Ratio {
  std::string name;
  std::string meaning;
  std::optional<double> at_most;  // the goal, if there is one
  std::optional<double> at_least;
  Spread spread;

  bool has_goal() const { return at_most || at_least; }
  // Its median keeps the goal.
  bool met() const;
};
// Those whose contenders ran.
std::vector<Ratio> Ratios(const BenchResult& result);

}  // namespace sluice::loadtest
