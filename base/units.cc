#include "base/units.h"

#include <array>
#include <charconv>
#include <limits>
#include <span>

namespace sluice {
namespace {

struct Unit {
  std::string_view suffix;
  uint64_t size;
};

constexpr uint64_t kSecond = 1000;
constexpr uint64_t kMinute = 60 * kSecond;
constexpr uint64_t kHour = 60 * kMinute;
constexpr uint64_t kDay = 24 * kHour;

// Largest first: formatting takes the first that divides.
constexpr std::array kDurationUnits = {Unit{"d", kDay}, Unit{"h", kHour}, Unit{"m", kMinute},
                                       Unit{"s", kSecond}, Unit{"ms", 1}};
constexpr std::array kBinaryUnits = {Unit{"TiB", 1ULL << 40}, Unit{"GiB", 1ULL << 30},
                                     Unit{"MiB", 1ULL << 20}, Unit{"KiB", 1ULL << 10}, Unit{"", 1}};
constexpr std::array kByteUnits = {Unit{"TiB", 1ULL << 40},
                                   Unit{"GiB", 1ULL << 30},
                                   Unit{"MiB", 1ULL << 20},
                                   Unit{"KiB", 1ULL << 10},
                                   Unit{"B", 1},
                                   Unit{"kB", 1'000},
                                   Unit{"KB", 1'000},
                                   Unit{"MB", 1'000'000},
                                   Unit{"GB", 1'000'000'000},
                                   Unit{"TB", 1'000'000'000'000}};

std::optional<uint64_t> Parse(std::string_view text, uint64_t bare, std::span<const Unit> units,
                              uint64_t limit) {
  uint64_t count = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc()) return std::nullopt;
  const std::string_view suffix(rest, static_cast<size_t>(end - rest));
  uint64_t size = suffix.empty() ? bare : 0;
  for (const Unit& unit : units) {
    if (!suffix.empty() && unit.suffix == suffix) size = unit.size;
  }
  if (size == 0 || count > limit / size) return std::nullopt;
  return count * size;
}

std::string Format(uint64_t value, std::span<const Unit> units) {
  if (value == 0) return "0";
  for (const Unit& unit : units) {
    if (value % unit.size == 0) return std::to_string(value / unit.size).append(unit.suffix);
  }
  return std::to_string(value);
}

}  // namespace

std::optional<std::chrono::milliseconds> ParseDuration(std::string_view text,
                                                       std::chrono::milliseconds unit) {
  const auto value = Parse(text, static_cast<uint64_t>(unit.count()), kDurationUnits,
                           std::numeric_limits<int64_t>::max());
  if (!value) return std::nullopt;
  return std::chrono::milliseconds(static_cast<int64_t>(*value));
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  return Format(static_cast<uint64_t>(duration.count()), kDurationUnits);
}

std::optional<uint64_t> ParseBytes(std::string_view text) {
  return Parse(text, 1, kByteUnits, std::numeric_limits<uint64_t>::max());
}

std::string FormatBytes(uint64_t bytes) {
  return Format(bytes, kBinaryUnits);
}

std::string FormatCount(uint64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace sluice
