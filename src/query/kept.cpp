#include "query/kept.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/time_text.h"
#include "query/plan.h"

namespace clickmill::query {
namespace {

using store::Table;
using store::TableTimes;

constexpr std::array kFineFirst{Table::minute, Table::hour, Table::day};

/// Whether every bucket that old can be read from what is left.
bool can_be_given(const TimeZone& zone, Granularity granularity, const BucketRange& range,
                  const TableTimes& deleted) {
  const int64_t newest = *std::max_element(deleted.begin(), deleted.end());
  for (int64_t at = range.from_ms; at < range.to_ms && at < newest;) {
    const bool whole = granularity == Granularity::total;
    const int64_t end = whole ? range.to_ms : zone.next_bucket(granularity, at);
    Plan plan;
    if (!append_stretch(at, end, deleted, plan)) return false;
    at = end;
  }
  return true;
}

/// Edges that lie where the finer table is gone go outward to the longer table's.
BucketRange widened_to(Table table, BucketRange range, const TableTimes& deleted) {
  const int64_t unit = store::bucket_ms(table);
  const int64_t gone_ms = deleted[static_cast<size_t>(table) - 1];
  if (range.from_ms < gone_ms) range.from_ms = floor_to(range.from_ms, unit);
  if (floor_to(range.to_ms, unit) < gone_ms) range.to_ms = floor_to(range.to_ms + unit - 1, unit);
  return range;
}

/// The total of a range with any edges.
std::optional<BucketRange> fit_total(BucketRange range, const TableTimes& deleted) {
  const auto fits = [&] {
    return can_be_given(*TimeZone::utc(), Granularity::total, range, deleted);
  };
  for (const Table table : {Table::hour, Table::day}) {
    if (fits()) return range;
    range = widened_to(table, range, deleted);
  }
  if (!fits()) return std::nullopt;
  return range;
}

/// From when on the range could be given, and the table whose rows are gone before.
template <typename Fits>
ParamError refusal(const BucketRange& range, const TableTimes& deleted, const Fits& fits,
                   const std::string& other_way) {
  std::array<Table, store::kTables> by_time = kFineFirst;
  const auto gone = [&](Table table) { return deleted[static_cast<size_t>(table)]; };
  std::stable_sort(by_time.begin(), by_time.end(),
                   [&](Table a, Table b) { return gone(a) < gone(b); });
  for (const Table table : by_time) {
    if (gone(table) <= range.from_ms || !fits(BucketRange{gone(table), range.to_ms})) continue;
    const std::string time = format_time_ms(gone(table));
    std::string ask = gone(table) < range.to_ms ? "from then on" : "";
    if (!other_way.empty()) ask += (ask.empty() ? "" : ", or ") + other_way;
    if (!ask.empty()) ask = "; ask " + ask;
    return {"from", fmt::format("the {}s before {} that this needs have been deleted "
                                "(store.retention_days.{}){}",
                                store::to_string(table), time, store::to_string(table), ask)};
  }
  return {"from", "what this needs has been deleted (store.retention_days)"};
}

}  // namespace

std::optional<ParamError> fit_to_kept(ClicksRequest& request, const TableTimes& deleted) {
  request.deleted_before = deleted;
  const BucketRange range{request.from_ms, request.to_ms};
  if (request.granularity == Granularity::total) {
    const auto total = fit_total(range, deleted);
    if (total) {
      request.from_ms = total->from_ms;
      request.to_ms = total->to_ms;
      return std::nullopt;
    }
  }
  const auto fits = [&](Granularity granularity, const BucketRange& part) {
    const auto wide = widened(*request.zone, granularity, part.from_ms, part.to_ms);
    if (granularity == Granularity::total) return fit_total(wide, deleted).has_value();
    return can_be_given(*request.zone, granularity, wide, deleted);
  };
  if (fits(request.granularity, range)) return std::nullopt;
  std::string other_way;
  for (const auto granularity : {Granularity::hour, Granularity::day, Granularity::total}) {
    if (granularity <= request.granularity || !fits(granularity, range)) continue;
    other_way = fmt::format("with granularity={}", to_string(granularity));
    break;
  }
  // Of the buckets that begin later; the one that holds the instant is not asked for.
  const auto fits_from = [&](const BucketRange& part) {
    if (request.granularity == Granularity::total) return fits(request.granularity, part);
    auto rest = widened(*request.zone, request.granularity, part.from_ms, part.to_ms);
    if (rest.from_ms < part.from_ms)
      rest.from_ms = request.zone->next_bucket(request.granularity, rest.from_ms);
    return can_be_given(*request.zone, request.granularity, rest, deleted);
  };
  return refusal(range, deleted, fits_from, other_way);
}

std::optional<ParamError> fit_to_kept(TopRequest& request, const TableTimes& deleted) {
  request.deleted_before = deleted;
  const BucketRange range{request.from_ms, request.to_ms};
  const auto fits = [&](const BucketRange& part) { return fit_total(part, deleted); };
  const auto total = fits(range);
  if (!total) return refusal(range, deleted, fits, "");
  request.from_ms = total->from_ms;
  request.to_ms = total->to_ms;
  return std::nullopt;
}

}  // namespace clickmill::query
