#include "store/part.h"

#include <map>

#include "store/part_writer.h"
#include "store/store_fixture.h"

namespace clickmill::store {
namespace {

bool matches(const Row& row, const Scan& scan) {
  return (scan.ad_id.empty() || row.ad_id == scan.ad_id) &&
         (scan.advertiser_id.empty() || row.advertiser_id == scan.advertiser_id) &&
         takes(scan.automated, row.automated) && row.bucket_ms >= scan.from_ms &&
         row.bucket_ms < scan.to_ms;
}
std::vector<Row> naive_scan(const std::vector<Row>& rows, const Scan& scan) {
  std::vector<Row> out;
  for (Row row : rows) {
    if (!matches(row, scan)) continue;
    if (!scan.countries) row.counts.countries.clear();
    if (!scan.visitors) row.visitors = {};
    out.push_back(std::move(row));
  }
  return out;
}

using Sum = std::tuple<std::string, std::string, bool, uint64_t, uint64_t, std::array<uint64_t, 4>>;
std::vector<Sum> naive_sum(const std::vector<Row>& rows, const Scan& scan) {
  std::vector<Sum> out;
  for (const Row& row : rows) {
    if (!matches(row, scan)) continue;
    if (out.empty() || std::get<0>(out.back()) != row.advertiser_id ||
        std::get<1>(out.back()) != row.ad_id || std::get<2>(out.back()) != row.automated) {
      out.emplace_back(row.advertiser_id, row.ad_id, row.automated, 0, 0,
                       std::array<uint64_t, 4>{});
    }
    auto& [advertiser, ad, automated, size, clicks, devices] = out.back();
    ++size;
    clicks += row.counts.clicks;
    for (size_t d = 0; d < devices.size(); ++d) devices[d] += row.counts.devices[d];
  }
  return out;
}
std::vector<Sum> sums_of(const Part& part, const Scan& scan) {
  std::vector<Sum> out;
  const Status status = part.sum(scan, [&](const AdSum& sum) {
    out.emplace_back(sum.advertiser_id, sum.ad_id, sum.automated, sum.rows, sum.clicks,
                     sum.devices);
  });
  CHECK(status);
  return out;
}

/// Rows of one ad, one a minute.
std::vector<Row> minutes_of_one_ad(size_t size) {
  Random random(size);
  std::vector<Row> rows;
  for (size_t i = 0; i < size; ++i) {
    rows.push_back(random_row(random, "adv", "ad", kStartMs + static_cast<int64_t>(i) * kMinuteMs,
                              random.below(30)));
  }
  return rows;
}

TEST_CASE_METHOD(StoreFixture, "part: random scans give what a filter of the rows gives",
                 "[store]") {
  const uint64_t seed = GENERATE(range(uint64_t{1}, uint64_t{13}));
  CAPTURE(seed);
  Random random(seed);
  const auto table = static_cast<Table>(random.below(kTables));
  const auto rows = random_rows(random, table, 1 + random.below(6), 1 + random.below(40), 500);
  if (rows.empty()) return;
  const auto part = write_and_open(rows, table);
  for (int i = 0; i < 60; ++i) {
    Scan scan;
    const Row& about = rows[random.below(rows.size())];
    const Row& other = rows[random.below(rows.size())];
    if (random.one_in(2)) scan.ad_id = about.ad_id;
    if (random.one_in(2)) scan.advertiser_id = about.advertiser_id;
    if (random.one_in(20)) scan.ad_id = "ad_";
    if (random.one_in(20)) scan.advertiser_id = "adv_99";
    scan.to_ms = kEver;
    if (random.one_in(2)) scan.from_ms = other.bucket_ms + static_cast<int64_t>(random.below(2));
    if (random.one_in(2)) scan.to_ms = about.bucket_ms + static_cast<int64_t>(random.below(2));
    scan.countries = random.one_in(2);
    scan.visitors = random.one_in(2);
    CAPTURE(i, scan.ad_id, scan.advertiser_id, scan.from_ms, scan.to_ms);
    CHECK((rows_of(*part, scan) == naive_scan(rows, scan)));
    CHECK((sums_of(*part, scan) == naive_sum(rows, scan)));
  }
}

TEST_CASE_METHOD(StoreFixture, "part: any number of rows comes back", "[store]") {
  const size_t size = GENERATE(1, 2, 63, 64, 65, 127, 128, 129, 191, 192, 193, 256, 257, 1'000);
  const auto rows = minutes_of_one_ad(size);
  const auto part = write_and_open(rows);
  CHECK((rows_of(*part, whole_scan()) == rows));
  CHECK(part->meta().rows == size);
  CHECK(part->meta().min_bucket_ms == rows.front().bucket_ms);
  CHECK(part->meta().max_bucket_ms == rows.back().bucket_ms);
  CHECK(part->meta().bytes == std::filesystem::file_size(directory + "/1.part"));
}

TEST_CASE_METHOD(StoreFixture, "part: counts of any size and rows that do not add up come back",
                 "[store]") {
  const uint64_t huge = uint64_t{1} << 63;
  std::vector<Row> rows = minutes_of_one_ad(200);
  SECTION("one huge row among small ones") {
    rows[100].counts = Counts{huge, {huge - 1, 1, 0, 0}, {{click::country_of('D', 'E'), huge}}};
  }
  SECTION("all huge, so that sums pass 2^64") {
    for (Row& row : rows) row.counts = Counts{huge, {0, 0, huge, 0}, {{1, 1}, {2, huge - 1}}};
  }
  SECTION("devices above the clicks") {
    rows[7].counts = Counts{1, {UINT64_MAX, UINT64_MAX, 2, 1}, {{9, UINT64_MAX}}};
  }
  SECTION("devices below the clicks") { rows[7].counts = Counts{9, {1, 1, 1, 1}, {{9, 3}}}; }
  SECTION("no countries, no visitors") {
    for (Row& row : rows) {
      row.counts.countries.clear();
      row.visitors = {};
    }
  }
  SECTION("every country code") {
    rows.resize(2);
    rows[1].counts.countries.clear();
    for (unsigned code = 0; code <= UINT16_MAX; ++code) {
      rows[1].counts.countries.emplace_back(static_cast<click::Country>(code), code % 3 + 1);
    }
  }
  SECTION("nothing counted") {
    Random random(1);
    for (Row& row : rows) row = random_row(random, "adv", "ad", row.bucket_ms, 0);
  }
  SECTION("more visitors than clicks") {
    for (uint64_t i = 0; i < 50'000; ++i) rows[3].visitors.add(i * 0x9e3779b97f4a7c15);
  }
  const auto part = write_and_open(rows);
  CHECK((rows_of(*part, whole_scan()) == rows));
  Scan scan;
  scan.to_ms = kEver;
  CHECK((sums_of(*part, scan) == naive_sum(rows, scan)));
}

TEST_CASE_METHOD(StoreFixture, "part: the estimate of each row stands beside its sketch",
                 "[store]") {
  const auto rows = minutes_of_one_ad(300);
  const auto part = write_and_open(rows);
  std::vector<uint64_t> want;
  for (const Row& row : rows) want.push_back(row.visitors.estimate());
  Scan scan;
  scan.to_ms = kEver;
  scan.estimates = true;
  std::vector<uint64_t> alone;
  CHECK(part->scan(scan, [&](const RowView& view) {
    alone.push_back(view.unique_estimate);
    CHECK(view.visitors.empty());
    CHECK(view.countries_size == 0);
  }));
  CHECK(alone == want);
  scan.estimates = false;
  scan.visitors = true;
  std::vector<uint64_t> beside;
  CHECK(part->scan(scan, [&](const RowView& view) { beside.push_back(view.unique_estimate); }));
  CHECK(beside == want);
}

/// Counts what is read of a file.
class CountingFileSystem final : public FileSystem {
 public:
  class CountingFile final : public File {
   public:
    CountingFile(std::unique_ptr<File> file, uint64_t& bytes)
        : File(file->path()), file_(std::move(file)), bytes_(bytes) {}
    Status write_at(uint64_t position, std::string_view bytes) override {
      return file_->write_at(position, bytes);
    }
    Status read_at(uint64_t position, size_t length, std::string& out) override {
      bytes_ += length;
      return file_->read_at(position, length, out);
    }
    Status sync() override { return file_->sync(); }
    Result<uint64_t> size() override { return file_->size(); }
    Status truncate(uint64_t length) override { return file_->truncate(length); }

   private:
    std::unique_ptr<File> file_;
    uint64_t& bytes_;
  };
  Result<std::unique_ptr<File>> open(const std::string& path, Open mode) override {
    auto file = TRY(below_.open(path, mode));
    return std::unique_ptr<File>(std::make_unique<CountingFile>(std::move(file), bytes_read));
  }
  Status rename(const std::string& from, const std::string& to) override {
    return below_.rename(from, to);
  }
  Status remove(const std::string& path) override { return below_.remove(path); }
  Result<std::vector<std::string>> list(const std::string& path) override {
    return below_.list(path);
  }
  Status create_directories(const std::string& path) override {
    return below_.create_directories(path);
  }
  Status sync_directory(const std::string& path) override { return below_.sync_directory(path); }
  bool exists(const std::string& path) override { return below_.exists(path); }
  Result<Space> space(const std::string& path) override { return below_.space(path); }
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    return below_.lock(path);
  }
  uint64_t bytes_read = 0;

 private:
  PosixFileSystem below_;
};

TEST_CASE_METHOD(StoreFixture, "part: a scan reads the blocks and columns it needs", "[store]") {
  std::vector<Row> rows;
  for (int ad = 10; ad < 50; ++ad) {
    for (Row row : minutes_of_one_ad(600)) {
      row.ad_id = "ad_" + std::to_string(ad);
      rows.push_back(std::move(row));
    }
  }
  const PartMeta meta = write(rows);
  CountingFileSystem counting;
  const auto part = Part::open(counting, directory, meta);
  REQUIRE(part);
  const auto cost = [&](const auto& read) {
    counting.bytes_read = 0;
    read();
    return counting.bytes_read;
  };
  Scan hour;
  hour.ad_id = "ad_23";
  hour.from_ms = kStartMs + kHourMs;
  hour.to_ms = kStartMs + 2 * kHourMs;
  // Two blocks of 120 rows at most, a few bytes a row.
  CHECK(cost([&] { CHECK(rows_of(**part, hour).size() == 60); }) < 1'500);
  Scan whole;
  whole.to_ms = kEver;
  const uint64_t counts = cost([&] { rows_of(**part, whole); });
  whole.countries = true;
  const uint64_t countries = cost([&] { rows_of(**part, whole); });
  whole.visitors = true;
  const uint64_t all = cost([&] { rows_of(**part, whole); });
  CHECK(counts < countries);
  CHECK(countries < all);
  // Ads with blocks of their own are summed from the directory alone.
  CHECK(cost([&] { CHECK(sums_of(**part, whole).size() == 40); }) == 0);
}

TEST_CASE_METHOD(StoreFixture, "part: an unlinked file is read until its last user lets go",
                 "[store]") {
  const auto rows = minutes_of_one_ad(500);
  const auto part = write_and_open(rows);
  REQUIRE(files.remove(directory + "/1.part"));
  CHECK((rows_of(*part, whole_scan()) == rows));
}

TEST_CASE_METHOD(StoreFixture, "part: rows that can't stand in one are refused", "[store]") {
  auto rows = minutes_of_one_ad(3);
  std::string message;
  SECTION("none") { rows.clear(), message = "part: no rows"; }
  SECTION("out of order") {
    std::swap(rows[1], rows[2]), message = "part: row 2: keys are not rising";
  }
  SECTION("the same key twice") {
    rows[2].bucket_ms = rows[1].bucket_ms, message = "part: row 2: keys are not rising";
  }
  SECTION("a bucket that begins nowhere") {
    rows[1].bucket_ms += 1, message = "part: row 1: no bucket of this table begins then";
  }
  SECTION("before 1970") {
    rows[0].bucket_ms = -60'000, message = "part: row 0: no bucket of this table begins then";
  }
  const auto meta = write_part(files, directory, "1.part", Table::minute, rows);
  REQUIRE_FALSE(meta);
  CHECK(meta.error().code() == Errc::invalid);
  CHECK(meta.error().message() == message);
}

TEST_CASE_METHOD(StoreFixture, "part: the last minute of the year 9999 has room", "[store]") {
  auto rows = minutes_of_one_ad(1);
  rows[0].bucket_ms = floor_to(253'402'300'799'999, kMinuteMs);
  CHECK((rows_of(*write_and_open(rows), whole_scan()) == rows));
}

TEST_CASE_METHOD(StoreFixture, "part: a bare bucket edge belongs to the range that begins there",
                 "[store]") {
  const auto rows = minutes_of_one_ad(3);
  const auto part = write_and_open(rows);
  struct Case {
    int64_t from, to;
    size_t rows;
  };
  const int64_t second = rows[1].bucket_ms;
  for (const Case& c : {Case{second, second + 1, 1}, Case{second + 1, second + kMinuteMs, 0},
                        Case{second, second, 0}, Case{second + 1, second + kMinuteMs + 1, 1},
                        Case{-kEver, second, 1}, Case{second, 0, 0}}) {
    Scan scan;
    scan.from_ms = c.from;
    scan.to_ms = c.to;
    CAPTURE(c.from, c.to);
    CHECK(rows_of(*part, scan).size() == c.rows);
  }
}

}  // namespace
}  // namespace clickmill::store
