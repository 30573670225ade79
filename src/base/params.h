#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/query_params.h"
#include "base/text.h"

namespace clickmill {

/// A parameter to blame, and why. The field is empty when the query string itself is broken.
struct ParamError {
  std::string field;
  std::string detail;
};

/// The last millisecond of the year 9999; no time that passes is later.
inline constexpr int64_t kTimeMsMax = 253'402'300'799'999;

/// A time range in ms since 1970: [from, to).
struct TimeRange {
  int64_t from_ms = 0;
  int64_t to_ms = 0;
};

/// Reads the parameters of one request, one by one. The first that is wrong is
/// remembered, and what is read after it may be anything: ask failure() before
/// calculating with any of it. Whatever passes is safe to calculate with.
/// Thread: one.
class Params {
 public:
  explicit Params(std::string_view query) : Params(parse_query(query)) {}
  explicit Params(QueryParams params) : params_(std::move(params)) {}

  /// Every parameter is one of these and stands once.
  void expect_only(std::initializer_list<std::string_view> known);
  /// First of that name, or null.
  const std::string* find(std::string_view name) const { return params_.find(name); }
  /// Its place in the query string; that of an absent one is behind all.
  size_t position(std::string_view name) const;
  /// The one that stands later in the query string.
  std::string_view later(std::string_view a, std::string_view b) const {
    return position(a) > position(b) ? a : b;
  }

  /// What a date or a time without a zone means: the instant at which a clock shows it.
  /// Without this call it is UTC.
  using InstantOf = std::function<int64_t(int64_t shown_ms)>;
  void read_local_times(InstantOf instant_of) { instant_of_ = std::move(instant_of); }
  /// A time in the years 0000 to 9999; required unless there is an `absent`.
  int64_t time(std::string_view name, std::optional<int64_t> absent = std::nullopt);
  /// `from` and `to`, both required.
  TimeRange range();
  /// `from` and `to`; one that isn't given is as in `absent`.
  TimeRange range(TimeRange absent);
  uint64_t number(std::string_view name, uint64_t absent, uint64_t low, uint64_t high);
  template <typename T, size_t N>
  T word(std::string_view name, T absent, const std::array<std::pair<std::string_view, T>, N>& all);
  /// `true` or `false`.
  bool flag(std::string_view name, bool absent);

  void fail(std::string_view field, std::string detail);
  const std::optional<ParamError>& failure() const { return failure_; }

 private:
  TimeRange ordered(int64_t from_ms, int64_t to_ms);

  const QueryParams params_;
  InstantOf instant_of_;
  std::optional<ParamError> failure_;
};

/// All digits, nothing else, and no overflow.
std::optional<uint64_t> parse_number(std::string_view text);

template <typename T, size_t N>
T Params::word(std::string_view name, T absent,
               const std::array<std::pair<std::string_view, T>, N>& all) {
  const std::string* text = find(name);
  if (text == nullptr) return absent;
  std::string words;
  for (const auto& [word, value] : all) {
    if (word == *text) return value;
    words.append(words.empty() ? "" : ", ").append(word);
  }
  fail(name, shown(*text) + " is none of " + words);
  return absent;
}

}  // namespace clickmill
