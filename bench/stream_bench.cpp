#include "stream_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"
#include "base/task_pool.h"
#include "click_source.h"
#include "process_memory.h"
#include "stopwatch.h"
#include "stream/pipeline.h"
#include "stream/tick.h"

namespace clickmill::bench {
namespace {

using dedup::Dedup;
using dedup::Identity;
using stream::Pipeline;

constexpr int64_t kDedupHours = 24;
constexpr int64_t kBeginMs = 500'000 * kHourMs;  // of the measured clicks
constexpr uint64_t kRoundClicks = 200'000;       // prepared at once, to bound memory
constexpr uint64_t kSeed = 7;
// A node's: stream.checkpoint_interval_s, engine/options.cpp, cluster/partition.cpp.
constexpr int64_t kCheckpointMs = 30'000;
constexpr uint64_t kUnsavedBytes = 20 << 20;
constexpr uint64_t kRoomFactor = 3;
constexpr int64_t kArrivalMs = 40;  // from click to arrival, and from there to the log

/// Times spent in the measured part, and the pauses within it.
struct Spent {
  double seconds = 0;
  double core_seconds = 0;
  double preparing = 0;  // on the core
  double longest_pause = 0;
  double pauses = 0;
  uint64_t checkpoints = 0;
};

class Bench {
 public:
  explicit Bench(const StreamBenchOptions& options)
      : options_(options), source_(kSeed, options.ads, "stream", "localhost") {}

  Status run() {
    TRY(files_.create_directories(store_directory()));
    TRY(files_.create_directories(state_directory()));
    TRY(remember_ids());
    TRY(open());
    if (options_.ids > 0) TRY(settle());
    const Stopwatch all;
    while (next_click_ < options_.clicks) {
      const Stopwatch preparing;
      auto entries = prepare();
      spent_.preparing += preparing.core_seconds();
      TRY(apply(entries));
    }
    TRY(report(all));
    return reopen();
  }

 private:
  struct Stream {
    std::unique_ptr<Pipeline> pipeline;
    Offset next{1};
    uint64_t since_checkpoint = 0;
    int64_t next_checkpoint_ms = 0;
    int64_t ticked_minute = 0;
    bool merging = false;
    std::shared_ptr<stream::Commit> commit;  // under way
  };
  struct Ready {
    uint32_t partition;
    log::Entry entry;
  };

  std::string store_directory() const { return options_.directory + "/store"; }
  std::string state_directory() const { return options_.directory + "/state"; }

  /// The ids of the 24 hours before, through dedup alone: they are not measured.
  Status remember_ids() {
    if (options_.ids == 0) return {};
    auto store = TRY(state::open_rocks_store(state_directory(), options_.cache_bytes));
    Random random(kSeed);
    std::vector<Identity> ids;
    std::vector<uint8_t> duplicate;
    const LogHour first_hour = hour_of(LogMs(kBeginMs)) - kDedupHours;
    for (uint32_t p = 0; p < options_.partitions; ++p) {
      auto dedup =
          Dedup::open(PartitionId(p), *store, {.dedup_hours = kDedupHours}, first_hour - 1);
      TRY(dedup->load());
      const uint64_t per_hour = options_.ids / options_.partitions / kDedupHours;
      for (LogHour hour = first_hour; hour < first_hour + kDedupHours; ++hour) {
        ids.clear();
        for (uint64_t i = 0; i < per_hour; ++i) {
          ids.push_back({{random.next(), random.next()}, ArrivalMs(hour.value() * kHourMs)});
        }
        duplicate.resize(ids.size());
        TRY(dedup->classify(LogMs(hour.value() * kHourMs), ids, duplicate));
        state::Batch batch;
        TRY(dedup->checkpoint(batch));
        TRY(store->commit(batch, hour + 1 == first_hour + kDedupHours));
        dedup->checkpoint_committed();
      }
    }
    return {};
  }

  Status open() {
    state_ = TRY(state::open_rocks_store(state_directory(), options_.cache_bytes));
    streams_.resize(options_.partitions);
    for (uint32_t p = 0; p < options_.partitions; ++p) {
      Pipeline::Options pipeline;
      pipeline.seed = kSeed;
      pipeline.store_directory = store_directory();
      streams_[p].pipeline =
          TRY(Pipeline::open(PartitionId(p), *state_, files_, std::move(pipeline)));
      // Staggered, as in a node.
      streams_[p].since_checkpoint = options_.checkpoint * p / options_.partitions;
      streams_[p].next_checkpoint_ms =
          kBeginMs + kCheckpointMs * static_cast<int64_t>(p + 1) / options_.partitions;
    }
    return {};
  }
  /// As in a node that has had the ids for a while: their table is read, and as sharp
  /// as it gets.
  Status settle() {
    for (Stream& stream : streams_) {
      TRY(stream.pipeline->load());
      for (uint64_t before = UINT64_MAX; before != stream.pipeline->dedup_usage().sharpened;) {
        before = stream.pipeline->dedup_usage().sharpened;
        const uint64_t steps = 1'000 + options_.ids / options_.partitions / 1'000;
        for (uint64_t i = 0; i < steps; ++i) stream.pipeline->maintain();
      }
    }
    return {};
  }

  int64_t time_of(uint64_t click) const {
    return kBeginMs + static_cast<int64_t>(click * 1000 / options_.rate);
  }

  /// The next round of clicks, as a leader would have cut them into entries.
  std::vector<Ready> prepare() {
    std::vector<Ready> ready;
    std::vector<std::string> payloads(options_.partitions);
    std::vector<uint32_t> counts(options_.partitions);
    const uint64_t end = std::min(options_.clicks, next_click_ + kRoundClicks);
    for (; next_click_ < end; ++next_click_) {
      const int64_t now = time_of(next_click_);
      const uint32_t p =
          click::partition_of(source_.ad_id(source_.ad_of(next_click_)), options_.partitions)
              .value();
      if (counts[p] == 0) {
        click::encode_batch_header({"n1", false, ArrivalMs(now + kArrivalMs)}, payloads[p]);
      }
      source_.append_record(next_click_, now + kArrivalMs, ClickSource::Field::none, payloads[p]);
      if (++counts[p] == options_.batch) cut(p, now, payloads[p], counts[p], ready);
    }
    for (uint32_t p = 0; p < options_.partitions; ++p) {
      if (counts[p] > 0) cut(p, time_of(end), payloads[p], counts[p], ready);
    }
    return ready;
  }
  void cut(uint32_t p, int64_t now, std::string& payload, uint32_t& count,
           std::vector<Ready>& ready) {
    Stream& stream = streams_[p];
    const LogMs append_ms(now + 2 * kArrivalMs);
    if (const int64_t minute = floor_to(append_ms.value(), kMinuteMs);
        minute != stream.ticked_minute) {
      std::string tick;
      stream::encode_tick({{"n1", ArrivalMs(now)}}, nullptr, tick);
      ready.push_back({p,
                       {stream.next, 1, static_cast<uint8_t>(click::EntryKind::tick), Term(1),
                        append_ms, std::move(tick)}});
      ++stream.next;
      stream.ticked_minute = minute;
    }
    ready.push_back({p,
                     {stream.next, count, static_cast<uint8_t>(click::EntryKind::clicks), Term(1),
                      append_ms, std::exchange(payload, {})}});
    stream.next = stream.next + count;
    count = 0;
  }

  Status apply(const std::vector<Ready>& entries) {
    const Stopwatch watch;
    for (const Ready& ready : entries) {
      Stream& stream = streams_[ready.partition];
      TRY(stream.pipeline->apply(ready.entry));
      stream.pipeline->maintain();
      stream.since_checkpoint += ready.entry.count;
      if (is_due(stream, ready.entry.append_ms.value())) TRY(begin_checkpoint(ready.partition));
      TRY(end_checkpoints());
      while (!has_room(stream)) TRY(wait_for_commit());
    }
    take_merges();
    spent_.seconds += watch.seconds();
    spent_.core_seconds += watch.core_seconds();
    return {};
  }
  bool has_room(const Stream& stream) const {
    return !stream.commit || stream.pipeline->unsaved_bytes() + stream.pipeline->in_flight_bytes() <
                                 kRoomFactor * kUnsavedBytes / options_.partitions;
  }

  bool is_due(Stream& stream, int64_t now) const {
    if (options_.checkpoint > 0) return stream.since_checkpoint >= options_.checkpoint;
    if (now < stream.next_checkpoint_ms &&
        stream.pipeline->unsaved_bytes() < kUnsavedBytes / options_.partitions)
      return false;
    stream.next_checkpoint_ms = now + kCheckpointMs;
    return true;
  }
  /// Prepared here and written by another thread, as in a node.
  Status begin_checkpoint(uint32_t p) {
    Stream& stream = streams_[p];
    if (stream.commit) return {};
    const Stopwatch watch;
    stream.commit = TRY(stream.pipeline->begin_checkpoint());
    paused(watch);
    ++spent_.checkpoints;
    stream.since_checkpoint = 0;
    const bool taken = commits_.submit([this, p, commit = stream.commit] {
      ignore(commit->run(), "end_checkpoint() looks at the answer");
      const std::lock_guard lock(mutex_);
      committed_.push_back(p);
      committing_.notify_one();
    });
    return taken ? Status() : Error(Errc::busy, "too many checkpoints wait");
  }
  Status end_checkpoints() {
    std::vector<uint32_t> ended;
    {
      const std::lock_guard lock(mutex_);
      ended.swap(committed_);
    }
    for (const uint32_t p : ended) {
      const Stopwatch watch;
      TRY(streams_[p].pipeline->end_checkpoint(*std::exchange(streams_[p].commit, nullptr)));
      paused(watch);
      start_merge(p);
    }
    return {};
  }
  Status wait_for_commit() {
    {
      std::unique_lock lock(mutex_);
      committing_.wait(lock, [this] { return !committed_.empty(); });
    }
    return end_checkpoints();
  }
  void paused(const Stopwatch& watch) {
    spent_.longest_pause = std::max(spent_.longest_pause, watch.seconds());
    spent_.pauses += watch.seconds();
  }
  void start_merge(uint32_t p) {
    if (streams_[p].merging) return;
    auto merge = streams_[p].pipeline->due_merge(store::kAllTime);
    if (!merge) return;
    streams_[p].merging = background_.submit([this, p, merge] {
      auto done = merge->run();
      const std::lock_guard lock(mutex_);
      if (done) {
        merged_.emplace_back(p, merge);
      } else {
        failed_ = std::move(done);
      }
    });
  }
  void take_merges() {
    const std::lock_guard lock(mutex_);
    for (const auto& [p, merge] : std::exchange(merged_, {})) {
      streams_[p].pipeline->take_merge(*merge);
      streams_[p].merging = false;
    }
  }

  Status report(const Stopwatch& all) {
    const auto under_way = [](const Stream& stream) { return stream.commit != nullptr; };
    while (std::any_of(streams_.begin(), streams_.end(), under_way)) TRY(wait_for_commit());
    background_.stop();
    take_merges();
    if (!failed_) return std::move(failed_).error();
    const auto clicks = static_cast<double>(options_.clicks);
    uint64_t counted = 0;
    uint64_t rows = 0;
    uint64_t bytes = 0;
    uint64_t parts = 0;
    Dedup::Usage dedup;
    for (const Stream& stream : streams_) {
      counted += stream.pipeline->tally().counted;
      rows += stream.pipeline->head_rows();
      bytes += stream.pipeline->head_memory_bytes();
      parts += stream.pipeline->part_metas().size();
      dedup.ids += stream.pipeline->dedup_usage().ids;
      dedup.memory_bytes += stream.pipeline->dedup_usage().memory_bytes;
    }
    fmt::print(
        "stream: {} clicks on {} ads in {} partitions, {} ids before; {:.1f} s with preparing\n",
        options_.clicks, options_.ads, options_.partitions, options_.ids, all.seconds());
    fmt::print(
        "throughput: {:.0f} clicks/s, {:.0f} per core second, {:.0f} with all that is written\n",
        clicks / spent_.seconds, clicks / spent_.core_seconds,
        clicks / (all.process_seconds() - spent_.preparing));
    fmt::print(
        "checkpoints: {} of {:.0f} clicks; pause ms: mean {:.2f}, longest {:.2f}; {:.1f} % of the "
        "time\n",
        spent_.checkpoints, clicks / static_cast<double>(std::max<uint64_t>(spent_.checkpoints, 1)),
        1000 * spent_.pauses / static_cast<double>(std::max<uint64_t>(spent_.checkpoints, 1)),
        1000 * spent_.longest_pause, 100 * spent_.pauses / spent_.seconds);
    fmt::print("open rows: {}, {:.0f} bytes each; parts: {}\n", rows,
               static_cast<double>(bytes) / static_cast<double>(std::max<uint64_t>(rows, 1)),
               parts);
    fmt::print("ids: {}, {:.2f} bytes each; the process holds {} MiB, {} at most\n", dedup.ids,
               static_cast<double>(dedup.memory_bytes) / static_cast<double>(dedup.ids),
               ProcessMemory::now().bytes >> 20, ProcessMemory::now().most_bytes >> 20);
    if (counted != options_.clicks) {
      return Error(Errc::invalid, fmt::format("stream bench: {} clicks counted, not {}", counted,
                                              options_.clicks));
    }
    return {};
  }

  Status reopen() {
    for (Stream& stream : streams_) TRY(stream.pipeline->checkpoint());
    streams_.clear();
    state_.reset();
    const Stopwatch watch;
    TRY(open());
    fmt::print("opened anew in {:.2f} s, {:.2f} of them on a core\n", watch.seconds(),
               watch.core_seconds());
    return {};
  }

  const StreamBenchOptions options_;
  ClickSource source_;
  PosixFileSystem files_;
  std::unique_ptr<state::Store> state_;
  std::vector<Stream> streams_;
  uint64_t next_click_ = 0;
  Spent spent_;
  std::mutex mutex_;  // guards the four below, between the other threads and us
  std::condition_variable committing_;
  std::vector<uint32_t> committed_;
  std::vector<std::pair<uint32_t, std::shared_ptr<stream::Parts::Merge>>> merged_;
  Status failed_;
  TaskPool commits_{"checkpoint", 2, 4096};
  TaskPool background_{"background", 1, 4096};  // go first
};

}  // namespace

Status run_stream_bench(const StreamBenchOptions& options) { return Bench(options).run(); }

}  // namespace clickmill::bench
