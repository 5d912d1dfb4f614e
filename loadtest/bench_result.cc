#include "loadtest/bench_result.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace sluice::loadtest {
namespace {

constexpr const char* kSluice = "sluice";
constexpr const char* kCopy = "copy";

using Runs = std::vector<const Measurement*>;
using Quotient = std::function<double(const Runs&)>;

// Adds the ratio of the contenders `names`, unless one of them is missing. `quotient` gets their
// measurements of one run in that order.
void Add(const BenchResult& result, const std::vector<std::string>& names, Ratio ratio,
         const Quotient& quotient, std::vector<Ratio>* ratios) {
  std::vector<const ContenderResult*> contenders;
  size_t runs = SIZE_MAX;
  for (const std::string& name : names) {
    contenders.push_back(result.Find(name));
    if (contenders.back() == nullptr) return;
    runs = std::min(runs, contenders.back()->runs.size());
  }
  if (runs == 0) return;
  std::vector<double> values;
  for (size_t run = 0; run < runs; ++run) {
    Runs measurements;
    for (const ContenderResult* contender : contenders) {
      measurements.push_back(&contender->runs[run]);
    }
    values.push_back(quotient(measurements));
  }
  ratio.spread = SpreadOf(std::move(values));
  ratios->push_back(std::move(ratio));
}

double ConsumerRatio(const Runs& runs) {
  return runs[0]->cost.consumer / runs[1]->cost.consumer;
}

// Of sluice, a bare subscriber and bare COPY.
double PathEfficiency(const Runs& runs) {
  const Cost& receiving = runs[1]->cost;
  const Cost& storing = runs[2]->cost;
  return (receiving.broker + receiving.consumer + storing.consumer + storing.database) /
         runs[0]->cost.total();
}

double TotalRatio(const Runs& runs) {
  return runs[0]->cost.total() / runs[1]->cost.total();
}

bool IsBareSubscriber(const ContenderResult& result) {
  return result.contender.subscribes && result.contender.table.empty();
}

}  // namespace

const ContenderResult* BenchResult::Find(const std::string& name) const {
  const auto found =
      std::find_if(contenders.begin(), contenders.end(),
                   [&](const ContenderResult& c) { return c.contender.name == name; });
  return found == contenders.end() ? nullptr : &*found;
}

Spread SpreadOf(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {median, values.front(), values.back()};
}

bool Ratio::met() const {
  return (!at_most || spread.median <= *at_most) && (!at_least || spread.median >= *at_least);
}

std::vector<Ratio> Ratios(const BenchResult& result) {
  std::vector<Ratio> ratios;
  for (const ContenderResult& other : result.contenders) {
    const std::string& name = other.contender.name;
    if (!IsBareSubscriber(other)) continue;
    Add(result, {kSluice, name},
        {.name = "sluice / " + name,
         .meaning = "CPU of the consumer: sluice against a subscriber that discards",
         .at_most = 1.25,
         .at_least = {},
         .spread = {}},
        ConsumerRatio, &ratios);
    Add(result, {kSluice, name, kCopy},
        {.name = "path efficiency over " + name,
         .meaning = "CPU of broker, discarding subscriber and bare COPY against broker, sluice and "
                    "its backends",
         .at_most = {},
         .at_least = 0.92,
         .spread = {}},
        PathEfficiency, &ratios);
  }
  for (const ContenderResult& other : result.contenders) {
    const Contender& peer = other.contender;
    if (peer.name == kSluice || !peer.subscribes || peer.table.empty()) continue;
    Add(result, {peer.name, kSluice},
        {.name = peer.name + " / sluice",
         .meaning = "CPU of broker, consumer and database together",
         .at_most = {},
         .at_least = {},
         .spread = {}},
        TotalRatio, &ratios);
  }
  return ratios;
}

}  // namespace sluice::loadtest
