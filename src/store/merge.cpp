#include "store/merge.h"

#include <algorithm>
#include <limits>

namespace clickmill::store {
namespace {

Row to_row(const RowView& view) {
  Row row;
  row.advertiser_id = view.advertiser_id;
  row.ad_id = view.ad_id;
  row.bucket_ms = view.bucket_ms;
  row.counts.clicks = view.clicks;
  row.counts.devices = view.devices;
  row.counts.countries.assign(view.countries, view.countries + view.countries_size);
  return row;
}

Status read_part(const Part& part, const Scan& scan, std::vector<Row>& rows, size_t rows_most) {
  Scan whole = scan;
  whole.countries = true;
  whole.visitors = true;
  Status parsed;
  TRY(part.scan(whole, [&](const RowView& view) {
    if (!parsed) return;
    if (rows.size() >= rows_most) {
      parsed = Error(Errc::invalid, "more than " + std::to_string(rows_most) + " rows");
      return;
    }
    rows.push_back(to_row(view));
    parsed = rows.back().visitors.merge_serialized(view.visitors);
  }));
  if (!parsed) return std::move(parsed).error().with_context("part " + part.meta().name);
  return {};
}

/// Sorts what consists of sorted runs, `ends` apart, by merging neighbours: every
/// row moves log2(runs) times.
void merge_runs(std::vector<Row>& rows, std::vector<std::ptrdiff_t> ends) {
  while (ends.size() > 1) {
    std::vector<std::ptrdiff_t> merged;
    std::ptrdiff_t begin = 0;
    for (size_t i = 0; i < ends.size(); i += 2) {
      const std::ptrdiff_t end = ends[std::min(i + 1, ends.size() - 1)];
      std::inplace_merge(rows.begin() + begin, rows.begin() + ends[i], rows.begin() + end,
                         key_less);
      merged.push_back(end);
      begin = end;
    }
    ends = std::move(merged);
  }
}

/// Sums neighbours of one key.
void fold_equal(std::vector<Row>& rows) {
  size_t kept = 0;
  for (size_t i = 1; i < rows.size(); ++i) {
    if (same_key(rows[kept], rows[i])) {
      rows[kept].merge(rows[i]);
    } else if (++kept != i) {
      rows[kept] = std::move(rows[i]);
    }
  }
  if (!rows.empty()) rows.resize(kept + 1);
}

}  // namespace

bool apart(const PartMeta& meta, const Scan& scan) {
  return meta.max_bucket_ms < scan.from_ms || meta.min_bucket_ms >= scan.to_ms;
}

Status read_rows(const std::vector<std::shared_ptr<const Part>>& parts, const Scan& scan,
                 std::vector<Row>& rows, size_t rows_most) {
  for (const auto& part : parts) {
    if (!apart(part->meta(), scan)) TRY(read_part(*part, scan, rows, rows_most));
  }
  return {};
}

void fold_rows(std::vector<Row>& rows) {
  std::stable_sort(rows.begin(), rows.end(), key_less);
  fold_equal(rows);
}

Result<std::vector<Row>> read_merged(const std::vector<std::shared_ptr<const Part>>& parts,
                                     int64_t oldest_ms) {
  Scan scan;
  scan.from_ms = oldest_ms;
  scan.to_ms = std::numeric_limits<int64_t>::max();
  std::vector<Row> rows;
  std::vector<std::ptrdiff_t> ends;
  for (const auto& part : parts) {
    if (part->meta().table != parts.front()->meta().table) {
      return Error(Errc::invalid, "merge: part " + part->meta().name + " is of another table");
    }
    TRY(read_part(*part, scan, rows, SIZE_MAX));
    ends.push_back(static_cast<std::ptrdiff_t>(rows.size()));
  }
  merge_runs(rows, std::move(ends));
  fold_equal(rows);
  return rows;
}

}  // namespace clickmill::store
