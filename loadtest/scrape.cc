#include "loadtest/scrape.h"

#include <cmath>
#include <cstdlib>

namespace sluice::loadtest {
namespace {

// The value of `label` in e.g. `a="1",le="0.5"`; label values here hold no escapes.
std::string LabelValue(std::string_view labels, std::string_view label) {
  const std::string key = std::string(label) + "=\"";
  size_t at = labels.find(key);
  while (at != std::string_view::npos && at > 0 && labels[at - 1] != ',') {
    at = labels.find(key, at + 1);
  }
  if (at == std::string_view::npos) return {};
  at += key.size();
  return std::string(labels.substr(at, labels.find('"', at) - at));
}

}  // namespace

Scrape::Scrape(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const size_t space = line.rfind(' ');
    if (line.empty() || line[0] == '#' || space == std::string_view::npos) continue;
    const std::string_view series = line.substr(0, space);
    const size_t brace = std::min(series.find('{'), series.size());
    std::string_view labels = series.substr(brace);
    if (!labels.empty()) labels = labels.substr(1, labels.size() - 2);
    const std::string value(line.substr(space + 1));
    char* end = nullptr;
    const double number = std::strtod(value.c_str(), &end);
    if (end == value.c_str()) continue;
    families_[std::string(series.substr(0, brace))][std::string(labels)] = number;
  }
}

double Scrape::Value(const std::string& name) const {
  const auto values = ByLabel(name, "");
  return values.empty() ? 0 : values.begin()->second;
}

std::map<std::string, double> Scrape::ByLabel(const std::string& name,
                                              std::string_view label) const {
  std::map<std::string, double> values;
  const auto family = families_.find(name);
  if (family == families_.end()) return values;
  for (const auto& [labels, value] : family->second) values[LabelValue(labels, label)] += value;
  return values;
}

Buckets Scrape::Histogram(const std::string& name) const {
  Buckets buckets;
  for (const auto& [bound, count] : ByLabel(name + "_bucket", "le")) {
    buckets[std::strtod(bound.c_str(), nullptr)] = count;
  }
  return buckets;
}

Buckets Difference(const Buckets& now, const Buckets& before) {
  Buckets difference = now;
  for (auto& [bound, count] : difference) {
    const auto old = before.find(bound);
    if (old != before.end()) count -= old->second;
  }
  return difference;
}

double Quantile(const Buckets& buckets, double q) {
  if (buckets.empty() || buckets.rbegin()->second <= 0) return -1;
  const double rank = q * buckets.rbegin()->second;
  double lower = 0;
  double below = 0;
  for (const auto& [bound, count] : buckets) {
    if (std::isinf(bound)) break;
    if (count >= rank && count > below) {
      return lower + (bound - lower) * (rank - below) / (count - below);
    }
    lower = bound;
    below = count;
  }
  return lower;
}

}  // namespace sluice::loadtest
