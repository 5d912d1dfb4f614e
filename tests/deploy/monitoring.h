// What the tests of deploy/prometheus/ and deploy/grafana/ read in these files.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace sluice::testing {

inline std::string SourcePath(const std::string& path) {
  return std::string(SLUICE_SOURCE_DIR) + "/" + path;
}

// The first group of every match in the text.
inline std::vector<std::string> AllMatches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern, std::regex::ECMAScript | std::regex::multiline);
  std::vector<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at) {
    found.push_back((*at)[1]);
  }
  return found;
}

// Every PromQL expression of the rules.
inline std::vector<std::string> RuleExpressions() {
  return AllMatches(ReadFile(SourcePath("deploy/prometheus/sluice-rules.yml")),
                    R"(^ +expr: (\|\n(?: {10}.*\n)+|.*\n))");
}

inline const nlohmann::json& Dashboard() {
  static const auto dashboard =
      nlohmann::json::parse(ReadFile(SourcePath("deploy/grafana/dashboards/sluice.json")));
  return dashboard;
}

// Every PromQL expression of the dashboard's panels.
inline std::vector<std::string> DashboardQueries() {
  std::vector<std::string> queries;
  for (const auto& panel : Dashboard()["panels"]) {
    for (const auto& target : panel.value("targets", nlohmann::json::array())) {
      queries.push_back(target["expr"]);
    }
  }
  return queries;
}

// The metrics that a PromQL expression names: what is neither text, label, duration, function nor
// keyword.
inline std::set<std::string> MetricsIn(std::string expression) {
  for (const char* other :
       {R"re("[^"]*")re", R"(\{[^}]*\})", R"(\[[^\]]*\])",
        R"(\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\))", R"(\b\w+\s*\()",
        R"(\b(and|or|unless|bool|offset|group_left|group_right)\b)"}) {
    expression = std::regex_replace(expression, std::regex(other), " ");
  }
  const auto names = AllMatches(expression, R"(\b([A-Za-z_][A-Za-z_0-9:]*))");
  return {names.begin(), names.end()};
}

}  // namespace sluice::testing
