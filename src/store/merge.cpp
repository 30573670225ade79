#include "store/merge.h"

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "store/part_writer.h"
#include "store/row_views.h"

namespace clickmill::store {
namespace {

struct KeysBetween {
  PartKey first;
  PartKey last;
};

Status read_part(const Part& part, const Scan& scan, std::vector<Row>& rows, size_t rows_most) {
  Scan whole = scan;
  whole.countries = true;
  whole.visitors = true;
  Status parsed;
  const auto take = [&](const RowView& view) {
    if (!parsed) return;
    if (rows.size() >= rows_most) {
      parsed = Error(Errc::invalid, "more than " + std::to_string(rows_most) + " rows");
      return;
    }
    rows.push_back(row_of(view));
    parsed = rows.back().visitors.merge_serialized(view.visitors);
  };
  TRY(part.scan(whole, take));
  if (!parsed) return std::move(parsed).error().with_context("part " + part.meta().name);
  return {};
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

Row row_of(const RowView& view) {
  Row row;
  row.advertiser_id = view.advertiser_id;
  row.ad_id = view.ad_id;
  row.automated = view.automated;
  row.bucket_ms = view.bucket_ms;
  row.counts.clicks = view.clicks;
  row.counts.devices = view.devices;
  row.counts.countries.assign(view.countries, view.countries + view.countries_size);
  return row;
}

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

namespace {

using Parts = std::vector<std::shared_ptr<const Part>>;

Status check_tables(const Parts& parts) {
  for (const auto& part : parts) {
    if (part->meta().table != parts.front()->meta().table)
      return Error(Errc::invalid, "merge: part " + part->meta().name + " is of another table");
  }
  return {};
}

Scan scan_of(TimeRange range) {
  Scan scan;
  scan.from_ms = range.from_ms;
  scan.to_ms = range.to_ms;
  return scan;
}

/// Null `keys`: all of them.
Result<RowViews> merged_between(const Parts& parts, TimeRange range, const KeysBetween* keys) {
  Scan whole = scan_of(range);
  whole.countries = true;
  whole.visitors = true;
  RowViews rows;
  std::vector<size_t> ends;
  const auto take = [&rows](const RowView& view) { rows.add(view); };
  for (const auto& part : parts) {
    if (apart(part->meta(), whole)) continue;
    if (keys == nullptr) TRY(part->scan(whole, take));
    if (keys != nullptr) TRY(part->scan_between(keys->first, keys->last, whole, take));
    ends.push_back(rows.size());
  }
  TRY(rows.merge_runs(ends));
  return rows;
}

/// What a merge of parts has to know before it begins: its keys, with how many rows they have
/// in all parts together, and its countries.
struct Outline {
  std::vector<KeyDictionary::Key> keys;
  std::vector<uint64_t> rows;
  CountryOrder countries;

  PartKey key(size_t at) const {
    return {keys[at].advertiser_id, keys[at].ad_id, keys[at].automated};
  }
  /// Where the keys from `begin` on have that many rows, one key at least.
  size_t end_of(size_t begin, size_t last, uint64_t rows_most) const {
    uint64_t sum = rows[begin];
    size_t end = begin + 1;
    while (end < last && sum + rows[end] <= rows_most) sum += rows[end++];
    return end;
  }
};

Result<Outline> outline_of(const Parts& parts, TimeRange range) {
  std::map<KeyDictionary::Key, uint64_t> rows;
  std::map<click::Country, uint64_t> countries;
  const Scan scan = scan_of(range);
  for (const auto& part : parts) {
    if (apart(part->meta(), scan)) continue;
    uint64_t clicks = 0;
    auto summed = part->sum(scan, [&](const AdSum& sum) {
      rows[{std::string(sum.advertiser_id), std::string(sum.ad_id), sum.automated}] += sum.rows;
      clicks += sum.clicks;
    });
    if (!summed) return std::move(summed).error().with_context("part " + part->meta().name);
    const auto order = TRY(part->countries());
    order.add_clicks(clicks, countries);
  }
  Outline outline;
  outline.countries = CountryOrder::of_clicks(countries);
  for (auto& [key, count] : rows) {
    outline.keys.push_back(key);
    outline.rows.push_back(count);
  }
  return outline;
}

/// Puts the rows of the keys [begin, end) into a part in the making.
Result<PartWriter> part_of(const Parts& parts, TimeRange range, const Outline& outline,
                           size_t begin, size_t end, size_t rows_at_once) {
  PartWriter writer(parts.front()->meta().table,
                    KeyDictionary::of_keys(std::span(outline.keys).subspan(begin, end - begin)),
                    outline.countries);
  while (begin < end) {
    const size_t upto = outline.end_of(begin, end, rows_at_once);
    const KeysBetween keys{outline.key(begin), outline.key(upto - 1)};
    const RowViews some = TRY(merged_between(parts, range, &keys));
    TRY(writer.add(some));
    begin = upto;
  }
  return writer;
}

}  // namespace

Result<std::vector<Row>> read_merged(const Parts& parts, int64_t oldest_ms) {
  TRY(check_tables(parts));
  const RowViews views = TRY(merged_between(parts, {oldest_ms}, nullptr));
  std::vector<Row> rows;
  rows.reserve(views.size());
  for (const RowView& view : views) {
    rows.push_back(row_of(view));
    TRY(rows.back().visitors.merge_serialized(view.visitors));
  }
  return rows;
}

Result<Merged> write_merged(FileSystem& files, const MergeTo& to, const Parts& parts,
                            int64_t oldest_ms) {
  TRY(check_tables(parts));
  const TimeRange range{oldest_ms};
  const Outline outline = TRY(outline_of(parts, range));
  Merged merged;
  if (outline.keys.empty()) return merged;
  auto writer = TRY(part_of(parts, range, outline, 0, outline.keys.size(), to.rows_at_once));
  merged.rows = writer.rows();
  merged.part = TRY(writer.write(files, to.directory, to.name));
  return merged;
}

Result<std::vector<PartMeta>> add_merged(const MergeOnto& to, const Parts& parts, TimeRange range) {
  TRY(check_tables(parts));
  const Outline outline = TRY(outline_of(parts, range));
  std::vector<PartMeta> metas;
  for (size_t begin = 0; begin < outline.keys.size();) {
    const size_t end = outline.end_of(begin, outline.keys.size(), to.rows_most);
    const auto writer = TRY(part_of(parts, range, outline, begin, end, to.rows_at_once));
    metas.push_back(TRY(to.file.add(to.slot, writer)));
    begin = end;
  }
  return metas;
}

}  // namespace clickmill::store
