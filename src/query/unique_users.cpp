#include "query/unique_users.h"

#include <algorithm>
#include <memory>

#include "sketch/union.h"

namespace clickmill::query {
namespace {

/// At most 12 KiB each.
constexpr size_t kUnionsMax = 2048;

/// Scans and shows each row with where its visitors go: the first sketch that can't be read
/// ends as the scan's error. `into` takes a view and gives the union that it is added to.
template <typename AllRows, typename Into>
Status gather_rows(const AllRows& rows, store::Scan wanted, const Plan& plan,
                   sketch::Union& scratch, const Into& into) {
  wanted.visitors = true;
  Status status;
  TRY(rows.scan(wanted, plan, [&](const store::RowView& view, const sketch::Hll* visitors) {
    sketch::Gathering& gathering = into(view);
    if (visitors != nullptr) {
      gathering.add(*visitors, scratch);
    } else if (status) {
      status = gathering.add_serialized(view.visitors, scratch);
    }
  }));
  if (!status) {
    return std::move(status).error().with_context(
        std::string("visitors of ")
            .append(wanted.ad_id.empty() ? wanted.advertiser_id : wanted.ad_id));
  }
  return status;
}

/// Unions of buckets, and of all of them together.
class Unions {
 public:
  Unions(const SummedRows& rows, const store::Scan& ids, const store::TableTimes& deleted,
         BucketIndex& index, ClicksAnswer& answer)
      : rows_(rows), ids_(ids), deleted_(deleted), index_(index), answer_(answer) {}

  /// Fills in the buckets of several rows, or with a sum, among [begin, …); tells where it stopped.
  Result<size_t> fill_crowded(size_t begin, const std::vector<uint32_t>& rows_of) {
    Plan plan;
    std::vector<size_t> crowded;
    size_t end = begin;
    for (; end < rows_of.size() && crowded.size() < kUnionsMax; ++end) {
      const bool summed = rows_of[end] > 0 && rows_.has(index_.begin_ms(end));
      if (rows_of[end] == 1 && !summed) missing_ = true;
      if (rows_of[end] < 2 && !summed) continue;
      crowded.push_back(end);
      append_stretch(index_.begin_ms(end), index_.end_ms(end), deleted_, plan);
    }
    std::vector<sketch::Gathering> gatherings(crowded.size());
    TRY(gather_rows(
        rows_, ids_, plan, scratch_, [&](const store::RowView& view) -> sketch::Gathering& {
          const auto at =
              std::lower_bound(crowded.begin(), crowded.end(), index_.of(view.bucket_ms));
          return gatherings[static_cast<size_t>(at - crowded.begin())];
        }));
    for (size_t i = 0; i < crowded.size(); ++i) {
      gatherings[i].add_to(all_);
      // One row's estimate stands beside it.
      if (rows_of[crowded[i]] == 1) continue;
      scratch_.clear();
      gatherings[i].add_to(scratch_);
      answer_.data[crowded[i]].unique_users = scratch_.estimate();
    }
    return end;
  }

  /// All buckets together, once they are filled in.
  Result<uint64_t> estimate_all(const Plan& plan) {
    // Buckets of one row each have an estimate, and nobody has read their sketches.
    if (!missing_) return all_.estimate();
    // The same visitors stand in fewer, coarser rows: a year of minutes is 365 days.
    Plan coarse;
    append_stretch(index_.begin_ms(0), index_.end_ms(index_.size() - 1), deleted_, coarse);
    const uint64_t clicks = TRY(unite(coarse));
    // Tables may be kept for different times (store.retention_days); uniques must be
    // those of the clicks that are shown.
    if (clicks != answer_.total.clicks && coarse != plan) TRY(unite(plan));
    return all_.estimate();
  }

 private:
  /// Gives the clicks of the plan's rows.
  Result<uint64_t> unite(const Plan& plan) {
    sketch::Gathering gathering;
    uint64_t clicks = 0;
    TRY(gather_rows(rows_.rows(), ids_, plan, scratch_,
                    [&](const store::RowView& view) -> sketch::Gathering& {
                      clicks += view.clicks;
                      return gathering;
                    }));
    all_.clear();
    gathering.add_to(all_);
    return clicks;
  }

  const SummedRows& rows_;
  const store::Scan& ids_;
  const store::TableTimes& deleted_;
  BucketIndex& index_;
  ClicksAnswer& answer_;
  sketch::Union scratch_;
  sketch::Union all_;
  bool missing_ = false;
};

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

}  // namespace

Status fill_unique_users(const SummedRows& rows, const store::Scan& ids, const Plan& plan,
                         const store::TableTimes& deleted, BucketIndex& index,
                         const std::vector<uint32_t>& rows_of, ClicksAnswer& answer) {
  // Too large for a stack.
  const auto unions = std::make_unique<Unions>(rows, ids, deleted, index, answer);
  for (size_t at = 0; at < rows_of.size();) at = TRY(unions->fill_crowded(at, rows_of));
  if (index.size() > 1) answer.total.unique_users = TRY(unions->estimate_all(plan));
  keep_within_clicks(answer);
  return {};
}

}  // namespace clickmill::query
