#include "dedup_bench.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "base/file_system.h"
#include "base/task_pool.h"
#include "dedup/dedup.h"
#include "dedup/id_spaces.h"
#include "id_source.h"
#include "process_memory.h"
#include "rocks_loop.h"
#include "stopwatch.h"

namespace clickmill::bench {
namespace {

using dedup::Dedup;

constexpr int64_t kDedupHours = 24;
constexpr double kImagesSeconds = 120;
// What a node keeps unsaved over all partitions (engine/options.cpp), and of it an id.
constexpr uint64_t kUnsavedBytes = 20 << 20;
constexpr uint64_t kUnsavedIdBytes = 36;

double mib(uint64_t bytes) { return static_cast<double>(bytes) / 1048576; }

uint64_t bytes_in(const std::string& directory) {
  uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory, error)) {
    const auto size = entry.file_size(error);
    if (!error) bytes += size;
  }
  return bytes;
}

/// Of many calls of one kind: the longest, and all together on this core.
class Calls {
 public:
  void add(const Stopwatch& watch) {
    longest_ms_ = std::max(longest_ms_, watch.seconds() * 1e3);
    core_seconds_ += watch.core_seconds();
    ++count_;
  }
  double longest_ms() const { return longest_ms_; }
  uint64_t count() const { return count_; }
  double core_seconds() const { return core_seconds_; }

 private:
  double longest_ms_ = 0;
  double core_seconds_ = 0;
  uint64_t count_ = 0;
};

class Bench {
 public:
  explicit Bench(const DedupBenchOptions& options)
      : options_(options),
        source_options_(source_options(options)),
        source_(source_options_),
        checkpoint_ids_(checkpoint_ids(options)) {}

  Status run() {
    TRY(files_.create_directories(options_.directory + "/dedup"));
    TRY(files_.create_directories(options_.directory + "/ids"));
    TRY(open());
    const Stopwatch building;
    TRY(feed(options_.ids));
    report("building the state", source_.next(), building);
    TRY(write_images());
    const uint64_t lookups = total().store_lookups;
    const uint64_t before = source_.next();
    const Stopwatch measuring;
    TRY(feed(options_.ids + options_.measured));
    const Rate rate = report("with that state", source_.next() - before, measuring);
    std::printf("%-24s %12.2f %% of the ids\n", "  asked in the store",
                100.0 * static_cast<double>(total().store_lookups - lookups) /
                    static_cast<double>(source_.next() - before));
    std::printf(
        "%-24s %12.1f ms classify (%llu ids, growth included), %.1f checkpoint, %.1f image slice\n",
        "  longest pause", classifies_.longest_ms(),
        static_cast<unsigned long long>(options_.batch), checkpoints_.longest_ms(),
        maintains_.longest_ms());
    std::printf(
        "%-24s %12.2f s classify, %.2f in %llu checkpoints of %llu ids, %.2f image slices, since "
        "the beginning\n",
        "  on this core", classifies_.core_seconds(), checkpoints_.core_seconds(),
        static_cast<unsigned long long>(checkpoints_.count()),
        static_cast<unsigned long long>(checkpoint_ids_), maintains_.core_seconds());
    TRY(report_opening());
    if (options_.bare > 0) TRY(report_bare(rate));
    return {};
  }

 private:
  static IdSource::Options source_options(const DedupBenchOptions& options) {
    return {options.ids / kDedupHours + 1, options.batch, options.partitions, options.ids,
            options.copies_per_mille};
  }

  static uint64_t checkpoint_ids(const DedupBenchOptions& options) {
    if (options.interval_s == 0) return options.checkpoint;
    const uint64_t by_time =
        source_options(options).ids_per_hour * options.interval_s / 3600 / options.partitions;
    return std::clamp<uint64_t>(by_time, 1, kUnsavedBytes / kUnsavedIdBytes / options.partitions);
  }

  Status open() {
    background_.emplace("background", 1, 4096);
    store_ = TRY(state::open_rocks_store(options_.directory + "/dedup", options_.cache_bytes));
    spaces_.emplace(*store_);
    dedup::TableImages::Options images;
    images.directory = options_.directory + "/ids";
    images.in_background = [this](std::function<void()> task) {
      return background_->submit(std::move(task));
    };
    images_.emplace(files_, std::move(images));
    for (uint32_t p = 0; p < options_.partitions; ++p) {
      dedups_.push_back(
          Dedup::open(PartitionId(p), *store_, {kDedupHours, &*images_}, first_hour()));
      TRY(dedups_.back()->load());
    }
    since_checkpoint_.clear();
    for (uint64_t p = 0; p < options_.partitions; ++p)
      since_checkpoint_.push_back(checkpoint_ids_ * p / options_.partitions);
    return {};
  }
  void close() {
    background_->stop();
    dedups_.clear();
    images_.reset();
    spaces_.reset();
    store_.reset();
    background_.reset();
  }

  /// As the pipeline has it: a spool is ten minutes behind at most.
  LogHour first_hour() const {
    return hour_of(LogMs(source_.now_ms() - 10 * kMinuteMs)) - kDedupHours;
  }

  Status feed(uint64_t until) {
    while (source_.next() < until) {
      const uint32_t p = source_.partition();
      const LogMs append_ms(source_.now_ms());
      dedups_[p]->forget_before(first_hour());
      source_.fill();
      verdicts_.assign(source_.ids.size(), 2);
      const Stopwatch classifying;
      TRY(dedups_[p]->classify(append_ms, source_.ids, verdicts_));
      classifies_.add(classifying);
      if (verdicts_ != source_.copies) return Error(Errc::invalid, "dedup bench: wrong verdict");
      since_checkpoint_[p] += options_.batch;
      if (since_checkpoint_[p] >= checkpoint_ids_) TRY(checkpoint(p));
      const Stopwatch maintaining;
      dedups_[p]->maintain();
      maintains_.add(maintaining);
    }
    return {};
  }

  /// Waits until every partition has an image, unless its ids are too few for one:
  /// a node has an hour for that; here an hour may pass in less than a second.
  Status write_images() {
    if (options_.ids / options_.partitions < 2 * dedup::TableImages::Options().due_ids_min)
      return {};
    const Stopwatch watch;
    const auto has_none = [](const auto& dedup) { return dedup->usage().images == 0; };
    for (int i = 0; std::any_of(dedups_.begin(), dedups_.end(), has_none); ++i) {
      if (watch.seconds() > kImagesSeconds) break;
      for (uint32_t p = 0; p < options_.partitions; ++p) {
        if (i % 100 == 0) TRY(checkpoint(p));
        dedups_[p]->maintain();
      }
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    std::printf("%-24s %12.2f s\n", "waited for images", watch.seconds());
    return {};
  }

  Status checkpoint(uint32_t p) {
    const Stopwatch watch;
    state::Batch batch;
    TRY(dedups_[p]->checkpoint(batch));
    TRY(store_->commit(batch, true));
    dedups_[p]->checkpoint_committed();
    checkpoints_.add(watch);
    since_checkpoint_[p] = 0;
    LogHour oldest = dedups_[0]->oldest_durable_hour();
    for (const auto& dedup : dedups_) oldest = std::min(oldest, dedup->oldest_durable_hour());
    const bool taken = background_->submit([this, oldest] {
      if (auto done = spaces_->maintain(oldest); !done) {
        std::fprintf(stderr, "%s\n", done.error().text().c_str());
      }
    });
    ignore(taken, "the next checkpoint asks for it again");
    return {};
  }

  Dedup::Usage total() const {
    Dedup::Usage sum;
    for (const auto& dedup : dedups_) {
      const auto usage = dedup->usage();
      sum.ids += usage.ids;
      sum.memory_bytes += usage.memory_bytes;
      sum.table_slots += usage.table_slots;
      sum.table_used += usage.table_used;
      sum.store_lookups += usage.store_lookups;
      sum.read_ids += usage.read_ids;
      sum.images += usage.images;
    }
    return sum;
  }

  struct Rate {
    double ids_per_second;
    double ids_per_core_second;
  };
  Rate report(const char* what, uint64_t ids, const Stopwatch& watch) const {
    const auto usage = total();
    const auto live = static_cast<double>(std::max<uint64_t>(usage.ids, 1));
    const auto count = static_cast<double>(ids);
    const Rate rate{count / watch.seconds(), count / watch.core_seconds()};
    std::printf("%-24s %12.0f ids/s, %.0f per core second, %.0f with RocksDB's threads\n", what,
                rate.ids_per_second, rate.ids_per_core_second, count / watch.process_seconds());
    std::printf("%-24s %12.2f bytes per id, %.0f MiB in all; store %.0f MiB\n", "  memory",
                static_cast<double>(usage.memory_bytes) / live, mib(usage.memory_bytes),
                mib(store_->memory_bytes()));
    const auto process = ProcessMemory::now();
    std::printf("%-24s %12.0f MiB, %.0f at most\n", "  the process holds", mib(process.bytes),
                mib(process.most_bytes));
    std::printf("%-24s %12.2f bytes per id in the store, %.2f in %llu images written\n", "  disk",
                static_cast<double>(bytes_in(options_.directory + "/dedup")) / live,
                static_cast<double>(bytes_in(options_.directory + "/ids")) / live,
                static_cast<unsigned long long>(usage.images));
    std::printf("%-24s %12.1f %% of the slots used; %zu spaces\n", "  table",
                100.0 * static_cast<double>(usage.table_used) /
                    static_cast<double>(std::max<uint64_t>(usage.table_slots, 1)),
                store_->spaces().size());
    return rate;
  }

  Status report_opening() {
    for (uint32_t p = 0; p < options_.partitions; ++p) TRY(checkpoint(p));
    close();
    TRY(reopen("opened with images"));
    close();
    std::error_code error;
    std::filesystem::remove_all(options_.directory + "/ids", error);
    TRY(files_.create_directories(options_.directory + "/ids"));
    TRY(reopen("opened without images"));
    close();
    return {};
  }

  Status reopen(const char* what) {
    const Stopwatch watch;
    TRY(open());
    std::printf("%-24s %12.2f s, %.2f of them on this core; %llu ids read one by one\n", what,
                watch.seconds(), watch.core_seconds(),
                static_cast<unsigned long long>(total().read_ids));
    return {};
  }

  Status report_bare(const Rate& rate) const {
    RocksLoopOptions bare;
    bare.directory = options_.directory + "/rocks";
    bare.source = source_options_;
    bare.ids = options_.ids;
    bare.measured = options_.bare;
    bare.checkpoint = checkpoint_ids_;
    const auto loop = TRY(run_rocks_loop(bare));
    std::printf(
        "%-24s %12.0f ids/s, %.0f per core second: dedup is %.1f times as fast, %.1f times by "
        "the core's time\n",
        "bare RocksDB", loop.ids_per_second, loop.ids_per_core_second,
        rate.ids_per_second / loop.ids_per_second,
        rate.ids_per_core_second / loop.ids_per_core_second);
    return {};
  }

  const DedupBenchOptions options_;
  const IdSource::Options source_options_;
  PosixFileSystem files_;
  IdSource source_;
  std::unique_ptr<state::Store> store_;
  std::optional<dedup::IdSpaces> spaces_;
  std::optional<dedup::TableImages> images_;
  std::vector<std::unique_ptr<Dedup>> dedups_;
  std::optional<TaskPool> background_;
  const uint64_t checkpoint_ids_;
  std::vector<uint64_t> since_checkpoint_;
  std::vector<uint8_t> verdicts_;
  Calls classifies_;
  Calls checkpoints_;
  Calls maintains_;
};

}  // namespace

Status run_dedup_bench(const DedupBenchOptions& options) { return Bench(options).run(); }

}  // namespace clickmill::bench
