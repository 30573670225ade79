#include "stream/frozen_rows.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <unordered_map>

namespace clickmill::stream {
namespace {

struct AdKey {
  std::string_view ad_id;
  std::string_view advertiser_id;
  bool automated;
  friend bool operator==(const AdKey&, const AdKey&) = default;
};
struct HashKey {
  size_t operator()(const AdKey& key) const { return MinuteRows::hash_of(key.ad_id); }
};

bool in(const store::Scan& scan, int64_t bucket_ms) {
  return bucket_ms >= scan.from_ms && bucket_ms < scan.to_ms;
}

}  // namespace

FrozenRows::FrozenRows(Minutes minutes) : minutes_(std::move(minutes)) {
  for (const auto& [minute_ms, rows] : minutes_) {
    size_ += rows.size();
    memory_bytes_ += kMinuteBytes + rows.memory_bytes();
  }
}

/// Groups the rows by ad: the minutes come in order, so each group does too.
void FrozenRows::order() const {
  std::unordered_map<AdKey, uint32_t, HashKey> numbers;
  std::vector<uint32_t> ad_of;
  ad_of.reserve(size_);
  for (const auto& [minute_ms, minute] : minutes_) {
    for (size_t i = 0; i < minute.size(); ++i) {
      const AdKey key{minute[i].ad_id(), minute[i].advertiser_id(), minute[i].automated};
      const auto [at, added] = numbers.try_emplace(key, static_cast<uint32_t>(ads_.size()));
      if (added) {
        ads_.emplace_back();
        std::tie(ads_.back().ad_id, ads_.back().advertiser_id, ads_.back().automated) =
            std::tie(key.ad_id, key.advertiser_id, key.automated);
      }
      ad_of.push_back(at->second);
      ++ads_[at->second].end;
    }
  }
  std::vector<uint32_t> sorted(ads_.size());
  std::iota(sorted.begin(), sorted.end(), 0);
  std::sort(sorted.begin(), sorted.end(), [this](uint32_t a, uint32_t b) {
    return std::tie(ads_[a].advertiser_id, ads_[a].ad_id, ads_[a].automated) <
           std::tie(ads_[b].advertiser_id, ads_[b].ad_id, ads_[b].automated);
  });
  size_t begin = 0;
  for (const uint32_t number : sorted) {
    const size_t rows = ads_[number].end;
    ads_[number].begin = ads_[number].end = begin;
    begin += rows;
  }
  rows_at_.resize(size_);
  auto next = ad_of.begin();
  for (const auto& [minute_ms, minute] : minutes_) {
    for (size_t i = 0; i < minute.size(); ++i)
      rows_at_[ads_[*next++].end++] = {minute_ms, &minute[i]};
  }
  std::vector<Ad> ads;
  ads.reserve(ads_.size());
  for (const uint32_t number : sorted) ads.push_back(std::move(ads_[number]));
  ads_ = std::move(ads);
  sums_.resize(size_ + 1);
  for (size_t i = 0; i < size_; ++i) {
    for (size_t d = 0; d < click::kDevices; ++d)
      sums_[i + 1][d] = sums_[i][d] + rows_at_[i].row->devices[d];
  }
  by_ad_id_ = std::move(sorted);
  std::iota(by_ad_id_.begin(), by_ad_id_.end(), 0);
  std::stable_sort(by_ad_id_.begin(), by_ad_id_.end(),
                   [this](uint32_t a, uint32_t b) { return ads_[a].ad_id < ads_[b].ad_id; });
}

bool FrozenRows::apart(const store::Scan& scan) const {
  return minutes_.empty() || minutes_.rbegin()->first < scan.from_ms ||
         minutes_.begin()->first >= scan.to_ms;
}

template <typename Show>
void FrozenRows::each_ad(const store::Scan& scan, const Show& show) const {
  std::call_once(ordered_, [this] { order(); });
  if (!scan.ad_id.empty()) {
    auto at = std::lower_bound(
        by_ad_id_.begin(), by_ad_id_.end(), scan.ad_id,
        [this](uint32_t number, std::string_view ad_id) { return ads_[number].ad_id < ad_id; });
    for (; at != by_ad_id_.end() && ads_[*at].ad_id == scan.ad_id; ++at) {
      if (!store::takes(scan.automated, ads_[*at].automated)) continue;
      if (scan.advertiser_id.empty() || ads_[*at].advertiser_id == scan.advertiser_id)
        show(ads_[*at]);
    }
    return;
  }
  auto at = ads_.begin();
  if (!scan.advertiser_id.empty()) {
    at = std::lower_bound(ads_.begin(), ads_.end(), scan.advertiser_id,
                          [](const Ad& ad, std::string_view id) { return ad.advertiser_id < id; });
  }
  for (; at != ads_.end(); ++at) {
    if (!scan.advertiser_id.empty() && at->advertiser_id != scan.advertiser_id) return;
    if (store::takes(scan.automated, at->automated)) show(*at);
  }
}

size_t FrozenRows::first_at(const Ad& ad, int64_t from_ms) const {
  const auto begin = rows_at_.begin();
  const auto at = std::lower_bound(begin + static_cast<std::ptrdiff_t>(ad.begin),
                                   begin + static_cast<std::ptrdiff_t>(ad.end), from_ms,
                                   [](const RowAt& row, int64_t ms) { return row.minute_ms < ms; });
  return static_cast<size_t>(at - begin);
}

void FrozenRows::scan(store::Table table, const store::Scan& scan, const Visit& visit) const {
  if (apart(scan)) return;
  each_ad(scan, [&](Ad& ad) {
    if (table == store::Table::minute) {
      scan_minutes(ad, scan, visit);
    } else {
      scan_longer(ad, table, scan, visit);
    }
  });
}

void FrozenRows::scan_minutes(const Ad& ad, const store::Scan& scan, const Visit& visit) const {
  store::RowView view;
  view.advertiser_id = ad.advertiser_id;
  view.ad_id = ad.ad_id;
  view.automated = ad.automated;
  std::vector<std::pair<click::Country, uint64_t>> countries;
  for (size_t i = first_at(ad, scan.from_ms); i < ad.end && rows_at_[i].minute_ms < scan.to_ms;
       ++i) {
    const MinuteRows::Row& row = *rows_at_[i].row;
    view.bucket_ms = rows_at_[i].minute_ms;
    view.devices = row.devices;
    view.clicks = std::accumulate(row.devices.begin(), row.devices.end(), uint64_t{0});
    if (scan.countries) {
      countries.clear();
      row.countries.counts(countries);
      view.countries = countries.data();
      view.countries_size = countries.size();
    }
    if (scan.estimates || scan.visitors) view.unique_estimate = row.visitors.estimate();
    visit(view, scan.visitors ? &row.visitors : nullptr);
  }
}

void FrozenRows::scan_longer(Ad& ad, store::Table table, const store::Scan& scan,
                             const Visit& visit) const {
  const bool with_visitors = scan.estimates || scan.visitors;
  LongRows& longer = ad.longer[table == store::Table::hour ? 0 : 1];
  {
    std::lock_guard lock(mutex_);
    if (!longer.summed || (with_visitors && !longer.with_visitors))
      sum_up(ad, table, with_visitors);
  }
  store::RowView view;
  view.advertiser_id = ad.advertiser_id;
  view.ad_id = ad.ad_id;
  view.automated = ad.automated;
  for (size_t i = 0; i < longer.rows.size(); ++i) {
    const store::Row& row = longer.rows[i];
    if (!in(scan, row.bucket_ms)) continue;
    view.bucket_ms = row.bucket_ms;
    view.clicks = row.counts.clicks;
    view.devices = row.counts.devices;
    if (scan.countries) {
      view.countries = row.counts.countries.data();
      view.countries_size = row.counts.countries.size();
    }
    if (with_visitors) view.unique_estimate = longer.estimates[i];
    visit(view, scan.visitors ? &row.visitors : nullptr);
  }
}

/// Rows that others read already stay in place: only what nobody has asked for yet is added.
void FrozenRows::sum_up(Ad& ad, store::Table table, bool with_visitors) const {
  LongRows& longer = ad.longer[table == store::Table::hour ? 0 : 1];
  const auto bucket_of = [table](int64_t at_ms) {
    return floor_to(at_ms, store::bucket_ms(table));
  };
  if (!longer.summed) {
    for (size_t i = ad.begin; i < ad.end; ++i) {
      const int64_t bucket = bucket_of(rows_at_[i].minute_ms);
      store::Row row = rows_at_[i].row->copy(bucket, true, false);
      if (longer.rows.empty() || longer.rows.back().bucket_ms != bucket) {
        longer.rows.push_back(std::move(row));
      } else {
        longer.rows.back().counts.merge(row.counts);
      }
    }
    longer.summed = true;
  }
  if (!with_visitors) return;
  auto at = longer.rows.begin();
  for (size_t i = ad.begin; i < ad.end; ++i) {
    while (at->bucket_ms != bucket_of(rows_at_[i].minute_ms)) ++at;
    at->visitors.merge(rows_at_[i].row->visitors);
  }
  for (const store::Row& row : longer.rows) longer.estimates.push_back(row.visitors.estimate());
  longer.with_visitors = true;
}

void FrozenRows::sum(const store::Scan& scan, const store::VisitSum& visit) const {
  if (apart(scan)) return;
  const bool all = scan.from_ms <= minutes_.begin()->first && scan.to_ms > minutes_.rbegin()->first;
  each_ad(scan, [&](const Ad& ad) {
    const size_t begin = all ? ad.begin : first_at(ad, scan.from_ms);
    const size_t end = all ? ad.end : first_at(ad, scan.to_ms);
    if (begin == end) return;
    store::AdSum sum;
    sum.advertiser_id = ad.advertiser_id;
    sum.ad_id = ad.ad_id;
    sum.automated = ad.automated;
    sum.rows = end - begin;
    for (size_t d = 0; d < click::kDevices; ++d) {
      sum.devices[d] = sums_[end][d] - sums_[begin][d];
      sum.clicks += sum.devices[d];
    }
    visit(sum);
  });
}

}  // namespace clickmill::stream
