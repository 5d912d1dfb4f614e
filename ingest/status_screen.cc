#include "ingest/status_screen.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>

#include "base/escape.h"
#include "base/units.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostReasons = 10;

[[gnu::format(printf, 1, 2)]] std::string Text(const char* format, ...) {
  char text[128];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

std::string Line(const char* name, const std::string& value) {
  return Text("%-12s", name) + value + "\n";
}

// What goes by a rate and a count.
std::string Row(const char* name, const std::string& rate, const std::string& count) {
  return Text("%-12s%14s%18s", name, rate.c_str(), count.c_str());
}

std::string Count(uint64_t count) {
  return std::to_string(count);
}

std::string Duration(double seconds) {
  if (seconds < 0) return "-";
  if (seconds < 1) return Text("%.0f ms", seconds * 1e3);
  if (seconds < 100) return Text("%.1f s", seconds);
  const auto minutes = static_cast<long long>(seconds) / 60;
  if (minutes < 100) return Text("%lld min", minutes);
  if (minutes / 60 < 100) return Text("%lld h %lld min", minutes / 60, minutes % 60);
  return Text("%lld d %lld h", minutes / 1440, minutes / 60 % 24);
}

std::string Size(uint64_t bytes) {
  constexpr double kStep = 1024;
  const auto size = static_cast<double>(bytes);
  if (size < kStep) return Count(bytes) + " B";
  if (size < kStep * kStep) return Text("%.1f KiB", size / kStep);
  if (size < kStep * kStep * kStep) return Text("%.1f MiB", size / kStep / kStep);
  return Text("%.1f GiB", size / kStep / kStep / kStep);
}

// Counters as far as they have gone on; a daemon that was started anew begins again.
class Since {
 public:
  Since(const StatusSample& now, const StatusSample* before)
      : before_(before != nullptr && before->uptime_seconds < now.uptime_seconds ? before
                                                                                 : nullptr),
        seconds_(before_ == nullptr ? 0 : now.uptime_seconds - before_->uptime_seconds) {}

  const StatusSample* before() const { return before_; }
  double seconds() const { return seconds_; }
  std::string Rate(uint64_t now, uint64_t StatusSample::*counter) const {
    return before_ == nullptr ? "-" : Rate(now, before_->*counter);
  }
  std::string Rate(uint64_t now, uint64_t before) const {
    return Text("%.1f/s", static_cast<double>(now - std::min(now, before)) / seconds_);
  }

 private:
  const StatusSample* const before_;
  const double seconds_;
};

std::string Counters(const StatusSample& now, const Since& since) {
  std::string lines = Row("", "now", "since the start") + "\n";
  const std::pair<const char*, uint64_t StatusSample::*> counters[] = {
      {"received", &StatusSample::received},
      {"stored", &StatusSample::stored},
      {"quarantined", &StatusSample::quarantined},
      {"duplicates", &StatusSample::duplicates}};
  for (const auto& [name, counter] : counters) {
    lines += Row(name, since.Rate(now.*counter, counter), Count(now.*counter)) + "\n";
  }
  return lines;
}

std::string Equation(const StatusSample& now) {
  std::string line = Count(now.received) + " received = " + Count(now.stored) + " stored + " +
                     Count(now.quarantined) + " quarantined + " + Count(now.duplicates) +
                     " duplicates + " + Count(now.backlog_messages) + " spooled";
  if (now.damaged > 0) line += " + " + Count(now.damaged) + " damaged";
  return now.gap == 0 ? line : line + "  GAP " + std::to_string(now.gap);
}

std::string Latency(const StatusSample& now, const Since& since) {
  const StatusSample nothing;
  const StatusSample& before = since.before() == nullptr ? nothing : *since.before();
  return "p50 " + Duration(LatencyQuantile(now, before, 0.5)) + "  p99 " +
         Duration(LatencyQuantile(now, before, 0.99)) +
         (since.before() == nullptr ? "  since the start" : "");
}

using CountedReason = std::pair<std::string, uint64_t>;

std::string Rest(std::span<const CountedReason> reasons) {
  uint64_t messages = 0;
  for (const auto& [name, count] : reasons) messages += count;
  return Row("", "", "") + "  … and " + FormatCount(reasons.size(), "more reason") + " (" +
         FormatCount(messages, "message") + ")\n";
}

// Those of which there are most.
std::string Reasons(const StatusSample& now, const Since& since) {
  std::vector<CountedReason> reasons(now.reasons.begin(), now.reasons.end());
  std::stable_sort(reasons.begin(), reasons.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string lines;
  for (size_t i = 0; i < std::min(reasons.size(), kMostReasons); ++i) {
    const auto& [name, count] = reasons[i];
    std::string rate = "-";
    if (since.before() != nullptr) {
      const auto before = since.before()->reasons.find(name);
      rate = since.Rate(count, before == since.before()->reasons.end() ? 0 : before->second);
    }
    lines += Row("", rate, Count(count)) + "  " + Escaped(name) + "\n";
  }
  if (reasons.size() > kMostReasons) lines += Rest(std::span(reasons).subspan(kMostReasons));
  return lines;
}

}  // namespace

Result<StatusSample> ParseStatusSample(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    const Json& totals = json.at("accounting");
    const Json& backlog = json.at("backlog");
    StatusSample s;
    json.at("version").get_to(s.version);
    json.at("now").get_to(s.now);
    json.at("uptime_seconds").get_to(s.uptime_seconds);
    json.at("ready").get_to(s.ready);
    json.at("reason").get_to(s.reason);
    json.at("stage").get_to(s.stage);
    json.at("broker").at("connected").get_to(s.broker_connected);
    json.at("database").at("healthy").get_to(s.database_healthy);
    json.at("database").at("reason").get_to(s.database_reason);
    totals.at("received").get_to(s.received);
    totals.at("stored").get_to(s.stored);
    totals.at("quarantined").get_to(s.quarantined);
    totals.at("duplicates").get_to(s.duplicates);
    totals.at("damaged").get_to(s.damaged);
    totals.at("gap").get_to(s.gap);
    backlog.at("messages").get_to(s.backlog_messages);
    backlog.at("bytes").get_to(s.backlog_bytes);
    backlog.at("oldest_seconds").get_to(s.backlog_seconds);
    json.at("latency").at("buckets").get_to(s.latency);
    json.at("latency").at("count").get_to(s.latency_count);
    json.at("reasons").get_to(s.reasons);
    json.at("process").at("cpu_seconds").get_to(s.cpu_seconds);
    json.at("process").at("rss_bytes").get_to(s.rss_bytes);
    return s;
  } catch (const Json::exception&) {
    return Status(ErrorCode::kRejected, "what answers there is no sluice of this version");
  }
}

double LatencyQuantile(const StatusSample& now, const StatusSample& before, double q) {
  const auto counted = [&](size_t i) {
    const uint64_t old = i < before.latency.size() ? before.latency[i].second : 0;
    return static_cast<double>(now.latency[i].second - std::min(now.latency[i].second, old));
  };
  const uint64_t old_count = std::min(now.latency_count, before.latency_count);
  const double wanted = q * static_cast<double>(now.latency_count - old_count);
  if (wanted <= 0) return -1;
  double below = 0;
  double lower = 0;
  for (size_t i = 0; i < now.latency.size(); ++i) {
    const double upper = now.latency[i].first;
    const double count = counted(i);
    if (count >= wanted) {
      return lower + (upper - lower) * (wanted - below) / std::max(1.0, count - below);
    }
    below = count;
    lower = upper;
  }
  return lower;  // it took longer than the buckets tell
}

std::string StatusScreen(const StatusSample& now, const StatusSample* before) {
  const Since since(now, before);
  std::string screen = "sluice " + Escaped(now.version) + "  " + Escaped(now.stage) + "  up " +
                       Duration(now.uptime_seconds) + "  " + Escaped(now.now) + "\n\n";
  screen += Line("ready", now.ready ? "yes" : "NO: " + Escaped(now.reason));
  screen += Line("broker", now.broker_connected ? "connected" : "AWAY");
  screen +=
      Line("database", now.database_healthy ? "up" : "NOT UP: " + Escaped(now.database_reason));
  screen += "\n" + Counters(now, since) + "\n";
  screen += Line("equation", Equation(now));
  screen += Line("backlog", Count(now.backlog_messages) + " messages, " + Size(now.backlog_bytes) +
                                ", the oldest " + Duration(now.backlog_seconds));
  screen += Line("latency", Latency(now, since));
  std::string process = Size(now.rss_bytes);
  if (since.before() != nullptr) {
    const double used = now.cpu_seconds - since.before()->cpu_seconds;
    process += Text(", %.0f %% of a core", 100 * used / since.seconds());
  }
  screen += Line("process", process);
  if (!now.reasons.empty()) screen += "\nquarantined, by reason\n" + Reasons(now, since);
  return screen;
}

}  // namespace sluice
