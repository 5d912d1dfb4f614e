#include "base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/escape.h"

namespace sluice {
namespace {

constexpr int64_t kLinesPerSecond = 10;
constexpr size_t kMaxEventNames = 512;

std::string_view LevelName(LogLevel level) {
  constexpr std::array<std::string_view, 4> kNames = {"DEBUG", "INFO", "WARNING", "ERROR"};
  return kNames[static_cast<size_t>(level)];
}

// Lets 10 lines a second of each event name pass and counts the rest. Thread-safe.
class EventLimiter {
 public:
  struct Verdict {
    bool write = false;
    uint64_t suppressed = 0;  // lines of this name left out since the last one written
  };

  Verdict Admit(LogLevel level, std::string_view event, int64_t monotonic_micros) {
    const int64_t second = monotonic_micros / 1'000'000;
    const std::scoped_lock lock(mutex_);
    Window& window = Find(event);
    if (window.second != second) {
      window.second = second;
      window.written = 0;
    }
    if (window.written >= kLinesPerSecond && level != LogLevel::kError) {
      ++window.suppressed;
      return {};
    }
    ++window.written;
    return {true, std::exchange(window.suppressed, 0)};
  }

 private:
  struct Window {
    int64_t second = 0;
    int64_t written = 0;
    uint64_t suppressed = 0;
  };

  // Event names are constants, so the map stays small; should somebody make names up, those beyond
  // the bound share one window.
  Window& Find(std::string_view event) {
    std::string name(event);
    const auto found = windows_.find(name);
    if (found != windows_.end()) return found->second;
    return windows_.size() < kMaxEventNames ? windows_[std::move(name)] : others_;
  }

  std::mutex mutex_;
  std::unordered_map<std::string, Window> windows_;
  Window others_;
};

struct LogState {
  LogState() : logger("", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger.set_pattern("%v");
    logger.set_level(spdlog::level::trace);
  }

  LogLevel minimum = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  std::string service = "sluice";
  EventLimiter limiter;
  spdlog::logger logger;
};

// Never destroyed: threads may still log while the process exits.
LogState& State() {
  static auto* const state = new LogState;
  return *state;
}

void AppendTime(int64_t unix_micros, std::string* out) {
  using namespace std::chrono;  // NOLINT(google-build-using-namespace)
  const sys_time<milliseconds> time(floor<milliseconds>(microseconds(unix_micros)));
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  std::array<char, 40> text{};
  const int size = std::snprintf(
      text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ",
      static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
      static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
      static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
      static_cast<int>(clock.subseconds().count()));
  out->append(text.data(), static_cast<size_t>(size));
}

void AppendQuoted(std::string_view text, std::string* out) {
  *out += '"';
  AppendEscaped(text, out);
  *out += '"';
}

template <typename Number>
void AppendNumber(Number number, std::string* out) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  out->append(text.data(), end);
}

struct AppendValue {
  void operator()(bool value) const { *out += value ? "true" : "false"; }
  void operator()(int64_t value) const { AppendNumber(value, out); }
  void operator()(uint64_t value) const { AppendNumber(value, out); }
  void operator()(double value) const {
    if (std::isfinite(value)) return AppendNumber(value, out);
    *out += std::isnan(value) ? "\"nan\"" : value > 0 ? "\"inf\"" : "\"-inf\"";  // JSON has none
  }
  void operator()(std::string_view value) const { AppendQuoted(value, out); }

  std::string* out;
};

std::string FormatText(LogLevel level, std::string_view event, std::span<const LogField> fields,
                       int64_t now) {
  std::string line;
  AppendTime(now, &line);
  line.append(" ").append(LevelName(level)).append(" ").append(event);
  for (const LogField& field : fields) {
    line.append(" ").append(field.key).append("=");
    std::visit(AppendValue{&line}, field.value);
  }
  return line;
}

std::string FormatJson(LogLevel level, std::string_view service, std::string_view event,
                       std::span<const LogField> fields, int64_t now) {
  std::string line = "{\"ts\":\"";
  AppendTime(now, &line);
  line.append("\",\"level\":\"").append(LevelName(level)).append("\",\"service\":");
  AppendQuoted(service, &line);
  line += ",\"event\":";
  AppendQuoted(event, &line);
  for (const LogField& field : fields) {
    line += ',';
    AppendQuoted(field.key, &line);
    line += ':';
    std::visit(AppendValue{&line}, field.value);
  }
  line += '}';
  return line;
}

std::string Format(LogFormat format, LogLevel level, std::string_view service,
                   std::string_view event, std::span<const LogField> fields, int64_t now) {
  return format == LogFormat::kJson ? FormatJson(level, service, event, fields, now)
                                    : FormatText(level, event, fields, now);
}

}  // namespace

void ConfigureLog(LogLevel minimum, LogFormat format, std::string_view service) {
  LogState& state = State();
  state.minimum = minimum;
  state.format = format;
  state.service = service;
}

void Log(LogLevel level, std::string_view event, LogFields fields) {
  try {
    LogState& state = State();
    if (level < state.minimum) return;
    const auto [write, suppressed] = state.limiter.Admit(level, event, SystemClock().Monotonic());
    if (!write) return;
    std::vector<LogField> all(fields);
    if (suppressed > 0) all.emplace_back("suppressed", suppressed);
    const std::string line =
        Format(state.format, level, state.service, event, all, SystemClock().Now());
    state.logger.log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  } catch (...) {  // out of memory: a line is lost, the caller is not
    std::fputs("log line lost: out of memory\n", stderr);
  }
}

std::string FormatLogLine(LogFormat format, LogLevel level, std::string_view service,
                          std::string_view event, LogFields fields, int64_t now) {
  return Format(format, level, service, event, {fields.begin(), fields.size()}, now);
}

}  // namespace sluice
