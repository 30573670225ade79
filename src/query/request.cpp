#include "query/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "base/edit_distance.h"
#include "base/query_params.h"
#include "base/strong.h"
#include "base/time_text.h"
#include "click/parse.h"

namespace clickmill::query {
namespace {

constexpr int64_t kTimeMsMax = 253'402'300'799'999;  // the last ms of the year 9999
constexpr uint64_t kTopMax = 1000;
constexpr uint64_t kRawClicksMax = 1'000'000;
constexpr uint64_t kWaitMsMax = 30'000;

using Failure = std::optional<ParamError>;

/// Takes parameters one by one; the first failure sticks, and later reads are skipped.
class Reader {
 public:
  explicit Reader(const QueryParams& params) : params_(params) {}

  /// Every parameter is known and stands once.
  void expect_only(std::initializer_list<std::string_view> known) {
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
        fail(name, fmt::format("it is given twice, as {} and {}; give it once",
                               click::shown(first->second), click::shown(item->second)));
      }
    }
  }
  const std::string* find(std::string_view name) const { return params_.find(name); }
  /// The one that stands later in the query string.
  std::string_view later(std::string_view a, std::string_view b) const {
    return position(a) > position(b) ? a : b;
  }
  size_t position(std::string_view name) const {
    const auto& items = params_.items;
    return static_cast<size_t>(
        std::find_if(items.begin(), items.end(), [&](const auto& i) { return i.first == name; }) -
        items.begin());
  }
  void fail(std::string_view field, std::string detail) {
    if (!failure_) failure_ = ParamError{std::string(field), std::move(detail)};
  }
  const Failure& failure() const { return failure_; }

  void id(std::string_view name, std::string& out) {
    const std::string* text = find(name);
    if (text == nullptr) return;
    if (!click::valid_ad_id(*text)) {
      fail(name, click::shown(*text) +
                     " is no id: it must have 1 to 64 characters of A-Z, a-z, 0-9, '.', '_', ':' "
                     "and '-'");
    }
    out = *text;
  }
  /// A local time is the zone's.
  int64_t time(std::string_view name, const TimeZone& zone) {
    const std::string* text = find(name);
    if (text == nullptr) {
      fail(name, "it is required: a time such as 2026-06-24T10:00:00Z, or a date");
      return 0;
    }
    const auto time = parse_typed_time(*text);
    if (!time) {
      fail(name, click::shown(*text) + ' ' + time.error().message());
      return 0;
    }
    return time->local ? zone.instant_of(time->ms) : time->ms;
  }
  /// Reads from and to; what it gives is safe to calculate with only if nothing failed.
  BucketRange range(const TimeZone& zone) {
    const int64_t from_ms = time("from", zone);
    const int64_t to_ms = time("to", zone);
    if (!failure_ && from_ms >= to_ms) {
      fail("to", fmt::format("{} must be later than from, {}", click::shown(*find("to")),
                             click::shown(*find("from"))));
    }
    return {from_ms, to_ms};
  }
  uint64_t number(std::string_view name, uint64_t absent, uint64_t low, uint64_t high) {
    const std::string* text = find(name);
    if (text == nullptr) return absent;
    uint64_t value = 0;
    const char* end = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data(), end, value);
    if (error != std::errc{} || stop != end || value < low || value > high) {
      fail(name,
           fmt::format("{} is no whole number from {} to {}", click::shown(*text), low, high));
    }
    return value;
  }
  template <typename T, size_t N>
  T word(std::string_view name, T absent,
         const std::array<std::pair<std::string_view, T>, N>& all) {
    const std::string* text = find(name);
    if (text == nullptr) return absent;
    std::string words;
    for (const auto& [word, value] : all) {
      if (word == *text) return value;
      words.append(words.empty() ? "" : ", ").append(word);
    }
    fail(name, click::shown(*text) + " is none of " + words);
    return absent;
  }
  void device(std::optional<click::Device>& out) {
    const std::string* text = find("device_type");
    if (text == nullptr) return;
    const auto device = click::parse_device(*text);
    if (device) {
      out = *device;
    } else {
      fail("device_type", click::shown(*text) + " is none of mobile, desktop, tablet, other");
    }
  }
  void country(std::optional<click::Country>& out) {
    const std::string* text = find("country");
    if (text == nullptr) return;
    out = click::parse_country(*text);
    if (!out) fail("country", click::country_complaint(*text));
  }

 private:
  static std::string unknown(const std::string& name,
                             std::initializer_list<std::string_view> known) {
    // A name longer than any of ours is nobody's slip; comparing it would only take time.
    const std::string_view compared = std::string_view(name).substr(0, 64);
    const auto nearest = std::min_element(known.begin(), known.end(), [&](auto a, auto b) {
      return edit_distance(compared, a) < edit_distance(compared, b);
    });
    return fmt::format("there is no parameter {}; the nearest is {}", click::shown(name), *nearest);
  }

  const QueryParams& params_;
  Failure failure_;
};

constexpr std::array<std::pair<std::string_view, Granularity>, 4> kGranularities{
    {{"1m", Granularity::minute},
     {"1h", Granularity::hour},
     {"1d", Granularity::day},
     {"total", Granularity::total}}};
constexpr std::array<std::pair<std::string_view, Breakdown>, 2> kBreakdowns{
    {{"device_type", Breakdown::device_type}, {"country", Breakdown::country}}};
constexpr std::array<std::pair<std::string_view, Format>, 2> kFormats{
    {{"json", Format::json}, {"csv", Format::csv}}};
constexpr std::array<std::pair<std::string_view, bool>, 2> kFills{
    {{"zero", true}, {"none", false}}};

void read_whose(Reader& reader, ClicksRequest& out) {
  reader.id("ad_id", out.ad_id);
  reader.id("advertiser_id", out.advertiser_id);
  const bool ad = reader.find("ad_id") != nullptr;
  const bool advertiser = reader.find("advertiser_id") != nullptr;
  if (!ad && !advertiser) reader.fail("ad_id", "it or advertiser_id is required");
  if (ad && advertiser) {
    reader.fail(reader.later("ad_id", "advertiser_id"), "give ad_id or advertiser_id, not both");
  }
}

void read_zone(Reader& reader, ClicksRequest& out) {
  out.zone = TimeZone::utc();
  const std::string* text = reader.find("timezone");
  if (text == nullptr) return;
  // A '+' in a query string decodes to a space, which no name has: Etc/GMT+5.
  std::string name = *text;
  std::replace(name.begin(), name.end(), ' ', '+');
  auto zone = TimeZone::load(name);
  if (zone) {
    out.zone = *std::move(zone);
  } else {
    reader.fail("timezone", zone.error().message());
  }
}

/// Devices and countries are counted apart: no row knows both.
void refuse_both_dimensions(Reader& reader, Breakdown breakdown) {
  constexpr auto kNowhere = std::string_view::npos;
  const auto first_of = [&](std::string_view filter, Breakdown wanted) {
    std::string_view name;
    size_t at = kNowhere;
    if (reader.find(filter) != nullptr) {
      name = filter;
      at = reader.position(filter);
    }
    if (breakdown == wanted && reader.position("breakdown") < at) name = "breakdown";
    return name;
  };
  const auto device = first_of("device_type", Breakdown::device_type);
  const auto country = first_of("country", Breakdown::country);
  if (device.empty() || country.empty()) return;
  reader.fail(reader.later(device, country),
              "devices and countries are counted apart, so one of them can be asked for");
}

/// The finest granularity, coarser than the one asked for, that keeps within the limit.
std::string_view fitting(const ClicksRequest& request, const BucketRange& asked, uint64_t limit) {
  for (const auto& [name, granularity] : kGranularities) {
    if (granularity <= request.granularity) continue;
    const auto range = widened(*request.zone, granularity, asked.from_ms, asked.to_ms);
    if (count_buckets(*request.zone, granularity, range, limit) <= limit) return name;
  }
  return to_string(Granularity::total);
}

void widen(Reader& reader, const BucketRange& asked, uint64_t max_points, ClicksRequest& out) {
  const auto range = widened(*out.zone, out.granularity, asked.from_ms, asked.to_ms);
  out.from_ms = range.from_ms;
  out.to_ms = range.to_ms;
  if (count_buckets(*out.zone, out.granularity, range, max_points) <= max_points) return;
  reader.fail("granularity",
              fmt::format("{} gives more than {} buckets for this range; {} would fit",
                          to_string(out.granularity), max_points, fitting(out, asked, max_points)));
}

/// The M whole minutes that end with the running one.
BucketRange last_minutes(Reader& reader, int64_t now_ms) {
  const int64_t to_ms = floor_to(std::clamp<int64_t>(now_ms, 0, kTimeMsMax), kMinuteMs) + kMinuteMs;
  const auto minutes = reader.number("minutes", 1, 1, static_cast<uint64_t>(to_ms / kMinuteMs));
  if (reader.failure()) return {0, to_ms};
  return {to_ms - static_cast<int64_t>(minutes) * kMinuteMs, to_ms};
}

BucketRange top_range(Reader& reader, int64_t now_ms) {
  if (reader.find("minutes") == nullptr) {
    if (reader.find("from") == nullptr)
      reader.fail("from", "from and to, or minutes, are required");
    const BucketRange asked = reader.range(*TimeZone::utc());
    if (reader.failure()) return asked;
    return widened(*TimeZone::utc(), Granularity::total, asked.from_ms, asked.to_ms);
  }
  for (const std::string_view name : {"from", "to"}) {
    if (reader.find(name) == nullptr) continue;
    reader.fail(reader.later(name, "minutes"), "give minutes, or from and to, not both");
  }
  return last_minutes(reader, now_ms);
}

}  // namespace

std::variant<ClicksRequest, ParamError> parse_clicks(const QueryParams& params,
                                                     uint64_t max_points) {
  Reader reader(params);
  ClicksRequest out;
  reader.expect_only({"ad_id", "advertiser_id", "from", "to", "granularity", "timezone",
                      "breakdown", "device_type", "country", "format", "fill"});
  read_whose(reader, out);
  read_zone(reader, out);
  out.granularity = reader.word("granularity", Granularity::minute, kGranularities);
  out.breakdown = reader.word("breakdown", Breakdown::none, kBreakdowns);
  reader.device(out.device);
  reader.country(out.country);
  out.format = reader.word("format", Format::json, kFormats);
  out.fill_zero = reader.word("fill", true, kFills);
  refuse_both_dimensions(reader, out.breakdown);
  const BucketRange asked = reader.range(*out.zone);
  if (!reader.failure()) widen(reader, asked, max_points, out);
  if (reader.failure()) return *reader.failure();
  return out;
}

std::variant<TopRequest, ParamError> parse_top(const QueryParams& params, int64_t now_ms) {
  Reader reader(params);
  TopRequest out;
  reader.expect_only({"n", "from", "to", "minutes", "advertiser_id", "device_type", "country"});
  out.n = reader.number("n", out.n, 1, kTopMax);
  const BucketRange range = top_range(reader, now_ms);
  out.from_ms = range.from_ms;
  out.to_ms = range.to_ms;
  reader.id("advertiser_id", out.advertiser_id);
  reader.device(out.device);
  reader.country(out.country);
  refuse_both_dimensions(reader, Breakdown::none);
  if (reader.failure()) return *reader.failure();
  return out;
}

std::variant<RawClicksRequest, ParamError> parse_raw_clicks(const QueryParams& params) {
  constexpr uint64_t kOffsetMax = std::numeric_limits<int64_t>::max();
  Reader reader(params);
  RawClicksRequest out;
  reader.expect_only({"offset", "from", "limit", "wait_ms"});
  if (reader.find("offset") != nullptr)
    out.offset = Offset(reader.number("offset", 0, 0, kOffsetMax));
  if (reader.find("from") != nullptr) out.from = LogMs(reader.time("from", *TimeZone::utc()));
  if (out.offset && out.from)
    reader.fail(reader.later("offset", "from"), "give offset or from, not both");
  out.limit = reader.number("limit", out.limit, 1, kRawClicksMax);
  out.wait_ms = static_cast<int64_t>(reader.number("wait_ms", 0, 0, kWaitMsMax));
  if (reader.failure()) return *reader.failure();
  return out;
}

}  // namespace clickmill::query
