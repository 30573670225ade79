#include "query/bucket_sums.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "base/bytes.h"
#include "base/lru_cache.h"
#include "query/plan.h"
#include "sketch/union.h"

namespace clickmill::query {
namespace {

using Cache = LruCache<BucketSums>;

constexpr size_t kProcessBytes = 16 << 20;
/// At most 12 KiB each, while they are read.
constexpr size_t kReadMost = 2048;

Cache& cache_of_process() {
  static Cache cache(kProcessBytes);
  return cache;
}

size_t bytes_of(const BucketSum& sum) {
  return sum.visitors.capacity() + sum.advertiser_id.capacity() +
         sum.counts.countries.capacity() * sizeof(sum.counts.countries[0]);
}

/// Which parts have rows of each bucket: the sum of numbers drawn for them.
std::vector<std::array<uint64_t, 2>> parts_of_buckets(const Rows& rows, const BucketIndex& index) {
  std::vector<std::array<uint64_t, 2>> sums(index.size() + 1);
  // How many begin at that instant or before.
  const auto begun = [&index](int64_t ms) {
    size_t low = 0;
    size_t high = index.size();
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (index.begin_ms(middle) <= ms) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  };
  rows.each_part_number([&](uint64_t number, int64_t first_ms, int64_t last_ms) {
    const auto drawn = xxh128_of({reinterpret_cast<const char*>(&number), sizeof number});
    const size_t begin = std::max<size_t>(begun(first_ms), 1) - 1;
    const size_t end = begun(last_ms);
    if (begin >= end) return;
    for (const auto& [half, value] : {std::pair(0, drawn.low), std::pair(1, drawn.high)}) {
      sums[begin][half] += value;
      sums[end][half] -= value;
    }
  });
  for (size_t i = 1; i < sums.size(); ++i) {
    for (size_t half = 0; half < 2; ++half) sums[i][half] += sums[i - 1][half];
  }
  return sums;
}

/// Whether a row of a table is just that.
bool is_row(int64_t from_ms, int64_t to_ms) {
  for (const auto table : {store::Table::hour, store::Table::day}) {
    const int64_t unit = store::bucket_ms(table);
    if (to_ms - from_ms == unit && floor_to(from_ms, unit) == from_ms) return true;
  }
  return false;
}

Plan without(const Plan& plan, const std::vector<SummedBucket>& summed) {
  Plan out;
  auto bucket = summed.begin();
  for (Piece piece : plan) {
    while (bucket != summed.end() && bucket->to_ms <= piece.from_ms) ++bucket;
    for (auto at = bucket; at != summed.end() && at->from_ms < piece.to_ms; ++at) {
      if (at->from_ms > piece.from_ms) out.push_back({piece.table, piece.from_ms, at->from_ms});
      piece.from_ms = std::max(piece.from_ms, at->to_ms);
    }
    if (piece.from_ms < piece.to_ms) out.push_back(piece);
  }
  return out;
}

store::RowView view_of(const BucketSum& sum, bool automated, const store::Scan& wanted) {
  store::RowView view;
  view.advertiser_id = sum.advertiser_id;
  view.automated = automated;
  view.bucket_ms = sum.newest_ms;
  view.clicks = sum.counts.clicks;
  view.devices = sum.counts.devices;
  view.countries = sum.counts.countries.data();
  view.countries_size = sum.counts.countries.size();
  view.unique_estimate = sum.unique_estimate;
  if (wanted.visitors) view.visitors = sum.visitors;
  return view;
}

/// What is read of one bucket, of people or of machines.
struct Reading {
  BucketSum sum;
  sketch::Gathering visitors;
};
using Readings = std::array<Reading, 2>;

class Summing {
 public:
  Summing(const ClicksRequest& request, const Rows& rows, const store::Scan& wanted,
          const BucketIndex& index)
      : request_(request), rows_(rows), wanted_(wanted), index_(index) {}

  Result<std::vector<SummedBucket>> run() {
    const auto parts = parts_of_buckets(rows_, index_);
    std::vector<size_t> missing;
    for (size_t i = 0; i < index_.size(); ++i) {
      if (!request_.ad_id.empty() && is_row(index_.begin_ms(i), index_.end_ms(i))) continue;
      keys_.push_back(key_of(i, parts[i]));
      out_.push_back({index_.begin_ms(i), index_.end_ms(i), cache_of_process().find(keys_.back())});
      if (!out_.back().sums) missing.push_back(out_.size() - 1);
    }
    for (size_t begin = 0; begin < missing.size(); begin += kReadMost) {
      TRY(read(std::span(missing).subspan(begin, std::min(kReadMost, missing.size() - begin))));
    }
    return std::move(out_);
  }

 private:
  Hash128 key_of(size_t bucket, const std::array<uint64_t, 2>& parts) const {
    std::string text;
    ByteWriter writer(text);
    for (const std::string* id : {&request_.ad_id, &request_.advertiser_id}) {
      writer.varint(id->size());
      writer.raw(*id);
    }
    writer.u8(static_cast<uint8_t>((wanted_.countries ? 1 : 0) | (wanted_.estimates ? 2 : 0)));
    writer.u64(static_cast<uint64_t>(index_.begin_ms(bucket)));
    writer.u64(static_cast<uint64_t>(index_.end_ms(bucket)));
    for (const uint64_t half : parts) writer.u64(half);
    for (const int64_t deleted : request_.deleted_before)
      writer.u64(static_cast<uint64_t>(deleted));
    return xxh128_of(text);
  }

  /// Reads those of out_, which rise.
  Status read(std::span<const size_t> places) {
    Plan plan;
    for (const size_t place : places)
      append_stretch(out_[place].from_ms, out_[place].to_ms, request_.deleted_before, plan);
    std::vector<Readings> readings(places.size());
    store::Scan wanted = wanted_;
    wanted.automated = store::Automated::include;
    wanted.visitors = wanted.estimates;
    Status status;
    TRY(rows_.scan_parts(wanted, plan, [&](const store::RowView& view) {
      const auto after =
          std::upper_bound(places.begin(), places.end(), view.bucket_ms,
                           [this](int64_t ms, size_t place) { return ms < out_[place].from_ms; });
      const auto place = static_cast<size_t>(after - places.begin()) - 1;
      Reading& reading = readings[place][view.automated ? 1 : 0];
      add(view, reading);
      if (wanted.visitors && status)
        status = reading.visitors.add_serialized(view.visitors, scratch_);
    }));
    if (!status) {
      return std::move(status).error().with_context(
          std::string("visitors of ")
              .append(wanted.ad_id.empty() ? wanted.advertiser_id : wanted.ad_id));
    }
    for (size_t i = 0; i < places.size(); ++i) keep(places[i], readings[i]);
    return {};
  }

  static void add(const store::RowView& view, Reading& reading) {
    BucketSum& sum = reading.sum;
    store::Counts counts;
    counts.clicks = view.clicks;
    counts.devices = view.devices;
    counts.countries.assign(view.countries, view.countries + view.countries_size);
    sum.counts.merge(counts);
    const std::string_view newest = sum.advertiser_id;
    if (!sum.any ||
        std::tie(view.bucket_ms, view.advertiser_id) > std::tie(sum.newest_ms, newest)) {
      sum.newest_ms = view.bucket_ms;
      if (view.advertiser_id != newest) sum.advertiser_id = view.advertiser_id;
    }
    sum.any = true;
  }

  void keep(size_t place, Readings& readings) {
    for (Reading& reading : readings) {
      if (!wanted_.estimates || !reading.sum.any) continue;
      scratch_.clear();
      reading.visitors.add_to(scratch_);
      reading.sum.visitors = scratch_.serialize();
      reading.sum.unique_estimate = scratch_.estimate();
    }
    const size_t bytes = sizeof(BucketSums) + bytes_of(readings[0].sum) + bytes_of(readings[1].sum);
    out_[place].sums = std::make_shared<const BucketSums>(
        BucketSums{std::move(readings[0].sum), std::move(readings[1].sum)});
    cache_of_process().put(keys_[place], out_[place].sums, bytes);
  }

  const ClicksRequest& request_;
  const Rows& rows_;
  const store::Scan& wanted_;
  const BucketIndex& index_;
  std::vector<SummedBucket> out_;
  std::vector<Hash128> keys_;  ///< of each
  sketch::Union scratch_;
};

}  // namespace

Status SummedRows::scan(const store::Scan& wanted, const Plan& plan,
                        const Rows::Visit& visit) const {
  TRY(rows_.scan_parts(wanted, without(plan, summed_),
                       [&visit](const store::RowView& view) { visit(view, nullptr); }));
  rows_.scan_memory(wanted, plan, visit);
  auto piece = plan.begin();
  for (const SummedBucket& bucket : summed_) {
    while (piece != plan.end() && piece->to_ms <= bucket.from_ms) ++piece;
    if (piece == plan.end()) break;
    if (piece->from_ms > bucket.from_ms) continue;
    for (const bool automated : {false, true}) {
      const BucketSum& sum = automated ? bucket.sums->machines : bucket.sums->people;
      if (sum.any && store::takes(wanted.automated, automated))
        visit(view_of(sum, automated, wanted), nullptr);
    }
  }
  return {};
}

bool SummedRows::has(int64_t from_ms) const {
  const auto at =
      std::lower_bound(summed_.begin(), summed_.end(), from_ms,
                       [](const SummedBucket& bucket, int64_t ms) { return bucket.from_ms < ms; });
  return at != summed_.end() && at->from_ms == from_ms;
}

Result<std::vector<SummedBucket>> sum_buckets(const ClicksRequest& request, const Rows& rows,
                                              const store::Scan& wanted, const BucketIndex& index) {
  // A total's edges are anybody's, and a minute of many ads is soon read.
  if (request.granularity != Granularity::hour && request.granularity != Granularity::day)
    return std::vector<SummedBucket>();
  return std::make_unique<Summing>(request, rows, wanted, index)->run();
}

}  // namespace clickmill::query
