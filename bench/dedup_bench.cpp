#include "dedup_bench.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "base/random.h"
#include "stopwatch.h"
#include "stream/dedup.h"

namespace clickmill::bench {
namespace {

using stream::Dedup;
using stream::Identity;

constexpr int64_t kStartHour = 500'000;
constexpr int64_t kDedupHours = 24;

/// Id number `n`: as good as a hash, and can be made again for a copy.
Hash128 id_of(uint64_t n) {
  Random random(n * 2 + 1);
  return {random.next(), random.next()};
}

/// Ids are numbered in log order; batch b goes to partition b mod partitions.
class Bench {
 public:
  explicit Bench(const DedupBenchOptions& options)
      : options_(options), ids_per_hour_(options.ids / kDedupHours + 1) {}

  Status run() {
    TRY(open());
    const Stopwatch building;
    TRY(feed(options_.ids));
    report("building the state", options_.ids, building);
    const uint64_t lookups = total().store_lookups;
    const uint64_t before = next_;
    const Stopwatch measuring;
    TRY(feed(options_.ids + options_.measured));
    report("with that state", next_ - before, measuring);
    std::printf("%-24s %12.2f %% of the ids\n", "asked in the store",
                100.0 * static_cast<double>(total().store_lookups - lookups) /
                    static_cast<double>(next_ - before));
    for (uint32_t p = 0; p < options_.partitions; ++p) TRY(checkpoint(p));
    dedups_.clear();
    store_.reset();
    const Stopwatch opening;
    TRY(open());
    std::printf("%-24s %12.2f s, %.2f of them on a core\n", "opened anew in",
                opening.seconds(), opening.core_seconds());
    return {};
  }

 private:
  Status open() {
    store_ = TRY(stream::open_rocks_state_store(options_.directory, options_.cache_bytes));
    for (uint32_t p = 0; p < options_.partitions; ++p) {
      dedups_.push_back(Dedup::open(PartitionId(p), *store_, {kDedupHours, nullptr}, first_hour()));
      TRY(dedups_.back()->load());
    }
    since_checkpoint_.assign(options_.partitions, 0);
    return {};
  }

  int64_t now_ms() const {
    const auto hours = static_cast<double>(next_) / static_cast<double>(ids_per_hour_);
    return kStartHour * kHourMs + static_cast<int64_t>(hours * static_cast<double>(kHourMs));
  }
  /// As the pipeline has it: a spool is ten minutes behind at most.
  int64_t first_hour() const { return (now_ms() - 10 * kMinuteMs) / kHourMs - kDedupHours; }

  Status feed(uint64_t until) {
    while (next_ < until) {
      const auto p = static_cast<uint32_t>(next_ / options_.batch % options_.partitions);
      const LogMs append_ms(now_ms());
      fill_batch(ArrivalMs(append_ms.value() - 100));
      dedups_[p]->forget_before(first_hour());
      TRY(dedups_[p]->classify(append_ms, batch_, verdicts_));
      if (verdicts_ != expected_) return Error(Errc::invalid, "dedup bench: wrong verdict");
      since_checkpoint_[p] += options_.batch;
      if (since_checkpoint_[p] >= options_.checkpoint) TRY(checkpoint(p));
    }
    return {};
  }

  void fill_batch(ArrivalMs received) {
    batch_.clear();
    expected_.clear();
    verdicts_.assign(options_.batch, 2);
    const uint64_t first = next_;
    for (; next_ < first + options_.batch; ++next_) {
      const bool copy = is_copy(next_);
      batch_.push_back({id_of(copy ? original_of(first) : next_), received});
      expected_.push_back(copy ? 1 : 0);
    }
  }

  bool is_copy(uint64_t n) const {
    return n >= options_.ids && Random(n).below(1'000) < options_.copies_per_mille;
  }
  /// An id of an earlier batch of the same partition as the batch that begins with `first`.
  uint64_t original_of(uint64_t first) {
    const uint64_t stride = options_.batch * options_.partitions;
    const uint64_t window = std::min(first, ids_per_hour_ * 20) / stride;
    for (;;) {
      const uint64_t back = 1 + random_.below(random_.one_in(2) ? std::min(window, uint64_t{8}) : window);
      const uint64_t n = first - back * stride + random_.below(options_.batch);
      if (!is_copy(n)) return n;
    }
  }

  Status checkpoint(uint32_t p) {
    stream::StateBatch batch;
    TRY(dedups_[p]->checkpoint(batch));
    TRY(store_->commit(batch, true));
    dedups_[p]->checkpoint_committed();
    since_checkpoint_[p] = 0;
    return drop_forgotten();
  }

  Status drop_forgotten() {
    int64_t oldest = dedups_[0]->oldest_durable_hour();
    for (const auto& dedup : dedups_) oldest = std::min(oldest, dedup->oldest_durable_hour());
    for (; dropped_before_ < oldest; ++dropped_before_) {
      TRY(store_->drop_space(stream::ids_space(dropped_before_)));
    }
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
    }
    return sum;
  }

  void report(const char* what, uint64_t ids, const Stopwatch& watch) const {
    const auto usage = total();
    std::printf("%-24s %12.0f ids/s, %.0f per core second\n", what,
                static_cast<double>(ids) / watch.seconds(),
                static_cast<double>(ids) / watch.core_seconds());
    std::printf("%-24s %12.2f bytes per id, %.0f MiB in all; store %.0f MiB\n", "  memory",
                static_cast<double>(usage.memory_bytes) / static_cast<double>(usage.ids),
                static_cast<double>(usage.memory_bytes) / 1048576,
                static_cast<double>(store_->memory_bytes()) / 1048576);
    std::printf("%-24s %12.1f %% of the slots used\n", "  table",
                100.0 * static_cast<double>(usage.table_used) /
                    static_cast<double>(usage.table_slots));
  }

  DedupBenchOptions options_;
  uint64_t ids_per_hour_;
  std::unique_ptr<stream::StateStore> store_;
  std::vector<std::unique_ptr<Dedup>> dedups_;
  std::vector<uint64_t> since_checkpoint_;
  std::vector<Identity> batch_;
  std::vector<uint8_t> expected_;
  std::vector<uint8_t> verdicts_;
  Random random_{1};
  uint64_t next_ = 0;
  int64_t dropped_before_ = kStartHour;
};

}  // namespace

Status run_dedup_bench(const DedupBenchOptions& options) { return Bench(options).run(); }

}  // namespace clickmill::bench
