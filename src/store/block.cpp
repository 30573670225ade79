// The regions of a block, as bits (columns and shares: encoding.cpp). The
// directory has the number of rows, the first and last key and the smallest bucket.
//
// counts:
//   with more than one key: column of rows per key - 1 (but for the last key),
//                           column of each key's first bucket - smallest bucket
//   column of bucket - previous bucket of the key - 1, for all rows but first ones
//   column of clicks
//   1 bit: 1 if in every row the devices sum to the clicks, then
//     shares: mobile of clicks, desktop of the rest, tablet of the rest; other is what remains
//   else four columns, one per device
// estimates:
//   1 bit: 1 if no estimate is above its clicks, then shares of clicks; else a column
// countries: countries.cpp
// visitors:
//   column of sizes, padding to a whole byte, then the sketches' bytes
#include "store/block.h"

#include <algorithm>
#include <numeric>

#include "base/checksum.h"
#include "store/encoding.h"

namespace clickmill::store {
namespace {

using Column = std::vector<uint64_t>;

template <typename Value>
Column gather(std::span<const RowView> rows, Value value) {
  Column out(rows.size());
  std::transform(rows.begin(), rows.end(), out.begin(), value);
  return out;
}

/// False when some part is above what is left.
bool subtract(Column& left, const Column& part) {
  for (size_t i = 0; i < left.size(); ++i) {
    if (part[i] > left[i]) return false;
    left[i] -= part[i];
  }
  return true;
}

bool sums_to(Column total, std::span<const Column> parts) {
  for (const Column& part : parts) {
    if (!subtract(total, part)) return false;
  }
  return std::all_of(total.begin(), total.end(), [](uint64_t rest) { return rest == 0; });
}

/// All parts of a total as shares of what the ones before leave, if they sum to
/// it; else as columns of their own.
void encode_parts(const Column& total, std::span<const Column> parts, BitWriter& out) {
  const bool whole = sums_to(total, parts);
  out.put(whole ? 1 : 0, 1);
  if (!whole) {
    for (const Column& part : parts) encode_column(part, out);
    return;
  }
  Column rest = total;
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    encode_shares(rest, parts[i], out);
    subtract(rest, parts[i]);
  }
}
bool decode_parts(BitReader& in, const Column& total, std::span<Column> parts) {
  for (Column& part : parts) part.resize(total.size());
  if (in.get(1) == 0) {
    return std::all_of(parts.begin(), parts.end(),
                       [&](Column& part) { return decode_column(in, part); });
  }
  Column rest = total;
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    if (!decode_shares(in, rest, parts[i]) || !subtract(rest, parts[i])) return false;
  }
  parts.back() = std::move(rest);
  return in.ok();
}

void encode_keys(std::span<const uint64_t> buckets, std::span<const uint32_t> keys,
                 uint32_t min_bucket, BitWriter& out) {
  Column lengths;
  Column firsts;
  Column steps;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i == 0 || keys[i] != keys[i - 1]) {
      lengths.push_back(0);
      firsts.push_back(buckets[i] - min_bucket);
    } else {
      ++lengths.back();
      steps.push_back(buckets[i] - buckets[i - 1] - 1);
    }
  }
  if (lengths.size() > 1) {
    encode_column(std::span(lengths).first(lengths.size() - 1), out);
    encode_column(firsts, out);
  }
  encode_column(steps, out);
}

bool decode_keys(BitReader& in, const BlockEntry& entry, BlockColumns& columns) {
  const size_t runs = size_t{entry.last_key} - entry.first_key + 1;
  if (runs > entry.rows) return false;
  Column lengths(runs);
  Column firsts(runs);
  if (runs > 1) {
    if (!decode_column(in, std::span(lengths).first(runs - 1))) return false;
    if (!decode_column(in, firsts)) return false;
  }
  Column steps(entry.rows - runs);
  if (!decode_column(in, steps)) return false;
  uint64_t left = entry.rows - runs;
  size_t row = 0;
  size_t step = 0;
  columns.keys.resize(entry.rows);
  columns.buckets.resize(entry.rows);
  for (size_t run = 0; run < runs; ++run) {
    const uint64_t more = run + 1 < runs ? lengths[run] : left;
    if (more > left) return false;
    left -= more;
    uint64_t bucket = entry.min_bucket;
    if (firsts[run] > entry.max_bucket - bucket) return false;
    bucket += firsts[run];
    for (uint64_t i = 0; i <= more; ++i) {
      if (i > 0) {
        if (bucket >= entry.max_bucket || steps[step] >= entry.max_bucket - bucket) return false;
        bucket += steps[step++] + 1;
      }
      columns.keys[row] = entry.first_key + static_cast<uint32_t>(run);
      columns.buckets[row++] = bucket;
    }
  }
  return true;
}

void encode_counts(std::span<const RowView> rows, std::span<const uint32_t> keys,
                   const Column& buckets, const Column& clicks, BlockEntry& entry,
                   std::string& out) {
  BitWriter writer(out);
  encode_keys(buckets, keys, entry.min_bucket, writer);
  encode_column(clicks, writer);
  std::array<Column, click::kDevices> devices;
  for (size_t d = 0; d < devices.size(); ++d) {
    devices[d] = gather(rows, [d](const RowView& row) { return row.devices[d]; });
    entry.devices[d] = std::accumulate(devices[d].begin(), devices[d].end(), uint64_t{0});
  }
  encode_parts(clicks, devices, writer);
  writer.finish();
}

void encode_estimates(std::span<const RowView> rows, const Column& clicks, std::string& out) {
  BitWriter writer(out);
  const Column estimates = gather(rows, [](const RowView& row) { return row.unique_estimate; });
  const bool below = std::equal(estimates.begin(), estimates.end(), clicks.begin(),
                                [](uint64_t a, uint64_t b) { return a <= b; });
  writer.put(below ? 1 : 0, 1);
  if (below) {
    encode_shares(clicks, estimates, writer);
  } else {
    encode_column(estimates, writer);
  }
  writer.finish();
}

void encode_visitors(std::span<const RowView> rows, std::string& out) {
  BitWriter writer(out);
  encode_column(gather(rows, [](const RowView& row) { return row.visitors.size(); }), writer);
  writer.finish();
  for (const RowView& row : rows) out += row.visitors;
}

}  // namespace

uint32_t region_checksum(std::string_view bytes) { return static_cast<uint32_t>(xxh64_of(bytes)); }

BlockEntry encode_block(std::span<const RowView> rows, std::span<const uint32_t> keys, Table table,
                        const CountryOrder& order, std::array<std::string, kRegions>& regions) {
  std::array<size_t, kRegions> begins{};
  for (size_t i = 0; i < kRegions; ++i) begins[i] = regions[i].size();
  const Column clicks = gather(rows, [](const RowView& row) { return row.clicks; });
  const Column buckets = gather(rows, [table](const RowView& row) {
    return static_cast<uint64_t>(row.bucket_ms / bucket_ms(table));
  });
  const auto [low, high] = std::minmax_element(buckets.begin(), buckets.end());
  BlockEntry entry;
  entry.first_key = keys.front();
  entry.last_key = keys.back();
  entry.rows = static_cast<uint32_t>(rows.size());
  entry.min_bucket = static_cast<uint32_t>(*low);
  entry.max_bucket = static_cast<uint32_t>(*high);
  entry.clicks = std::accumulate(clicks.begin(), clicks.end(), uint64_t{0});
  encode_counts(rows, keys, buckets, clicks, entry, regions[0]);
  encode_estimates(rows, clicks, regions[1]);
  encode_countries(rows, order, regions[2]);
  encode_visitors(rows, regions[3]);
  for (size_t i = 0; i < kRegions; ++i) {
    const auto bytes = std::string_view(regions[i]).substr(begins[i]);
    entry.sizes[i] = static_cast<uint32_t>(bytes.size());
    entry.checksums[i] = region_checksum(bytes);
  }
  return entry;
}

bool decode_counts(const BlockEntry& entry, std::string_view bytes, BlockColumns& columns) {
  BitReader in(bytes);
  if (!decode_keys(in, entry, columns)) return false;
  columns.clicks.resize(entry.rows);
  return decode_column(in, columns.clicks) && decode_parts(in, columns.clicks, columns.devices);
}

bool decode_estimates(const BlockEntry& entry, std::string_view bytes, BlockColumns& columns) {
  BitReader in(bytes);
  columns.estimates.resize(entry.rows);
  if (in.get(1) == 1) return decode_shares(in, columns.clicks, columns.estimates);
  return decode_column(in, columns.estimates);
}

bool decode_visitors(const BlockEntry& entry, std::string_view bytes, BlockColumns& columns) {
  BitReader in(bytes);
  Column sizes(entry.rows);
  if (!decode_column(in, sizes)) return false;
  std::string_view rest = in.rest();
  columns.visitors.resize(entry.rows);
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] > rest.size()) return false;
    columns.visitors[i] = rest.substr(0, sizes[i]);
    rest.remove_prefix(sizes[i]);
  }
  return rest.empty();
}

}  // namespace clickmill::store
