#include "base/time_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strong.h"

namespace clickmill {
namespace {

constexpr int64_t kYear0Ms = -62'167'219'200'000;
constexpr int64_t kYear9999Ms = 253'402'300'799'999;

/// Reads `count` digits off the front.
std::optional<int64_t> digits(std::string_view& text, size_t count) {
  if (text.size() < count) return std::nullopt;
  int64_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool skip(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

unsigned days_in_month(int64_t year, unsigned month) {
  static constexpr unsigned kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : kDays[month - 1];
}

std::optional<int64_t> parse_fraction(std::string_view& text) {
  if (!skip(text, '.')) return 0;
  int64_t ms = 0;
  int64_t scale = 100;
  size_t count = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    ms += (text.front() - '0') * scale;
    scale /= 10;
    text.remove_prefix(1);
    ++count;
  }
  if (count == 0 || count > 9) return std::nullopt;
  return ms;
}

std::optional<int64_t> parse_zone(std::string_view& text) {
  if (skip(text, 'Z') || skip(text, 'z')) return 0;
  // A '+' in a query string decodes to a space; the intent is plain.
  const bool plus = !text.empty() && (text.front() == '+' || text.front() == ' ');
  if (!plus && (text.empty() || text.front() != '-')) return std::nullopt;
  text.remove_prefix(1);
  const auto hour = digits(text, 2);
  if (!hour || *hour > 23) return std::nullopt;
  skip(text, ':');
  const auto minute = digits(text, 2);
  if (!minute || *minute > 59) return std::nullopt;
  const int64_t ms = (*hour * 60 + *minute) * kMinuteMs;
  return plus ? ms : -ms;
}

/// A date off the front, as its midnight.
std::optional<int64_t> parse_date(std::string_view& text) {
  const auto year = digits(text, 4);
  if (!year || !skip(text, '-')) return std::nullopt;
  const auto month = digits(text, 2);
  if (!month || *month < 1 || *month > 12 || !skip(text, '-')) return std::nullopt;
  const auto day = digits(text, 2);
  if (!day || *day < 1 || *day > days_in_month(*year, static_cast<unsigned>(*month)))
    return std::nullopt;
  return days_from_civil(*year, static_cast<unsigned>(*month), static_cast<unsigned>(*day)) *
         kDayMs;
}

/// A time of day off the front; seconds and their fraction may be missing.
std::optional<int64_t> parse_clock(std::string_view& text) {
  const auto hour = digits(text, 2);
  if (!hour || *hour > 23 || !skip(text, ':')) return std::nullopt;
  const auto minute = digits(text, 2);
  if (!minute || *minute > 59) return std::nullopt;
  const int64_t ms = *hour * kHourMs + *minute * kMinuteMs;
  if (!skip(text, ':')) return ms;
  const auto second = digits(text, 2);
  if (!second || *second > 59) return std::nullopt;
  const auto fraction = parse_fraction(text);
  if (!fraction) return std::nullopt;
  return ms + *second * 1000 + *fraction;
}

/// A date alone, or with a time of day.
std::optional<int64_t> parse_local(std::string_view text) {
  const auto day_ms = parse_date(text);
  if (!day_ms || text.empty()) return day_ms;
  if (!skip(text, 'T') && !skip(text, 't')) return std::nullopt;
  const auto clock_ms = parse_clock(text);
  if (!clock_ms || !text.empty()) return std::nullopt;
  return *day_ms + *clock_ms;
}

std::optional<int64_t> parse_epoch(std::string_view text) {
  if (text.empty() || text.size() > 15) return std::nullopt;
  const size_t count = text.size();
  return digits(text, count);
}

}  // namespace

int64_t days_from_civil(int64_t year, unsigned month, unsigned day) {
  year -= month <= 2;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned day_of_year = (153 * (month + (month > 2 ? -3U : 9U)) + 2) / 5 + day - 1;
  const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + static_cast<int64_t>(day_of_era) - 719468;
}

CivilDay civil_from_days(int64_t days) {
  days += 719468;
  const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const auto day_of_era = static_cast<unsigned>(days - era * 146097);
  const unsigned year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const unsigned day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned shifted_month = (5 * day_of_year + 2) / 153;
  const unsigned month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  return CivilDay{era * 400 + static_cast<int64_t>(year_of_era) + (month <= 2 ? 1 : 0), month,
                  day_of_year - (153 * shifted_month + 2) / 5 + 1};
}

std::string format_time_ms(int64_t ms) {
  ms = std::clamp(ms, kYear0Ms, kYear9999Ms);
  const int64_t days = floor_to(ms, kDayMs) / kDayMs;
  const int64_t rest = ms - days * kDayMs;
  const CivilDay date = civil_from_days(days);
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", date.year, date.month,
                                date.day, rest / kHourMs, rest / kMinuteMs % 60, rest / 1000 % 60);
  if (rest % 1000 != 0) out += fmt::format(".{:03}", rest % 1000);
  out += 'Z';
  return out;
}

std::optional<int64_t> parse_time_ms(std::string_view text) {
  if (const auto epoch = parse_epoch(text)) return epoch;
  const auto day_ms = parse_date(text);
  if (!day_ms || (!skip(text, 'T') && !skip(text, 't'))) return std::nullopt;
  const auto clock_ms = parse_clock(text);
  const auto zone_ms = parse_zone(text);
  if (!clock_ms || !zone_ms || !text.empty()) return std::nullopt;
  return *day_ms + *clock_ms - *zone_ms;
}

Result<TypedTime> parse_typed_time(std::string_view text) {
  constexpr int64_t kSecondsMost = 100'000'000'000;
  if (const auto epoch = parse_epoch(text); epoch && *epoch != 0 && *epoch < kSecondsMost) {
    return Error(Errc::invalid, fmt::format("looks like seconds since 1970; times are in "
                                            "milliseconds, so {}, or like {}",
                                            *epoch * 1000, format_time_ms(*epoch * 1000)));
  }
  TypedTime time;
  const auto instant = parse_time_ms(text);
  const auto local = parse_local(text);
  if (!instant && !local) {
    return Error(Errc::invalid,
                 "is no time: write 2026-06-24T10:00:00Z, 2026-06-24T10:00 or 2026-06-24, or "
                 "milliseconds since 1970");
  }
  time.local = !instant;
  time.ms = instant ? *instant : *local;
  if (time.ms < kYear0Ms || time.ms > kYear9999Ms)
    return Error(Errc::invalid, "is not in the years 0000 to 9999");
  return time;
}

}  // namespace clickmill
