#include "base/params.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/edit_distance.h"
#include "base/time_text.h"

namespace clickmill {
namespace {

std::string unknown(const std::string& name, std::initializer_list<std::string_view> known) {
  if (known.size() == 0)
    return fmt::format("there is no parameter {}; none is known here", shown(name));
  // A name longer than any of ours is nobody's slip; comparing it would only take time.
  const std::string_view compared = std::string_view(name).substr(0, 64);
  const auto nearest = std::min_element(known.begin(), known.end(), [&](auto a, auto b) {
    return edit_distance(compared, a) < edit_distance(compared, b);
  });
  return fmt::format("there is no parameter {}; the nearest is {}", shown(name), *nearest);
}

}  // namespace

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

void Params::expect_only(std::initializer_list<std::string_view> known) {
  if (params_.broken) {
    fail("",
         "a '%' in the query string must begin an escape of two hexadecimal digits, such as "
         "%2B for a plus");
  }
  const auto& items = params_.items;
  for (auto item = items.begin(); item != items.end(); ++item) {
    const std::string& name = item->first;
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      fail(name, unknown(name, known));
    }
    const auto same = [&](const auto& other) { return other.first == name; };
    if (const auto first = std::find_if(items.begin(), item, same); first != item) {
      fail(name, fmt::format("it is given twice, as {} and {}; give it once", shown(first->second),
                             shown(item->second)));
    }
  }
}

size_t Params::position(std::string_view name) const {
  const auto& items = params_.items;
  return static_cast<size_t>(
      std::find_if(items.begin(), items.end(), [&](const auto& i) { return i.first == name; }) -
      items.begin());
}

int64_t Params::time(std::string_view name, std::optional<int64_t> absent) {
  const std::string* text = find(name);
  if (text == nullptr) {
    if (!absent) fail(name, "it is required: a time such as 2026-06-24T10:00:00Z, or a date");
    return absent.value_or(0);
  }
  const auto time = parse_typed_time(*text);
  if (!time) {
    fail(name, shown(*text) + ' ' + time.error().message());
    return 0;
  }
  return time->local && instant_of_ ? instant_of_(time->ms) : time->ms;
}

TimeRange Params::ordered(int64_t from_ms, int64_t to_ms) {
  if (!failure_ && from_ms >= to_ms) {
    const auto text_of = [this](std::string_view name) {
      const std::string* text = find(name);
      return text == nullptr ? std::string("which is not given") : shown(*text);
    };
    fail("to", fmt::format("{} must be later than from, {}", text_of("to"), text_of("from")));
  }
  return {from_ms, to_ms};
}

TimeRange Params::range() {
  const int64_t from_ms = time("from");
  return ordered(from_ms, time("to"));
}

TimeRange Params::range(TimeRange absent) {
  const int64_t from_ms = time("from", absent.from_ms);
  return ordered(from_ms, time("to", absent.to_ms));
}

uint64_t Params::number(std::string_view name, uint64_t absent, uint64_t low, uint64_t high) {
  const std::string* text = find(name);
  if (text == nullptr) return absent;
  const auto value = parse_number(*text);
  if (value && *value >= low && *value <= high) return *value;
  fail(name, fmt::format("{} is no whole number from {} to {}", shown(*text), low, high));
  return absent;
}

bool Params::flag(std::string_view name, bool absent) {
  static constexpr std::array<std::pair<std::string_view, bool>, 2> kFlags{
      {{"true", true}, {"false", false}}};
  return word(name, absent, kFlags);
}

void Params::fail(std::string_view field, std::string detail) {
  if (!failure_) failure_ = ParamError{std::string(field), std::move(detail)};
}

}  // namespace clickmill
