#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/params.h"
#include "click/click.h"
#include "query/buckets.h"
#include "store/retention.h"
#include "store/scan.h"

namespace clickmill::query {

enum class Breakdown : uint8_t { none, device_type, country };
enum class Format : uint8_t { json, csv };
std::string_view to_string(store::Automated automated);  ///< "include", "exclude", "only"

struct ClicksRequest {
  std::string ad_id;              ///< one of the two is set,
  std::string advertiser_id;      ///< or both: the ad's rows of that advertiser alone
  bool every_advertiser = false;  ///< `*` was asked for; neither is set then
  int64_t from_ms = 0;            ///< widened to whole buckets
  int64_t to_ms = 0;
  Granularity granularity = Granularity::minute;
  std::shared_ptr<const TimeZone> zone;  ///< never null
  Breakdown breakdown = Breakdown::none;
  std::optional<click::Device> device;
  std::optional<click::Country> country;
  store::Automated automated = store::Automated::include;
  bool automated_column = false;  ///< it was named, so that a CSV has the column
  Format format = Format::json;
  bool fill_zero = true;
  store::TableTimes deleted_before = store::kAllTime;  ///< of tables; see fit_to_kept
};
struct TopRequest {
  size_t n = 10;
  int64_t from_ms = 0;  ///< widened to whole minutes
  int64_t to_ms = 0;
  std::string advertiser_id;
  std::optional<click::Device> device;
  std::optional<click::Country> country;
  store::Automated automated = store::Automated::include;
  store::TableTimes deleted_before = store::kAllTime;
};
struct RawClicksRequest {
  std::optional<Offset> offset;  ///< at most one of the two; neither: from the first there is
  std::optional<LogMs> from;
  uint64_t limit = 1000;
  int64_t wait_ms = 0;
};
/// All check everything of DESIGN §7 that needs no data: unknown and repeated
/// parameters, missing ones, ranges, max_points (naming granularity and the
/// finest that would fit).
std::variant<ClicksRequest, ParamError> parse_clicks(const QueryParams& query, uint64_t max_points);
/// `now_ms` for `minutes=M`, which ends with the running minute.
std::variant<TopRequest, ParamError> parse_top(const QueryParams& query, int64_t now_ms);
std::variant<RawClicksRequest, ParamError> parse_raw_clicks(const QueryParams& query);

}  // namespace clickmill::query
