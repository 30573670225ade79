#include "store_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <set>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"
#include "stopwatch.h"
#include "store/shelf.h"
#include "stream/head.h"
#include "stream/parts.h"
#include "stream/shelf_work.h"

namespace clickmill::bench {
namespace {

constexpr int64_t kBegin = 1'609'459'200'000;  // 2021-01-01

/// The disk but for its syncs; counts what is written.
class Unsynced final : public FileSystem {
 public:
  uint64_t written = 0;
  uint64_t files_made = 0;

  Result<std::unique_ptr<File>> open(const std::string& path, Open mode) override {
    auto file = TRY(disk_.open(path, mode));
    if (mode == Open::read) return file;
    ++files_made;
    return std::unique_ptr<File>(std::make_unique<Counted>(path, std::move(file), written));
  }
  Status rename(const std::string& from, const std::string& to) override {
    return disk_.rename(from, to);
  }
  Status remove(const std::string& path) override { return disk_.remove(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    return disk_.list(directory);
  }
  Status create_directories(const std::string& directory) override {
    return disk_.create_directories(directory);
  }
  Status sync_directory(const std::string&) override { return {}; }
  bool exists(const std::string& path) override { return disk_.exists(path); }
  Result<Space> space(const std::string& path) override { return disk_.space(path); }
  Result<std::unique_ptr<FileLock>> lock(const std::string& path) override {
    return disk_.lock(path);
  }

 private:
  class Counted final : public File {
   public:
    Counted(const std::string& path, std::unique_ptr<File> file, uint64_t& written)
        : File(path), file_(std::move(file)), written_(written) {}
    Status write_at(uint64_t position, std::string_view bytes) override {
      written_ += bytes.size();
      return file_->write_at(position, bytes);
    }
    Status read_at(uint64_t position, size_t length, std::string& out) override {
      return file_->read_at(position, length, out);
    }
    Status sync() override { return {}; }
    Result<uint64_t> size() override { return file_->size(); }
    Status truncate(uint64_t length) override { return file_->truncate(length); }

   private:
    const std::unique_ptr<File> file_;
    uint64_t& written_;
  };
  PosixFileSystem disk_;
};

class Years {
 public:
  explicit Years(const StoreBenchOptions& options)
      : options_(options), shelf_(disk_, options.directory) {
    const auto days = static_cast<uint32_t>(options.kept_days);
    rules_ = stream::ShelfRules::of_days({days, days, days});
    for (uint32_t i = 0; i < options.partitions; ++i) {
      parts_.push_back(
          std::make_unique<stream::Parts>(PartitionId(i), disk_, options.directory, &shelf_));
    }
    for (uint32_t i = 0; i < options.ads; ++i) ads_.push_back(fmt::format("ad_{:06}", i));
  }

  Status run() {
    fmt::print(
        "{} ads in {} partitions, {} minutes a day each, {} flushes a day, one row of {} "
        "late; kept for {} days\n",
        options_.ads, options_.partitions, options_.minutes, options_.flushes, options_.late,
        options_.kept_days);
    const Stopwatch watch;
    for (day_ = 0; day_ < options_.days; ++day_) {
      TRY(pass_day());
      if ((day_ + 1) % 365 == 0 || day_ + 1 == options_.days) TRY(report(watch));
    }
    return reopen();
  }

 private:
  int64_t day_ms(uint64_t day) const { return kBegin + static_cast<int64_t>(day) * kDayMs; }
  int64_t now_ms() const { return day_ms(day_ + 1); }

  Status pass_day() {
    for (uint64_t flush = 0; flush < options_.flushes; ++flush) {
      for (uint32_t i = 0; i < options_.partitions; ++i) TRY(this->flush(i, flush));
      TRY(merge());
      TRY(shelve());
      remove_replaced();
    }
    return {};
  }

  Status flush(uint32_t partition, uint64_t number) {
    stream::Head head{PartitionId(partition)};
    uint64_t rows = 0;
    const int64_t length_ms = kDayMs / static_cast<int64_t>(options_.flushes);
    for (size_t ad = partition; ad < ads_.size(); ad += options_.partitions) {
      const uint64_t minutes = options_.minutes / options_.flushes;
      for (uint64_t n = 0; n < std::max<uint64_t>(minutes, 1); ++n) {
        stream::Head::Click click;
        uint64_t day = day_;
        if (random_.below(options_.late) == 0) day -= std::min(day, random_.below(90));
        click.timestamp_ms =
            EventMs(day_ms(day) + static_cast<int64_t>(number) * length_ms +
                    static_cast<int64_t>(random_.below(static_cast<uint64_t>(length_ms))));
        click.ad_id = ads_[ad];
        click.advertiser_id = "advertiser";
        click.ad_hash = stream::MinuteRows::hash_of(click.ad_id);
        click.device = static_cast<click::Device>(random_.below(click::kDevices));
        click.visitor = {random_.next(), true};
        head.add(click);
        ++rows;
      }
    }
    if (rows == 0) return {};
    clicks_ += rows;
    head.freeze_before(INT64_MAX);
    const auto flush = parts_[partition]->begin_flush(head.frozen());
    const uint64_t before = disk_.written;
    TRY(flush->run());
    flushed_ += disk_.written - before;
    parts_[partition]->take_flush(*flush);
    return {};
  }

  store::TableTimes oldest() const {
    store::TableTimes out;
    out.fill(now_ms() - static_cast<int64_t>(options_.kept_days) * kDayMs);
    return out;
  }

  Status merge() {
    for (const auto& parts : parts_) {
      while (const auto merge = parts->due_merge(oldest())) {
        TRY(merge->run());
        deleted_rows_ += parts->take_merge(*merge);
      }
    }
    return {};
  }

  Status shelve() {
    while (true) {
      std::vector<stream::ShelfView> views;
      for (uint32_t i = 0; i < parts_.size(); ++i)
        views.push_back({PartitionId(i), PartitionId(i), LogMs(now_ms()), parts_[i]->free()});
      auto plan = stream::plan_shelving(views, rules_);
      if (!plan) return {};
      stream::ShelfWork work(*std::move(plan), disk_, options_.directory, shelf_);
      while (!work.written()) TRY(work.write_next());
      TRY(work.finish());
      for (auto& share : work.shares())
        parts_[share.id.value()]->take_shelved(*share.parts, share.written);
      ++steps_;
    }
  }

  /// As a checkpoint does.
  void remove_replaced() {
    for (uint32_t i = 0; i < parts_.size(); ++i) {
      for (const std::string& path : parts_[i]->take_replaced()) {
        const std::string name = path.substr(path.rfind('/') + 1);
        const auto gone = store::Shelf::is_shared(name) ? shelf_.release(PartitionId(i), name)
                                                        : disk_.remove(path);
        if (!gone) fmt::print("{}\n", gone.error().text());
      }
    }
  }

  Status report(const Stopwatch& watch) {
    const auto names = TRY(disk_.list(options_.directory));
    size_t parts = 0;
    uint64_t bytes = 0;
    uint64_t rows = 0;
    std::array<std::set<std::string>, store::kTables> shared;
    std::array<size_t, store::kTables> loose{};
    for (const auto& of : parts_) {
      for (const auto& meta : of->metas()) {
        const auto table = static_cast<size_t>(meta.table);
        ++parts;
        bytes += meta.bytes;
        rows += meta.rows;
        if (store::Shelf::is_shelved(meta.name)) shared[table].insert(meta.name);
        if (!store::Shelf::is_shelved(meta.name)) ++loose[table];
      }
    }
    fmt::print(
        "after {:4} days: {:4} files (shared: {} of minutes, {} of hours, {} of days; loose: {}), "
        "{} parts, {:.2f} M rows, {:.1f} MB; written {:.2f} times what flushes wrote, {} files "
        "made, "
        "{} steps; {:.0f} s\n",
        day_ + 1, names.size(), shared[0].size(), shared[1].size(), shared[2].size(),
        loose[0] + loose[1] + loose[2], parts, static_cast<double>(rows) / 1e6,
        static_cast<double>(bytes) / 1e6,
        static_cast<double>(disk_.written) / static_cast<double>(flushed_), disk_.files_made,
        steps_, watch.seconds());
    return {};
  }

  /// What a start does with them.
  Status reopen() {
    std::vector<std::vector<store::PartMeta>> metas;
    for (const auto& parts : parts_) metas.push_back(parts->metas());
    parts_.clear();
    const Stopwatch watch;
    store::Shelf shelf(disk_, options_.directory);
    uint64_t parts = 0;
    for (uint32_t i = 0; i < metas.size(); ++i) {
      parts_.push_back(
          std::make_unique<stream::Parts>(PartitionId(i), disk_, options_.directory, &shelf));
      TRY(parts_.back()->open(metas[i], 1));
      parts += metas[i].size();
    }
    const double opened_s = watch.seconds();
    uint64_t clicks = 0;
    store::Scan all;
    all.to_ms = std::numeric_limits<int64_t>::max();
    for (const auto& of : parts_) {
      for (const auto& part : (*of->snapshot())[0])
        TRY(part->sum(all, [&clicks](const store::AdSum& sum) { clicks += sum.clicks; }));
    }
    fmt::print(
        "a start opens {} parts in {:.2f} s; {} clicks in minutes, {} minute, hour and day "
        "rows deleted\n",
        parts, opened_s, clicks, deleted_rows_);
    parts_.clear();
    if (clicks == clicks_ || deleted_rows_ > 0) return {};
    return Error(Errc::corrupt, fmt::format("{} clicks were flushed", clicks_));
  }

  const StoreBenchOptions& options_;
  Unsynced disk_;
  store::Shelf shelf_;
  stream::ShelfRules rules_;
  std::vector<std::unique_ptr<stream::Parts>> parts_;
  std::vector<std::string> ads_;
  Random random_{1};
  uint64_t day_ = 0;
  uint64_t clicks_ = 0;
  uint64_t flushed_ = 0;
  uint64_t deleted_rows_ = 0;
  uint64_t steps_ = 0;
};

}  // namespace

Status run_store_bench(const StoreBenchOptions& options) { return Years(options).run(); }

}  // namespace clickmill::bench
