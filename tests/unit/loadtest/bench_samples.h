// A small benchmark's result, with round figures.
#pragma once

#include <utility>

#include "loadtest/bench_result.h"

namespace sluice::loadtest {

inline Measurement MeasuredRun(Cost cost) {
  return {.sent = 1000, .arrived = 1000, .cost = cost, .per_second = 5000};
}

inline ContenderResult Contestant(const std::string& name, const std::string& table, Cost cost) {
  ContenderResult result;
  result.contender.name = name;
  result.contender.about = "about " + name;
  result.contender.table = table;
  result.rate = 2000;
  result.runs = {MeasuredRun(cost)};
  return result;
}

// paho, copy, sluice and node, one run each.
inline BenchResult SmallBench() {
  BenchResult bench;
  bench.machine = "2 cores";
  bench.rate = 2000;
  bench.devices = 10;
  bench.payload_bytes = 300;
  bench.contenders = {Contestant("paho", "", {8, 5, 0}), Contestant("copy", "telemetry", {0, 1, 4}),
                      Contestant("sluice", "telemetry", {8, 6, 6}),
                      Contestant("node", "telemetry", {8, 40, 12})};
  bench.contenders[1].contender.subscribes = false;
  bench.contenders[1].rate = 0;
  return bench;
}

}  // namespace sluice::loadtest
