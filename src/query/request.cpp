#include "query/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/params.h"
#include "base/strong.h"
#include "click/params.h"
#include "query/zone_files.h"

namespace clickmill::query {
namespace {

constexpr uint64_t kTopMax = 1000;
constexpr uint64_t kRawClicksMax = 1'000'000;
constexpr uint64_t kWaitMsMax = 30'000;

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
constexpr std::array<std::pair<std::string_view, store::Automated>, 3> kAutomated{
    {{"include", store::Automated::include},
     {"exclude", store::Automated::exclude},
     {"only", store::Automated::only}}};

store::Automated read_automated(Params& params) {
  return params.word("automated", store::Automated::include, kAutomated);
}

BucketRange asked_range(Params& params) {
  const TimeRange range = params.range();
  return {range.from_ms, range.to_ms};
}

void read_whose(Params& params, ClicksRequest& out) {
  click::read_id(params, "ad_id", out.ad_id);
  const std::string* whose = params.find("advertiser_id");
  out.every_advertiser = whose != nullptr && *whose == "*";
  if (!out.every_advertiser) click::read_id(params, "advertiser_id", out.advertiser_id);
  const bool ad = params.find("ad_id") != nullptr;
  const bool advertiser = params.find("advertiser_id") != nullptr;
  if (!ad && !advertiser) params.fail("ad_id", "it or advertiser_id is required");
  if (ad && advertiser) {
    params.fail(params.later("ad_id", "advertiser_id"), "give ad_id or advertiser_id, not both");
  }
}

void read_zone(Params& params, ClicksRequest& out) {
  out.zone = TimeZone::utc();
  const std::string* text = params.find("timezone");
  if (text == nullptr) return;
  // A '+' in a query string decodes to a space, which no name has: Etc/GMT+5.
  std::string name = *text;
  std::replace(name.begin(), name.end(), ' ', '+');
  auto zone = ZoneFiles::system().load(name);
  if (zone) {
    out.zone = *std::move(zone);
    params.read_local_times(
        [zone = out.zone](int64_t shown_ms) { return zone->instant_of(shown_ms); });
  } else {
    params.fail("timezone", zone.error().message());
  }
}

/// Devices and countries are counted apart: no row knows both.
void refuse_both_dimensions(Params& params, Breakdown breakdown) {
  constexpr auto kNowhere = std::string_view::npos;
  const auto first_of = [&](std::string_view filter, Breakdown wanted) {
    std::string_view name;
    size_t at = kNowhere;
    if (params.find(filter) != nullptr) {
      name = filter;
      at = params.position(filter);
    }
    if (breakdown == wanted && params.position("breakdown") < at) name = "breakdown";
    return name;
  };
  const auto device = first_of("device_type", Breakdown::device_type);
  const auto country = first_of("country", Breakdown::country);
  if (device.empty() || country.empty()) return;
  params.fail(params.later(device, country),
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

void widen(Params& params, const BucketRange& asked, uint64_t max_points, ClicksRequest& out) {
  const auto range = widened(*out.zone, out.granularity, asked.from_ms, asked.to_ms);
  out.from_ms = range.from_ms;
  out.to_ms = range.to_ms;
  if (count_buckets(*out.zone, out.granularity, range, max_points) <= max_points) return;
  params.fail("granularity",
              fmt::format("{} gives more than {} buckets for this range; {} would fit",
                          to_string(out.granularity), max_points, fitting(out, asked, max_points)));
}

/// The M whole minutes that end with the running one.
BucketRange last_minutes(Params& params, int64_t now_ms) {
  const int64_t to_ms = floor_to(std::clamp<int64_t>(now_ms, 0, kTimeMsMax), kMinuteMs) + kMinuteMs;
  const auto minutes = params.number("minutes", 1, 1, static_cast<uint64_t>(to_ms / kMinuteMs));
  if (params.failure()) return {0, to_ms};
  return {to_ms - static_cast<int64_t>(minutes) * kMinuteMs, to_ms};
}

BucketRange top_range(Params& params, int64_t now_ms) {
  if (params.find("minutes") == nullptr) {
    if (params.find("from") == nullptr)
      params.fail("from", "from and to, or minutes, are required");
    const BucketRange asked = asked_range(params);
    if (params.failure()) return asked;
    return widened(*TimeZone::utc(), Granularity::total, asked.from_ms, asked.to_ms);
  }
  for (const std::string_view name : {"from", "to"}) {
    if (params.find(name) == nullptr) continue;
    params.fail(params.later(name, "minutes"), "give minutes, or from and to, not both");
  }
  return last_minutes(params, now_ms);
}

}  // namespace

std::string_view to_string(store::Automated automated) {
  return kAutomated[static_cast<size_t>(automated)].first;
}

std::variant<ClicksRequest, ParamError> parse_clicks(const QueryParams& query,
                                                     uint64_t max_points) {
  Params params(query);
  ClicksRequest out;
  params.expect_only({"ad_id", "advertiser_id", "from", "to", "granularity", "timezone",
                      "breakdown", "device_type", "country", "automated", "format", "fill"});
  read_whose(params, out);
  read_zone(params, out);
  out.granularity = params.word("granularity", Granularity::minute, kGranularities);
  out.breakdown = params.word("breakdown", Breakdown::none, kBreakdowns);
  click::read_device(params, out.device);
  click::read_country(params, out.country);
  out.automated = read_automated(params);
  out.automated_column = params.find("automated") != nullptr;
  out.format = params.word("format", Format::json, kFormats);
  out.fill_zero = params.word("fill", true, kFills);
  refuse_both_dimensions(params, out.breakdown);
  const BucketRange asked = asked_range(params);
  if (!params.failure()) widen(params, asked, max_points, out);
  if (params.failure()) return *params.failure();
  return out;
}

std::variant<TopRequest, ParamError> parse_top(const QueryParams& query, int64_t now_ms) {
  Params params(query);
  TopRequest out;
  params.expect_only(
      {"n", "from", "to", "minutes", "advertiser_id", "device_type", "country", "automated"});
  out.n = params.number("n", out.n, 1, kTopMax);
  const BucketRange range = top_range(params, now_ms);
  out.from_ms = range.from_ms;
  out.to_ms = range.to_ms;
  click::read_id(params, "advertiser_id", out.advertiser_id);
  click::read_device(params, out.device);
  click::read_country(params, out.country);
  out.automated = read_automated(params);
  refuse_both_dimensions(params, Breakdown::none);
  if (params.failure()) return *params.failure();
  return out;
}

std::variant<RawClicksRequest, ParamError> parse_raw_clicks(const QueryParams& query) {
  constexpr uint64_t kOffsetMax = std::numeric_limits<int64_t>::max();
  Params params(query);
  RawClicksRequest out;
  params.expect_only({"offset", "from", "limit", "wait_ms"});
  if (params.find("offset") != nullptr)
    out.offset = Offset(params.number("offset", 0, 0, kOffsetMax));
  if (params.find("from") != nullptr) out.from = LogMs(params.time("from"));
  if (out.offset && out.from)
    params.fail(params.later("offset", "from"), "give offset or from, not both");
  out.limit = params.number("limit", out.limit, 1, kRawClicksMax);
  out.wait_ms = static_cast<int64_t>(params.number("wait_ms", 0, 0, kWaitMsMax));
  if (params.failure()) return *params.failure();
  return out;
}

}  // namespace clickmill::query
