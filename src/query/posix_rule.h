#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace clickmill::query {

/// The rule for the years after a zone file's last transition: POSIX's TZ string
/// with RFC 8536's extended hours, e.g. `CET-1CEST,M3.5.0,M10.5.0/3`.
struct PosixRule {
  /// One of the two days of the year on which the clock changes.
  struct Day {
    enum class Kind : uint8_t { month_week, julian, zero_based };
    Kind kind = Kind::month_week;
    unsigned month = 1;  ///< 1–12, month_week only
    unsigned week = 1;   ///< 1–5; 5 is the last
    unsigned day = 0;    ///< weekday from Sunday = 0; or day of the year
    int64_t time_s = 7200;
    /// Local seconds since 1970 at which it happens in that year.
    int64_t at(int64_t year) const;
  };
  int64_t standard_offset_s = 0;  ///< east of UTC
  bool has_summer = false;
  int64_t summer_offset_s = 0;
  Day summer_begin;
  Day summer_end;
};

/// Empty for anything that isn't such a rule.
std::optional<PosixRule> parse_posix_rule(std::string_view text);

}  // namespace clickmill::query
