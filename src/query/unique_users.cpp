#include "query/unique_users.h"

#include <algorithm>

namespace clickmill::query {
namespace {

/// At most 4 KiB each.
constexpr size_t kSketchesMax = 4096;

/// Scans and merges; the first sketch that can't be read ends as the scan's error.
template <typename Into>
Status merge_rows(const Rows& rows, store::Scan wanted, const Plan& plan, const Into& into) {
  wanted.visitors = true;
  Status status;
  TRY(rows.scan(wanted, plan, [&](const store::RowView& view, const sketch::Hll* visitors) {
    sketch::Hll& sketch = into(view);
    if (visitors != nullptr) {
      sketch.merge(*visitors);
    } else if (status) {
      status = sketch.merge_serialized(view.visitors);
    }
  }));
  if (!status) {
    return std::move(status).error().with_context(
        std::string("visitors of ")
            .append(wanted.ad_id.empty() ? wanted.advertiser_id : wanted.ad_id));
  }
  return status;
}

/// Unions of the buckets of several rows among [begin, …); tells where it stopped.
/// All that it read goes to `total` too.
Result<size_t> fill_crowded(const Rows& rows, const store::Scan& ids,
                            const store::TableTimes& deleted, size_t begin, BucketIndex& index,
                            const std::vector<uint32_t>& rows_of, ClicksAnswer& answer) {
  Plan plan;
  std::vector<size_t> crowded;
  size_t end = begin;
  for (; end < rows_of.size() && crowded.size() < kSketchesMax; ++end) {
    if (rows_of[end] < 2) continue;
    crowded.push_back(end);
    append_stretch(index.begin_ms(end), index.end_ms(end), deleted, plan);
  }
  std::vector<sketch::Hll> sketches(crowded.size());
  TRY(merge_rows(rows, ids, plan, [&](const store::RowView& view) -> sketch::Hll& {
    const auto at = std::lower_bound(crowded.begin(), crowded.end(), index.of(view.bucket_ms));
    return sketches[static_cast<size_t>(at - crowded.begin())];
  }));
  for (size_t i = 0; i < crowded.size(); ++i) {
    answer.data[crowded[i]].unique_users = sketches[i].estimate();
  }
  return end;
}

struct Union {
  sketch::Hll visitors;
  uint64_t clicks = 0;
};
Result<Union> unite(const Rows& rows, const store::Scan& ids, const Plan& plan) {
  Union all;
  TRY(merge_rows(rows, ids, plan, [&](const store::RowView& view) -> sketch::Hll& {
    all.clicks += view.clicks;
    return all.visitors;
  }));
  return all;
}

/// Clicks and the estimate of a growing set only grow, so the lower of the two does too.
void keep_within_clicks(ClicksAnswer& answer) {
  uint64_t most = 0;
  for (Bucket& bucket : answer.data) {
    bucket.unique_users = std::min(bucket.unique_users, bucket.clicks);
    most = std::max(most, bucket.unique_users);
  }
  answer.total.unique_users =
      std::min(std::max(answer.total.unique_users, most), answer.total.clicks);
}

Result<uint64_t> estimate_all(const Rows& rows, const store::Scan& ids, const Plan& plan,
                              const store::TableTimes& deleted, const BucketIndex& index,
                              uint64_t clicks) {
  // The same visitors stand in fewer, coarser rows: a year of minutes is 365 days.
  Plan coarse;
  append_stretch(index.begin_ms(0), index.end_ms(index.size() - 1), deleted, coarse);
  Union all = TRY(unite(rows, ids, coarse));
  // Tables may be kept for different times (store.retention_days); uniques must be
  // those of the clicks that are shown.
  if (all.clicks != clicks && coarse != plan) all = TRY(unite(rows, ids, plan));
  return all.visitors.estimate();
}

}  // namespace

Status fill_unique_users(const Rows& rows, const store::Scan& ids, const Plan& plan,
                         const store::TableTimes& deleted, BucketIndex& index,
                         const std::vector<uint32_t>& rows_of, ClicksAnswer& answer) {
  for (size_t at = 0; at < rows_of.size();) {
    at = TRY(fill_crowded(rows, ids, deleted, at, index, rows_of, answer));
  }
  if (index.size() > 1) {
    answer.total.unique_users =
        TRY(estimate_all(rows, ids, plan, deleted, index, answer.total.clicks));
  }
  keep_within_clicks(answer);
  return {};
}

}  // namespace clickmill::query
