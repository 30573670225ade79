#include "store/merge.h"

#include <algorithm>
#include <limits>
#include <map>
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

Scan scan_from(int64_t oldest_ms) {
  Scan scan;
  scan.from_ms = oldest_ms;
  scan.to_ms = std::numeric_limits<int64_t>::max();
  return scan;
}

/// Null `keys`: all of them.
Result<RowViews> merged_between(const Parts& parts, int64_t oldest_ms, const KeysBetween* keys) {
  Scan whole = scan_from(oldest_ms);
  whole.countries = true;
  whole.visitors = true;
  RowViews rows;
  std::vector<size_t> ends;
  const auto take = [&rows](const RowView& view) { rows.add(view); };
  for (const auto& part : parts) {
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
};

Result<Outline> outline_of(const Parts& parts, int64_t oldest_ms) {
  std::map<KeyDictionary::Key, uint64_t> rows;
  std::map<click::Country, uint64_t> countries;
  for (const auto& part : parts) {
    uint64_t clicks = 0;
    auto summed = part->sum(scan_from(oldest_ms), [&](const AdSum& sum) {
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

}  // namespace

Result<std::vector<Row>> read_merged(const Parts& parts, int64_t oldest_ms) {
  TRY(check_tables(parts));
  const RowViews views = TRY(merged_between(parts, oldest_ms, nullptr));
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
  Outline outline = TRY(outline_of(parts, oldest_ms));
  Merged merged;
  if (outline.keys.empty()) return merged;
  PartWriter writer(parts.front()->meta().table, KeyDictionary::of_keys(outline.keys),
                    std::move(outline.countries));
  for (size_t begin = 0; begin < outline.keys.size();) {
    size_t end = begin;
    uint64_t rows = 0;
    while (end < outline.keys.size() &&
           (end == begin || rows + outline.rows[end] <= to.rows_at_once))
      rows += outline.rows[end++];
    const KeysBetween keys{outline.key(begin), outline.key(end - 1)};
    const RowViews some = TRY(merged_between(parts, oldest_ms, &keys));
    TRY(writer.add(some));
    begin = end;
  }
  merged.rows = writer.rows();
  merged.part = TRY(writer.write(files, to.directory, to.name));
  return merged;
}

}  // namespace clickmill::store
