#include "loadtest/report.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/escape.h"
#include "loadtest/report_page.h"

namespace sluice::loadtest {
namespace {

using Object = nlohmann::ordered_json;

std::string Number(double value, int decimals = 0) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

std::string Millis(uint64_t micros) {
  return Number(static_cast<double>(micros) / 1e3, 1) + " ms";
}

double Rate(const FleetReport& fleet) {
  return fleet.seconds > 0 ? static_cast<double>(fleet.published) / fleet.seconds : 0;
}

// The first column is text, the others are figures. Column widths are counted in bytes.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> heads) { Add(std::move(heads)); }

  void Add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  std::string Text() const {
    std::vector<size_t> widths(rows_[0].size());
    for (const auto& row : rows_) {
      for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string text;
    for (const auto& row : rows_) {
      text += row[0] + std::string(widths[0] - row[0].size(), ' ');
      for (size_t i = 1; i < row.size(); ++i) {
        text += "  " + std::string(widths[i] - row[i].size(), ' ') + row[i];
      }
      text += '\n';
    }
    return text;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

// "8.10 (7.95 to 8.32)"; one value is no spread.
std::string SpreadText(const Spread& spread, int decimals) {
  std::string median = Number(spread.median, decimals);
  if (spread.min >= spread.max) return median;
  return median + " (" + Number(spread.min, decimals) + " to " + Number(spread.max, decimals) + ")";
}

struct Figure {
  const char* name;
  double (*of)(const Measurement&);
};

constexpr std::array<Figure, 5> kFigures = {{
    {"broker", [](const Measurement& m) { return m.cost.broker; }},
    {"consumer", [](const Measurement& m) { return m.cost.consumer; }},
    {"database", [](const Measurement& m) { return m.cost.database; }},
    {"together", [](const Measurement& m) { return m.cost.total(); }},
    {"messages_per_second", [](const Measurement& m) { return m.per_second; }},
}};

std::string Losses(const ContenderResult& result) {
  if (!result.trouble.empty()) return Escaped(result.trouble);
  uint64_t lost = 0;
  uint64_t extra = 0;
  for (const Measurement& run : result.runs) {
    lost += run.sent - std::min(run.sent, run.arrived);
    extra += run.arrived - std::min(run.sent, run.arrived);
  }
  if (lost > 0) return "LOST " + std::to_string(lost);
  return extra > 0 ? std::to_string(extra) + " twice" : "all there";
}

std::string VerdictText(const RunResult& run) {
  if (!run.verdict) return run.fleet.complete() ? "acknowledged" : "NOT ACKNOWLEDGED";
  return run.verdict->balanced() ? "balances" : "DOES NOT BALANCE";
}

std::string GoalText(const Ratio& ratio) {
  std::string goal;
  if (ratio.at_most) goal = "at most " + Number(*ratio.at_most, 2);
  if (ratio.at_least) goal = "at least " + Number(*ratio.at_least, 2);
  return goal.empty() ? goal : goal + (ratio.met() ? ": met" : ": NOT MET");
}

Object ToJson(const FleetReport& fleet) {
  return {{"published", fleet.published},
          {"acknowledged", fleet.acknowledged},
          {"good", fleet.good},
          {"bad", fleet.bad},
          {"refused", fleet.refused},
          {"seconds", fleet.seconds},
          {"messages_per_second", Rate(fleet)},
          {"lag_ms_max", fleet.lag_ms_max}};
}

Object ToJson(const Sample& sample) {
  Object json = {{"at_seconds", sample.at},
                 {"published_per_second", sample.published},
                 {"finished_per_second", sample.finished},
                 {"backlog_messages", sample.backlog}};
  json["p50_seconds"] = sample.p50 < 0 ? Object() : Object(sample.p50);
  json["p99_seconds"] = sample.p99 < 0 ? Object() : Object(sample.p99);
  json["cores"] = Object::object();
  for (const auto& [name, cores] : sample.cores) json["cores"][name] = cores;
  return json;
}

Object ToJson(const Verdict& verdict) {
  return {{"sent", verdict.sent},
          {"stored", verdict.stored},
          {"quarantined", verdict.quarantined},
          {"duplicates", verdict.duplicates},
          {"torn_rows", verdict.torn_rows},
          {"balanced", verdict.balanced()}};
}

Object ToJson(const Histogram& latency) {
  return {{"messages", latency.count()},        {"p50_us", latency.Quantile(0.5)},
          {"p90_us", latency.Quantile(0.9)},    {"p99_us", latency.Quantile(0.99)},
          {"p999_us", latency.Quantile(0.999)}, {"max_us", latency.max()}};
}

Object ToJson(const RunResult& run) {
  Object json = {{"name", run.name}, {"fleet", ToJson(run.fleet)}};
  json["verdict"] = run.verdict ? ToJson(*run.verdict) : Object();
  json["settle_seconds"] = run.settle_seconds < 0 ? Object() : Object(run.settle_seconds);
  json["latency"] = run.latency ? ToJson(*run.latency) : Object();
  json["samples"] = Object::array();
  for (const Sample& sample : run.samples) json["samples"].push_back(ToJson(sample));
  return json;
}

Object ToJson(const Spread& spread) {
  return {{"median", spread.median}, {"min", spread.min}, {"max", spread.max}};
}

Object ToJson(const ContenderResult& result) {
  Object json = {{"name", result.contender.name},
                 {"about", result.contender.about},
                 {"leaves_out", result.contender.leaves_out},
                 {"baseline", result.contender.table.empty() || !result.contender.subscribes},
                 {"rate", result.rate},
                 {"verdict", Losses(result)},
                 {"failed", !result.trouble.empty()}};
  json["runs"] = Object::array();
  for (const Measurement& run : result.runs) {
    Object figures = {{"sent", run.sent}, {"arrived", run.arrived}};
    for (const Figure& figure : kFigures) figures[figure.name] = figure.of(run);
    json["runs"].push_back(std::move(figures));
  }
  for (const Figure& figure : kFigures) json[figure.name] = ToJson(SpreadOf(result, figure.of));
  return json;
}

Object ToJson(const Ratio& ratio) {
  Object json = {{"name", ratio.name}, {"meaning", ratio.meaning}};
  json["at_most"] = ratio.at_most ? Object(*ratio.at_most) : Object();
  json["at_least"] = ratio.at_least ? Object(*ratio.at_least) : Object();
  json["met"] = ratio.has_goal() ? Object(ratio.met()) : Object();
  json.update(ToJson(ratio.spread));
  return json;
}

Object ToJson(const std::vector<RunResult>& runs, std::optional<double> sustained) {
  Object json = {{"kind", "run"}};
  if (sustained) json["highest_sustained_messages_per_second"] = *sustained;
  json["runs"] = Object::array();
  for (const RunResult& run : runs) json["runs"].push_back(ToJson(run));
  return json;
}

Object ToJson(const BenchResult& bench) {
  Object json = {{"kind", "bench"},
                 {"machine", bench.machine},
                 {"messages_per_second", bench.rate},
                 {"devices", bench.devices},
                 {"payload_bytes", bench.payload_bytes},
                 {"unit", "microseconds of CPU a message"},
                 {"contenders", Object::array()},
                 {"ratios", Object::array()}};
  for (const ContenderResult& result : bench.contenders) {
    json["contenders"].push_back(ToJson(result));
  }
  for (const Ratio& ratio : Ratios(bench)) json["ratios"].push_back(ToJson(ratio));
  return json;
}

std::string Dump(const Object& json, int indent) {
  return json.dump(indent, ' ', false, Object::error_handler_t::replace);
}

// '<' stands only within JSON's strings, where it may be written so; then nothing of the data can
// end the element it stands in.
std::string Page(const Object& json) {
  constexpr std::string_view kPlace = "@data@";
  std::string page(ReportPage());
  std::string data;
  for (const char c : Dump(json, -1)) {
    if (c == '<') {
      data += "\\u003c";
    } else {
      data += c;
    }
  }
  return page.replace(page.find(kPlace), kPlace.size(), data);
}

}  // namespace

std::string Table(const std::vector<RunResult>& runs) {
  TextTable table({"run", "rate/s", "sent", "stored", "quarantined", "duplicates", "p50", "p99",
                   "p99.9", "max", "verdict"});
  for (const RunResult& run : runs) {
    std::vector<std::string> cells = {Escaped(run.name), Number(Rate(run.fleet)),
                                      std::to_string(run.fleet.acknowledged)};
    for (const auto count : {&Verdict::stored, &Verdict::quarantined, &Verdict::duplicates}) {
      cells.push_back(run.verdict ? std::to_string((*run.verdict).*count) : "-");
    }
    for (const double q : {0.5, 0.99, 0.999}) {
      cells.push_back(run.latency ? Millis(run.latency->Quantile(q)) : "-");
    }
    cells.push_back(run.latency ? Millis(run.latency->max()) : "-");
    cells.push_back(VerdictText(run));
    table.Add(std::move(cells));
  }
  return table.Text();
}

std::string Table(const BenchResult& bench) {
  TextTable costs({"us of CPU a message", "broker", "consumer", "database", "together", "at msg/s",
                   "most msg/s", "rows"});
  std::string failures;
  for (const ContenderResult& result : bench.contenders) {
    const std::string name = Escaped(result.contender.name);
    if (!result.trouble.empty()) failures += name + " " + Losses(result) + "\n";
    if (result.runs.empty()) continue;
    std::vector<std::string> cells = {name};
    for (const Figure& figure : kFigures) {
      const bool speed = figure.name == std::string_view("messages_per_second");
      if (speed) cells.push_back(result.rate > 0 ? Number(result.rate) : "all it can");
      cells.push_back(SpreadText(SpreadOf(result, figure.of), speed ? 0 : 2));
    }
    cells.push_back(result.trouble.empty() ? Losses(result) : "failed");
    costs.Add(std::move(cells));
  }
  TextTable ratios({"ratio", "median (min to max)", "goal"});
  for (const Ratio& ratio : Ratios(bench)) {
    ratios.Add({Escaped(ratio.name), SpreadText(ratio.spread, 3), GoalText(ratio)});
  }
  return costs.Text() + failures + "\n" + ratios.Text();
}

std::string Json(const std::vector<RunResult>& runs, std::optional<double> sustained) {
  return Dump(ToJson(runs, sustained), 1) + "\n";
}

std::string Json(const BenchResult& bench) {
  return Dump(ToJson(bench), 1) + "\n";
}

std::string Html(const std::vector<RunResult>& runs, std::optional<double> sustained) {
  return Page(ToJson(runs, sustained));
}

std::string Html(const BenchResult& bench) {
  return Page(ToJson(bench));
}

}  // namespace sluice::loadtest
