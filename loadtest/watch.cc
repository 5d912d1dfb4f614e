#include "loadtest/watch.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/escape.h"
#include "base/http_get.h"
#include "loadtest/status_line.h"

namespace sluice::loadtest {
namespace {

constexpr size_t kTopReasons = 3;
constexpr int64_t kSecond = 1'000'000;

std::string Number(double value, int decimals = 0) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

std::string Latency(double seconds) {
  if (seconds < 0) return "-";
  if (seconds < 1) return Number(seconds * 1e3, 1) + " ms";
  return Number(seconds, 1) + " s";
}

std::string Reasons(const Scrape& now, const Scrape& before, double seconds, double* sum) {
  const auto old = before.ByLabel("sluice_quarantined_messages_total", "reason");
  std::vector<std::pair<double, std::string>> rates;
  *sum = 0;
  for (const auto& [reason, count] : now.ByLabel("sluice_quarantined_messages_total", "reason")) {
    const auto was = old.find(reason);
    const double rate = (count - (was == old.end() ? 0 : was->second)) / seconds;
    *sum += rate;
    if (rate > 0) rates.emplace_back(rate, Escaped(reason));
  }
  std::sort(rates.rbegin(), rates.rend());
  std::string text;
  for (size_t i = 0; i < std::min(rates.size(), kTopReasons); ++i) {
    text += (i == 0 ? "" : ", ") + rates[i].second + " " + Number(rates[i].first);
  }
  if (rates.size() > kTopReasons) {
    text += ", " + std::to_string(rates.size() - kTopReasons) + " more";
  }
  return text.empty() ? text : " (" + text + ")";
}

void SleepUntil(int64_t monotonic) {
  const timespec when = {monotonic / kSecond, monotonic % kSecond * 1000};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr);
}

}  // namespace

std::string BacklogBar(double records) {
  constexpr size_t kCells = 10;
  const double level = records < 1 ? 0 : std::ceil(2 * std::log10(records + 1));
  const size_t full = std::min(kCells, static_cast<size_t>(level));
  return "[" + std::string(full, '#') + std::string(kCells - full, '.') + "]";
}

std::string WatchLine(const Scrape& now, const Scrape& before, double seconds) {
  const auto rate = [&](const char* name) {
    return (now.Value(name) - before.Value(name)) / seconds;
  };
  const char* const histogram = "sluice_publish_to_commit_seconds";
  const Buckets latency = Difference(now.Histogram(histogram), before.Histogram(histogram));
  double quarantined = 0;
  const std::string reasons = Reasons(now, before, seconds, &quarantined);
  const double backlog = now.Value("sluice_spool_backlog_records");
  std::string line = "in " + Number(rate("sluice_received_messages_total")) + "/s  stored " +
                     Number(rate("sluice_stored_messages_total")) + "/s  ";
  line += "p50 " + Latency(Quantile(latency, 0.5)) + "  p99 " + Latency(Quantile(latency, 0.99));
  line += "  backlog " + Number(backlog) + " " + BacklogBar(backlog);
  if (now.Value("sluice_database_up") == 0) line += "  DATABASE DOWN";
  return line + "  quarantined " + Number(quarantined) + "/s" + reasons;
}

void Watch(const WatchOptions& options, const volatile std::sig_atomic_t* stop) {
  StatusLine shown(stdout);
  const int64_t start = SystemClock().Monotonic();
  std::optional<Scrape> before;
  int64_t before_at = 0;
  for (int64_t tick = 0; *stop == 0 && (options.seconds == 0 || tick <= options.seconds); ++tick) {
    SleepUntil(start + tick * kSecond);
    if (*stop != 0) break;
    const Result<std::string> text = HttpGet(options.url, "/metrics");
    const int64_t now_at = SystemClock().Monotonic();
    if (!text.ok()) {
      shown.Show(options.url + " does not answer: " + text.message());
      before.reset();
      continue;
    }
    Scrape now(*text);
    if (before) {
      const double seconds = static_cast<double>(now_at - before_at) / 1e6;
      shown.Show(std::to_string(tick) + " s  " + WatchLine(now, *before, seconds));
    }
    before = std::move(now);
    before_at = now_at;
  }
}

}  // namespace sluice::loadtest
