#include "query/posix_rule.h"

#include "base/time_text.h"

namespace clickmill::query {
namespace {

constexpr int64_t kDayS = 86'400;

/// Takes pieces off the front; any failure sticks, so that callers ask once.
class RuleText {
 public:
  explicit RuleText(std::string_view text) : rest_(text) {}
  bool ok() const { return !failed_; }
  bool empty() const { return rest_.empty(); }
  bool next_is(char c) const { return !rest_.empty() && rest_.front() == c; }

  bool skip(char c) {
    if (!next_is(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!skip(c)) fail();
  }
  unsigned number(unsigned low, unsigned high) {
    unsigned value = 0;
    size_t digits = 0;
    while (digits < 3 && !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
      value = value * 10 + static_cast<unsigned>(rest_.front() - '0');
      rest_.remove_prefix(1);
      ++digits;
    }
    if (digits == 0 || value < low || value > high) fail();
    return value;
  }
  /// Three or more letters, or anything between < and >.
  void name() {
    const bool quoted = skip('<');
    size_t length = 0;
    while (length < rest_.size() && (quoted ? rest_[length] != '>' : is_letter(rest_[length]))) {
      ++length;
    }
    if (length < 3) return fail();
    rest_.remove_prefix(length);
    if (quoted) expect('>');
  }
  /// [+|-]hh[:mm[:ss]] in seconds.
  int64_t time(unsigned hours_max) {
    const bool negative = skip('-');
    if (!negative) skip('+');
    int64_t seconds = int64_t{number(0, hours_max)} * 3600;
    if (skip(':')) {
      seconds += int64_t{number(0, 59)} * 60;
      if (skip(':')) seconds += number(0, 59);
    }
    return negative ? -seconds : seconds;
  }
  PosixRule::Day day() {
    PosixRule::Day out;
    if (skip('M')) {
      out.month = number(1, 12);
      expect('.');
      out.week = number(1, 5);
      expect('.');
      out.day = number(0, 6);
    } else if (skip('J')) {
      out.kind = PosixRule::Day::Kind::julian;
      out.day = number(1, 365);
    } else {
      out.kind = PosixRule::Day::Kind::zero_based;
      out.day = number(0, 365);
    }
    if (skip('/')) out.time_s = time(167);
    return out;
  }

 private:
  static bool is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
  void fail() {
    failed_ = true;
    rest_ = {};
  }
  std::string_view rest_;
  bool failed_ = false;
};

bool is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

/// Day since 1970 of the n-th such weekday of the month.
int64_t month_week_day(int64_t year, unsigned month, unsigned week, unsigned weekday) {
  const int64_t first = days_from_civil(year, month, 1);
  const int64_t next_month =
      month == 12 ? days_from_civil(year + 1, 1, 1) : days_from_civil(year, month + 1, 1);
  // 1970-01-01 was a Thursday.
  const int64_t first_weekday = ((first + 4) % 7 + 7) % 7;
  int64_t day = first + (static_cast<int64_t>(weekday) - first_weekday + 7) % 7;
  for (unsigned i = 1; i < week && day + 7 < next_month; ++i) day += 7;
  return day;
}

}  // namespace

int64_t PosixRule::Day::at(int64_t year) const {
  const int64_t new_year = days_from_civil(year, 1, 1);
  switch (kind) {
    case Kind::month_week: return month_week_day(year, month, week, day) * kDayS + time_s;
    // Day 60 is March 1 in every year: this form can't name February 29.
    case Kind::julian: {
      const int64_t skipped = is_leap(year) && day >= 60 ? 1 : 0;
      return (new_year + day - 1 + skipped) * kDayS + time_s;
    }
    case Kind::zero_based: return (new_year + day) * kDayS + time_s;
  }
  return 0;
}

std::optional<PosixRule> parse_posix_rule(std::string_view text) {
  RuleText in(text);
  PosixRule rule;
  in.name();
  // POSIX counts west of Greenwich.
  rule.standard_offset_s = -in.time(24);
  if (!in.ok()) return std::nullopt;
  if (in.empty()) return rule;
  rule.has_summer = true;
  in.name();
  rule.summer_offset_s = in.next_is(',') ? rule.standard_offset_s + 3600 : -in.time(24);
  in.expect(',');
  rule.summer_begin = in.day();
  in.expect(',');
  rule.summer_end = in.day();
  if (!in.ok() || !in.empty()) return std::nullopt;
  return rule;
}

}  // namespace clickmill::query
