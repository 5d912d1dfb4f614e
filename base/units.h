// Durations, byte sizes and counts as an operator writes and reads them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

// "250ms", "10s", "10m", "2h", "30d"; a bare number counts `unit`s. Whole numbers only, no sign.
// nullopt for anything else and for what does not fit.
std::optional<std::chrono::milliseconds> ParseDuration(std::string_view text,
                                                       std::chrono::milliseconds unit);
// In the largest unit that divides it: 90000 ms is "90s", 0 is "0". ParseDuration reads it back.
std::string FormatDuration(std::chrono::milliseconds duration);

// "64KiB", "8GiB" (powers of 1024), "10MB" (powers of 1000); a bare number or "B" counts bytes.
std::optional<uint64_t> ParseBytes(std::string_view text);
// In the largest power of 1024 that divides it: 65536 is "64KiB". ParseBytes reads it back.
std::string FormatBytes(uint64_t bytes);

// "1 message", "2 messages".
std::string FormatCount(uint64_t count, std::string_view noun);

}  // namespace sluice
