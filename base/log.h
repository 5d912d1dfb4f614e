// Structured logging: one line per event, text or JSON, to standard error.
//
//   LogInfo("spool_opened", {{"dir", dir}, {"records", count}});
//
// Every string value is escaped (control characters, quotes, backslashes, invalid UTF-8, bidi
// controls), so text that a device chose can neither start a line nor move a terminal's cursor.
// Thread-safe. Never blocks on anything but standard error itself. Never throws.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

namespace sluice {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

struct LogField {
  using Value = std::variant<bool, int64_t, uint64_t, double, std::string_view>;

  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(std::string_view{v}) {}
  LogField(std::string_view k, bool v) : key(k), value(v) {}
  LogField(std::string_view k, double v) : key(k), value(v) {}
  template <std::signed_integral T>
  LogField(std::string_view k, T v) : key(k), value(static_cast<int64_t>(v)) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) LogField(std::string_view k, T v)
      : key(k), value(static_cast<uint64_t>(v)) {}

  std::string_view key;
  Value value;
};
using LogFields = std::initializer_list<LogField>;

// Called once at start, before other threads exist; until then: text at kInfo, service "sluice".
void ConfigureLog(LogLevel minimum, LogFormat format, std::string_view service);

// An event's name is lower_snake_case and stable: operators grep for it. At most 10 lines a second
// are written per event name; what was left out is said as suppressed=N on the next line of that
// name. kError is never left out.
void Log(LogLevel level, std::string_view event, LogFields fields = {});
inline void LogDebug(std::string_view event, LogFields f = {}) {
  Log(LogLevel::kDebug, event, f);
}
inline void LogInfo(std::string_view event, LogFields f = {}) {
  Log(LogLevel::kInfo, event, f);
}
inline void LogWarning(std::string_view event, LogFields f = {}) {
  Log(LogLevel::kWarning, event, f);
}
inline void LogError(std::string_view event, LogFields f = {}) {
  Log(LogLevel::kError, event, f);
}

// The line without its newline, as Log would write it; for tests. `now` in Unix microseconds.
std::string FormatLogLine(LogFormat format, LogLevel level, std::string_view service,
                          std::string_view event, LogFields fields, int64_t now);

}  // namespace sluice
