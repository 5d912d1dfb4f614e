// Timestamps as devices write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace sluice {

// ISO 8601: YYYY, YYYY-MM, YYYY-MM-DD or YYYYMMDD, week dates (YYYY-Www[-D], YYYYWww[D]); then,
// optionally, T or a space and hh, hh:mm, hhmm, hh:mm:ss, hhmmss with a fraction (. or ,) of 1 to 9
// digits, truncated to microseconds; 24:00 is the next day's midnight; after a time, optionally, Z,
// ±hh, ±hhmm or ±hh:mm. Without a zone: UTC. Years 0001 to 9999. nullopt for anything else.
std::optional<UnixMicros> ParseIso8601(std::string_view text);

// A JSON number's text as seconds, milliseconds, microseconds or nanoseconds since 1970, the unit
// chosen by size: |x| < 1e11 s, < 1e14 ms, < 1e17 µs, else ns (so seconds reach the year 5138).
// Decimal arithmetic, no floating point: 1767225600.123456 keeps its microseconds, also when
// written with an exponent. nullopt when it is no JSON number or outside of the years 0001 to 9999.
std::optional<UnixMicros> ParseEpoch(std::string_view number);

// "2026-03-01T10:00:00.000000Z".
std::string FormatIso8601(UnixMicros time);

// Days since 1970-01-01 UTC, and such a day as "2026-03-01".
int64_t DayOf(UnixMicros time);
std::string FormatDay(int64_t day);

}  // namespace sluice
