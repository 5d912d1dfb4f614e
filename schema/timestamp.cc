#include "schema/timestamp.h"

#include <array>
#include <cstdio>

#include "schema/json_number.h"

namespace sluice {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kSecondsPerDay = 86'400;
constexpr int64_t kMicrosPerDay = kSecondsPerDay * kMicrosPerSecond;
constexpr UnixMicros kFirst = -62'135'596'800 * kMicrosPerSecond;     // 0001-01-01T00:00:00
constexpr UnixMicros kPastLast = 253'402'300'800 * kMicrosPerSecond;  // 10000-01-01T00:00:00

// DaysFromCivil and CivilFromDays are Howard Hinnant's days_from_civil and civil_from_days
// ("chrono-Compatible Low-Level Date Algorithms"): proleptic Gregorian days since 1970-01-01.
constexpr int64_t DaysFromCivil(int64_t year, int month, int day) {
  year -= month <= 2 ? 1 : 0;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

struct Civil {
  int64_t year;
  int month;
  int day;
};

constexpr Civil CivilFromDays(int64_t days) {
  days += 719'468;
  const int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const int64_t day_of_era = days - era * 146'097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t shifted_month = (5 * day_of_year + 2) / 153;
  const int day = static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1);
  const int month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

static_assert(DaysFromCivil(1970, 1, 1) == 0);
static_assert(DaysFromCivil(1, 1, 1) * kSecondsPerDay * kMicrosPerSecond == kFirst);
static_assert(DaysFromCivil(10'000, 1, 1) * kSecondsPerDay * kMicrosPerSecond == kPastLast);

constexpr bool IsLeap(int year) {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

constexpr int DaysInMonth(int year, int month) {
  constexpr std::array<int, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && IsLeap(year) ? 29 : kDays[static_cast<size_t>(month - 1)];
}

// The Monday of the week that holds 4 January: the first day of the ISO year.
constexpr int64_t FirstMonday(int year) {
  const int64_t fourth = DaysFromCivil(year, 1, 4);
  const int64_t since_monday = ((fourth + 3) % 7 + 7) % 7;  // 1970-01-01 was a Thursday
  return fourth - since_monday;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : next_(text.data()), end_(next_ + text.size()) {}

  bool AtEnd() const { return next_ == end_; }
  bool AtDigit() const { return !AtEnd() && *next_ >= '0' && *next_ <= '9'; }
  bool Take(char c) {
    if (AtEnd() || *next_ != c) return false;
    ++next_;
    return true;
  }
  // Exactly `count` digits.
  bool Number(int count, int* value) {
    *value = 0;
    for (; count > 0; --count) {
      if (!AtDigit()) return false;
      *value = *value * 10 + (*next_++ - '0');
    }
    return true;
  }
  bool Number(int count, int low, int high, int* value) {
    return Number(count, value) && *value >= low && *value <= high;
  }

 private:
  const char* next_;
  const char* end_;
};

// After the 'W'.
bool ReadWeek(Reader* in, int year, bool extended, int64_t* days) {
  int week = 0;
  int day = 1;
  if (!in->Number(2, 1, 53, &week)) return false;
  if ((extended ? in->Take('-') : in->AtDigit()) && !in->Number(1, 1, 7, &day)) return false;
  const int64_t monday = FirstMonday(year) + int64_t{7} * (week - 1);
  *days = monday + day - 1;
  return week < 53 || monday < FirstMonday(year + 1);
}

bool ReadDate(Reader* in, int64_t* days) {
  int year = 0;
  int month = 1;
  int day = 1;
  if (!in->Number(4, 1, 9999, &year)) return false;
  const bool extended = in->Take('-');
  if (in->Take('W')) return ReadWeek(in, year, extended, days);
  if (extended) {
    if (!in->Number(2, 1, 12, &month)) return false;
    if (in->Take('-') && !in->Number(2, 1, DaysInMonth(year, month), &day)) return false;
  } else if (in->AtDigit()) {
    if (!in->Number(2, 1, 12, &month)) return false;
    if (!in->Number(2, 1, DaysInMonth(year, month), &day)) return false;
  }
  *days = DaysFromCivil(year, month, day);
  return true;
}

// One to nine digits after the point.
bool ReadFraction(Reader* in, int64_t* micros) {
  if (!in->AtDigit()) return false;
  int64_t unit = 100'000;
  for (int count = 0; in->AtDigit(); ++count, unit /= 10) {
    int digit = 0;
    if (count == 9 || !in->Number(1, &digit)) return false;
    *micros += digit * unit;
  }
  return true;
}

bool ReadTimeOfDay(Reader* in, int64_t* micros) {
  int hour = 0;
  int minute = 0;
  int second = 0;
  int64_t fraction = 0;
  if (!in->Number(2, 0, 24, &hour)) return false;
  const bool extended = in->Take(':');
  if (extended || in->AtDigit()) {
    if (!in->Number(2, 0, 59, &minute)) return false;
    if (extended ? in->Take(':') : in->AtDigit()) {
      if (!in->Number(2, 0, 59, &second)) return false;
      if ((in->Take('.') || in->Take(',')) && !ReadFraction(in, &fraction)) return false;
    }
  }
  *micros = (hour * 3600 + minute * 60 + second) * kMicrosPerSecond + fraction;
  return *micros <= kSecondsPerDay * kMicrosPerSecond;
}

bool ReadZone(Reader* in, int64_t* offset_seconds) {
  if (in->AtEnd() || in->Take('Z')) return true;
  const bool west = in->Take('-');
  if (!west && !in->Take('+')) return false;
  int hours = 0;
  int minutes = 0;
  if (!in->Number(2, 0, 23, &hours)) return false;
  if ((in->Take(':') || in->AtDigit()) && !in->Number(2, 0, 59, &minutes)) return false;
  const int64_t seconds = hours * 3600 + minutes * 60;
  *offset_seconds = west ? -seconds : seconds;
  return true;
}

std::optional<UnixMicros> WithinYears(UnixMicros time) {
  if (time < kFirst || time >= kPastLast) return std::nullopt;
  return time;
}

}  // namespace

std::optional<UnixMicros> ParseIso8601(std::string_view text) {
  Reader in(text);
  int64_t days = 0;
  int64_t micros = 0;
  int64_t offset_seconds = 0;
  if (!ReadDate(&in, &days)) return std::nullopt;
  if (in.Take('T') || in.Take(' ')) {
    if (!ReadTimeOfDay(&in, &micros) || !ReadZone(&in, &offset_seconds)) return std::nullopt;
  }
  if (!in.AtEnd()) return std::nullopt;
  return WithinYears((days * kSecondsPerDay - offset_seconds) * kMicrosPerSecond + micros);
}

std::optional<UnixMicros> ParseEpoch(std::string_view text) {
  JsonNumber number;
  if (!SplitJsonNumber(text, &number)) return std::nullopt;
  const auto integer_digits = static_cast<int64_t>(number.integer.size());
  const auto all_digits = integer_digits + static_cast<int64_t>(number.fraction.size());
  const auto digit = [&](int64_t i) -> int64_t {
    if (i >= all_digits) return 0;
    return (i < integer_digits ? number.integer[static_cast<size_t>(i)]
                               : number.fraction[static_cast<size_t>(i - integer_digits)]) -
           '0';
  };
  // The digits are a run with the decimal point at `point`; `first` is the first that counts.
  const int64_t point = integer_digits + number.exponent;
  int64_t first = 0;
  while (first < all_digits && digit(first) == 0) ++first;
  if (first == all_digits) return 0;

  const int64_t magnitude = point - first;  // |x| < 10^magnitude
  if (magnitude > 21) return std::nullopt;
  const int shift = magnitude <= 11 ? 6 : magnitude <= 14 ? 3 : magnitude <= 17 ? 0 : -3;
  int64_t micros = 0;
  for (int64_t i = first; i < point + shift; ++i) micros = micros * 10 + digit(i);
  return WithinYears(number.negative ? -micros : micros);
}

std::string FormatIso8601(UnixMicros time) {
  const Civil date = CivilFromDays(DayOf(time));
  int64_t rest = time % kMicrosPerDay;
  if (rest < 0) rest += kMicrosPerDay;
  const int seconds = static_cast<int>(rest / kMicrosPerSecond);
  const int micros = static_cast<int>(rest % kMicrosPerSecond);
  std::array<char, 40> text{};
  const int size = std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
                                 static_cast<int>(date.year), date.month, date.day, seconds / 3600,
                                 seconds / 60 % 60, seconds % 60, micros);
  return {text.data(), static_cast<size_t>(size)};
}

int64_t DayOf(UnixMicros time) {
  return time / kMicrosPerDay - (time % kMicrosPerDay < 0 ? 1 : 0);
}

std::string FormatDay(int64_t day) {
  return FormatIso8601(day * kMicrosPerDay).substr(0, 10);
}

}  // namespace sluice
