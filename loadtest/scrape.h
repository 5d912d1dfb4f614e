// Reading the daemon's /metrics: series, and quantiles from a histogram's buckets.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

namespace sluice::loadtest {

// A histogram's cumulative counts by upper bound; the last bound is +Inf.
using Buckets = std::map<double, double>;

// One answer of /metrics in Prometheus's text format. Lines that cannot be read are left out.
class Scrape {
 public:
  Scrape() = default;
  explicit Scrape(std::string_view text);

  // The value of a series without labels, 0 when absent.
  double Value(const std::string& name) const;
  // The values of a family by the value of its label `label`.
  std::map<std::string, double> ByLabel(const std::string& name, std::string_view label) const;
  Buckets Histogram(const std::string& name) const;

 private:
  // By metric name: the text between the braces, and the value.
  std::unordered_map<std::string, std::map<std::string, double>> families_;
};

// What was counted between two scrapes.
Buckets Difference(const Buckets& now, const Buckets& before);

// The value below which the fraction `q` of the observations lie, interpolated within its bucket as
// Prometheus's histogram_quantile does; the largest finite bound when it lies above that; -1 when
// there are no observations.
double Quantile(const Buckets& buckets, double q);

}  // namespace sluice::loadtest
