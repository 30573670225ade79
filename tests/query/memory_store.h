#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/version.h"

namespace clickmill::query::testing {

/// A part whose rows stand in memory, in any order and with repeated keys.
class MemoryPart final : public store::Part {
 public:
  MemoryPart(std::string name, store::Table table, std::vector<store::Row> rows)
      : rows_(std::move(rows)) {
    std::stable_sort(rows_.begin(), rows_.end(), store::key_less);
    meta_.name = std::move(name);
    meta_.table = table;
    meta_.rows = rows_.size();
    meta_.min_bucket_ms = meta_.max_bucket_ms = rows_.empty() ? 0 : rows_.front().bucket_ms;
    for (const store::Row& row : rows_) {
      meta_.min_bucket_ms = std::min(meta_.min_bucket_ms, row.bucket_ms);
      meta_.max_bucket_ms = std::max(meta_.max_bucket_ms, row.bucket_ms);
      sketches_.push_back(row.visitors.serialize());
    }
  }
  const store::PartMeta& meta() const override { return meta_; }

  Status scan(const store::Scan& scan, const store::Visit& visit) const override {
    for (size_t i = 0; i < rows_.size(); ++i) {
      if (wanted(scan, rows_[i])) visit(view(scan, i));
    }
    return {};
  }
  Status sum(const store::Scan& scan, const store::VisitSum& visit) const override {
    for (const store::Row& row : rows_) {
      if (!wanted(scan, row)) continue;
      visit(
          {row.advertiser_id, row.ad_id, 1, row.counts.clicks, row.counts.devices, row.automated});
    }
    return {};
  }

 private:
  static bool wanted(const store::Scan& scan, const store::Row& row) {
    return (scan.ad_id.empty() || scan.ad_id == row.ad_id) &&
           (scan.advertiser_id.empty() || scan.advertiser_id == row.advertiser_id) &&
           store::takes(scan.automated, row.automated) && row.bucket_ms >= scan.from_ms &&
           row.bucket_ms < scan.to_ms;
  }
  store::RowView view(const store::Scan& scan, size_t i) const {
    const store::Row& row = rows_[i];
    store::RowView view;
    view.advertiser_id = row.advertiser_id;
    view.ad_id = row.ad_id;
    view.automated = row.automated;
    view.bucket_ms = row.bucket_ms;
    view.clicks = row.counts.clicks;
    view.devices = row.counts.devices;
    if (scan.countries) {
      view.countries = row.counts.countries.data();
      view.countries_size = row.counts.countries.size();
    }
    if (scan.visitors) view.visitors = sketches_[i];
    if (scan.visitors || scan.estimates) view.unique_estimate = row.visitors.estimate();
    return view;
  }
  store::PartMeta meta_;
  std::vector<store::Row> rows_;
  std::vector<std::string> sketches_;
};

/// One click, flat, as the naive models count it.
struct FlatClick {
  std::string advertiser_id;
  std::string ad_id;
  int64_t at_ms = 0;
  click::Device device = click::Device::other;
  click::Country country = click::kUnknownCountry;
  uint64_t visitor = 0;
  bool automated = false;
};

inline store::Row row_of(const FlatClick& click, store::Table table) {
  store::Row row;
  row.advertiser_id = click.advertiser_id;
  row.ad_id = click.ad_id;
  row.automated = click.automated;
  row.bucket_ms = floor_to(click.at_ms, store::bucket_ms(table));
  row.counts.add(click.device, click.country);
  row.visitors.add(click.visitor);
  return row;
}

/// Distinct keys, as parts and heads have them.
inline std::vector<store::Row> rows_of(const std::vector<FlatClick>& clicks, store::Table table) {
  std::vector<store::Row> all;
  for (const FlatClick& click : clicks) all.push_back(row_of(click, table));
  std::stable_sort(all.begin(), all.end(), store::key_less);
  std::vector<store::Row> out;
  for (store::Row& row : all) {
    if (!out.empty() && store::same_key(out.back(), row)) {
      out.back().merge(row);
    } else {
      out.push_back(std::move(row));
    }
  }
  return out;
}

}  // namespace clickmill::query::testing
