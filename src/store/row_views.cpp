#include "store/row_views.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <tuple>
#include <utility>

#include "base/strong.h"
#include "store/countries.h"

namespace clickmill::store {
namespace {

constexpr size_t kBlockBytes = 64 << 10;

PartKey key_of(const RowView& row) { return {row.advertiser_id, row.ad_id, row.automated}; }

/// Whether the second was added as the next row of the first one's ad.
bool kept_together(const RowView& a, const RowView& b) {
  return a.ad_id.data() == b.ad_id.data() && a.advertiser_id.data() == b.advertiser_id.data() &&
         a.automated == b.automated;
}

/// Sums neighbours of one country.
void fold_countries(std::vector<CountryCount>& countries) {
  std::sort(countries.begin(), countries.end());
  size_t kept = 0;
  for (size_t i = 1; i < countries.size(); ++i) {
    if (countries[i].first == countries[kept].first) {
      countries[kept].second += countries[i].second;
    } else {
      countries[++kept] = countries[i];
    }
  }
  if (!countries.empty()) countries.resize(kept + 1);
}

}  // namespace

/// Where a row belongs, and where it is.
struct RowViews::Place {
  uint32_t key;
  uint32_t at;
  int64_t bucket_ms;
  friend bool operator<(const Place& a, const Place& b) {
    return a.key != b.key ? a.key < b.key : a.bucket_ms < b.bucket_ms;
  }
  bool same(const Place& other) const { return key == other.key && bucket_ms == other.bucket_ms; }
};

bool same_ad(const RowView& a, const RowView& b) {
  return a.ad_id == b.ad_id && a.advertiser_id == b.advertiser_id && a.automated == b.automated;
}

bool view_less(const RowView& a, const RowView& b) {
  return std::tie(a.advertiser_id, a.ad_id, a.automated, a.bucket_ms) <
         std::tie(b.advertiser_id, b.ad_id, b.automated, b.bucket_ms);
}

RowViews::RowViews(std::span<const Row> rows) {
  for (const Row& row : rows) {
    RowView view;
    view.advertiser_id = row.advertiser_id;
    view.ad_id = row.ad_id;
    view.automated = row.automated;
    view.bucket_ms = row.bucket_ms;
    view.clicks = row.counts.clicks;
    view.devices = row.counts.devices;
    view.countries = row.counts.countries.data();
    view.countries_size = row.counts.countries.size();
    const std::string visitors = row.visitors.serialize();
    view.visitors = visitors;
    view.unique_estimate = row.visitors.estimate();
    add(view);
  }
}

/// Aligned for countries.
char* RowViews::room(size_t bytes) {
  bytes = (bytes + alignof(CountryCount) - 1) / alignof(CountryCount) * alignof(CountryCount);
  if (bytes > left_) {
    left_ = std::max(bytes, kBlockBytes);
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(left_));
    next_ = blocks_.back().get();
  }
  left_ -= bytes;
  return std::exchange(next_, next_ + bytes);
}

std::string_view RowViews::keep(std::string_view bytes) {
  if (bytes.empty()) return {};
  char* const to = room(bytes.size());
  std::memcpy(to, bytes.data(), bytes.size());
  return {to, bytes.size()};
}

void RowViews::add(const RowView& view) {
  RowView row = view;
  // Rows come ad by ad.
  const bool again = !rows_.empty() && same_ad(rows_.back(), view);
  row.advertiser_id = again ? rows_.back().advertiser_id : keep(view.advertiser_id);
  row.ad_id = again ? rows_.back().ad_id : keep(view.ad_id);
  if (view.countries_size > 0) {
    auto* const to =
        reinterpret_cast<CountryCount*>(room(view.countries_size * sizeof(CountryCount)));
    std::uninitialized_copy_n(view.countries, view.countries_size, to);
    row.countries = to;
  }
  row.visitors = keep(view.visitors);
  rows_.push_back(row);
}

Status RowViews::add_sum(std::span<const RowView> rows, int64_t bucket_ms) {
  RowView sum = rows.front();
  sum.bucket_ms = bucket_ms;
  if (rows.size() == 1) {
    add(sum);
    return {};
  }
  std::vector<CountryCount> countries;
  sketch::Hll visitors;
  for (const RowView& row : rows) {
    if (&row != &rows.front()) sum.clicks += row.clicks;
    for (size_t d = 0; d < click::kDevices && &row != &rows.front(); ++d)
      sum.devices[d] += row.devices[d];
    countries.insert(countries.end(), row.countries, row.countries + row.countries_size);
    TRY(visitors.merge_serialized(row.visitors));
  }
  fold_countries(countries);
  sum.countries = countries.data();
  sum.countries_size = countries.size();
  const std::string bytes = visitors.serialize();
  sum.visitors = bytes;
  sum.unique_estimate = visitors.estimate();
  add(sum);
  return {};
}

/// Of each row. Ads are compared once for each of their runs, not once for each row.
std::vector<RowViews::Place> RowViews::places() const {
  std::vector<Place> places(rows_.size());
  std::vector<PartKey> keys;
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (i == 0 || !kept_together(rows_[i - 1], rows_[i])) keys.push_back(key_of(rows_[i]));
    places[i] = {static_cast<uint32_t>(keys.size() - 1), static_cast<uint32_t>(i),
                 rows_[i].bucket_ms};
  }
  std::vector<PartKey> sorted = keys;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  std::vector<uint32_t> numbers;
  numbers.reserve(keys.size());
  for (const PartKey& key : keys) {
    const auto at = std::lower_bound(sorted.begin(), sorted.end(), key);
    numbers.push_back(static_cast<uint32_t>(at - sorted.begin()));
  }
  for (Place& place : places) place.key = numbers[place.key];
  return places;
}

Status RowViews::merge_runs(std::span<const size_t> ends) {
  if (ends.size() < 2) return {};
  std::vector<Place> order = places();
  // Neighbours become one until one is left: every place moves log2(runs) times.
  std::vector<size_t> runs(ends.begin(), ends.end());
  while (runs.size() > 1) {
    std::vector<size_t> merged;
    auto begin = order.begin();
    for (size_t i = 0; i < runs.size(); i += 2) {
      const auto at = [&](size_t run) {
        return order.begin() + static_cast<std::ptrdiff_t>(runs[std::min(run, runs.size() - 1)]);
      };
      std::inplace_merge(begin, at(i), at(i + 1));
      merged.push_back(static_cast<size_t>(at(i + 1) - order.begin()));
      begin = at(i + 1);
    }
    runs = std::move(merged);
  }
  const std::vector<RowView> unordered = std::exchange(rows_, {});
  rows_.reserve(unordered.size());
  std::vector<RowView> group;
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    group.clear();
    for (; end < order.size() && order[end].same(order[begin]); ++end)
      group.push_back(unordered[order[end].at]);
    // What they show is kept here already.
    if (group.size() == 1) {
      rows_.push_back(group.front());
    } else {
      TRY(add_sum(group, group.front().bucket_ms));
    }
  }
  return {};
}

Result<RowViews> summed_to(std::span<const RowView> rows, Table table) {
  RowViews out;
  for (size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    const int64_t bucket = floor_to(rows[begin].bucket_ms, bucket_ms(table));
    for (; end < rows.size() && same_ad(rows[end], rows[begin]) &&
           floor_to(rows[end].bucket_ms, bucket_ms(table)) == bucket;
         ++end) {
    }
    TRY(out.add_sum(rows.subspan(begin, end - begin), bucket));
  }
  return out;
}

}  // namespace clickmill::store
