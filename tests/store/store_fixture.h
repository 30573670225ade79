#pragma once

#include <stdlib.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "base/random.h"
#include "store/part.h"
#include "store/part_writer.h"

namespace clickmill::store {

inline bool operator==(const Row& a, const Row& b) {
  return same_key(a, b) && a.counts == b.counts && a.visitors == b.visitors;
}
inline std::ostream& operator<<(std::ostream& out, const Row& row) {
  out << row.advertiser_id << '/' << row.ad_id << (row.automated ? " of machines" : "") << '@'
      << row.bucket_ms << " clicks " << row.counts.clicks << " devices";
  for (const uint64_t clicks : row.counts.devices) out << ' ' << clicks;
  for (const auto& [country, clicks] : row.counts.countries) out << ' ' << country << ':' << clicks;
  return out << " visitors " << row.visitors.estimate();
}
inline bool operator==(const PartMeta& a, const PartMeta& b) {
  return a.name == b.name && a.table == b.table && a.min_bucket_ms == b.min_bucket_ms &&
         a.max_bucket_ms == b.max_bucket_ms && a.rows == b.rows && a.bytes == b.bytes &&
         a.checksum == b.checksum && a.position == b.position;
}

inline constexpr int64_t kEver = std::numeric_limits<int64_t>::max();
inline constexpr int64_t kStartMs = 1'782'295'200'000;  // 2026-06-24T10:00:00Z

/// A folder of its own and the few words the tests are written in.
class StoreFixture {
 public:
  StoreFixture() {
    std::string name = (std::filesystem::temp_directory_path() / "clickmill-store-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    directory = name;
  }
  ~StoreFixture() {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  StoreFixture(const StoreFixture&) = delete;
  StoreFixture& operator=(const StoreFixture&) = delete;

  PartMeta write(const std::vector<Row>& rows, Table table = Table::minute,
                 const std::string& name = "1.part") {
    auto meta = write_part(files, directory, name, table, rows);
    if (!meta) FAIL(meta.error().text());
    return *meta;
  }
  std::shared_ptr<const Part> open(const PartMeta& meta) {
    auto part = Part::open(files, directory, meta);
    if (!part) FAIL(part.error().text());
    return *part;
  }
  std::shared_ptr<const Part> write_and_open(const std::vector<Row>& rows,
                                             Table table = Table::minute,
                                             const std::string& name = "1.part") {
    return open(write(rows, table, name));
  }

  PosixFileSystem files;
  std::string directory;
};

inline Scan whole_scan() {
  Scan scan;
  scan.to_ms = kEver;
  scan.countries = true;
  scan.visitors = true;
  return scan;
}

/// What a view shows, kept.
inline Row to_row(const RowView& view) {
  Row row;
  row.advertiser_id = view.advertiser_id;
  row.ad_id = view.ad_id;
  row.automated = view.automated;
  row.bucket_ms = view.bucket_ms;
  row.counts.clicks = view.clicks;
  row.counts.devices = view.devices;
  row.counts.countries.assign(view.countries, view.countries + view.countries_size);
  if (!view.visitors.empty()) {
    auto visitors = sketch::Hll::parse(view.visitors);
    if (!visitors) FAIL(visitors.error().text());
    row.visitors = *std::move(visitors);
  }
  return row;
}
inline std::vector<Row> rows_of(const Part& part, const Scan& scan) {
  std::vector<Row> rows;
  const Status status = part.scan(scan, [&](const RowView& view) { rows.push_back(to_row(view)); });
  if (!status) FAIL(status.error().text());
  return rows;
}

/// One row of `clicks` clicks spread over devices, countries and visitors.
inline Row random_row(Random& random, std::string advertiser_id, std::string ad_id, int64_t bucket,
                      uint64_t clicks) {
  Row row;
  row.advertiser_id = std::move(advertiser_id);
  row.ad_id = std::move(ad_id);
  row.bucket_ms = bucket;
  for (uint64_t i = 0; i < clicks; ++i) {
    const uint64_t dice = random.below(10);
    const auto device = static_cast<click::Device>(dice < 6 ? 0 : dice < 9 ? 1 : 2 + dice % 2);
    const auto letter = static_cast<char>('A' + random.below(1 + random.below(12)));
    row.counts.add(device, click::country_of(letter, 'X'));
    if (random.below(10) < 9) row.visitors.add(random.next());
  }
  return row;
}

/// Sorted rows with distinct keys: few ads with many rows among many with few, of some the
/// rows of machines too, or these alone.
inline std::vector<Row> random_rows(Random& random, Table table, size_t advertisers, size_t ads,
                                    size_t rows_max) {
  std::vector<Row> rows;
  for (size_t a = 0; a < advertisers; ++a) {
    for (size_t ad = 0; ad < ads; ++ad) {
      const uint64_t clicks_max = 1 + random.below(random.one_in(4) ? 60 : 6);
      const uint64_t size = random.below(1 + (random.one_in(4) ? rows_max : rows_max / 20));
      int64_t bucket = floor_to(kStartMs, bucket_ms(table));
      for (uint64_t i = 0; i < size; ++i) {
        bucket +=
            bucket_ms(table) * static_cast<int64_t>(1 + (random.one_in(3) ? random.below(9) : 0));
        // The same ad_id stands under several advertisers.
        rows.push_back(random_row(random, "adv_" + std::to_string(a), "ad_" + std::to_string(ad),
                                  bucket, random.below(clicks_max + 1)));
        if (ad % 3 != 0 || !random.one_in(2)) continue;
        if (random.one_in(2)) rows.push_back(rows.back());
        rows.back().automated = true;
      }
    }
  }
  std::sort(rows.begin(), rows.end(), key_less);
  return rows;
}

}  // namespace clickmill::store
