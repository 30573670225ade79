#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace clickmill {

/// `2026-06-24T10:00:00Z`; milliseconds only when there are any.
/// `ms` since 1970, UTC, years 0000 to 9999 (others are clamped).
std::string format_time_ms(int64_t ms);
/// Reads `2026-06-24T10:00:00Z`, with optional fraction (cut to ms), with `Z` or
/// `+hh:mm`; or epoch milliseconds as plain digits. Empty when it is neither.
std::optional<int64_t> parse_time_ms(std::string_view text);
/// A time as a person writes it.
struct TypedTime {
  int64_t ms = 0;
  bool local = false;  ///< what a clock shows somewhere, as if it were UTC
};
/// Reads what parse_time_ms reads, and a date (`2026-11-01`, its first instant) or a time
/// without `Z` (`2026-11-01T10:00`), which are local. Years 0000 to 9999.
/// Errc::invalid says why it is none, to be put behind the quoted text. So are seconds in
/// place of milliseconds (a number below 10^11, except 0).
Result<TypedTime> parse_typed_time(std::string_view text);
/// Days since 1970 of a civil date, and back (Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms").
int64_t days_from_civil(int64_t year, unsigned month, unsigned day);
struct CivilDay {
  int64_t year;
  unsigned month;
  unsigned day;
};
CivilDay civil_from_days(int64_t days);

}  // namespace clickmill
