#pragma once

#include <catch2/catch.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "click/batch.h"
#include "cluster/partition.h"
#include "simulation/sim_file_system.h"
#include "state/memory_store.h"

namespace clickmill::cluster {

/// One partition of a node alone on a simulated disk, with no threads: the journal is
/// pumped, the worker's messages and the background's tasks (seals, merges, repairs) are
/// run by the test, the two threads' in an order that the seed draws.
class PartitionFixture {
 public:
  explicit PartitionFixture(uint64_t seed = 1) : files_(seed), order_(seed) {
    REQUIRE(files_.create_directories("store"));
    open();
  }

  /// What a start does, up to but not including the replay; it leads then.
  void open() {
    log::RecoveredLog recovered(freed_upto_);
    const auto replay = [&](JournalPos position, const log::RecordView& record) {
      return recovered.replay(position, record);
    };
    auto journal = log::Journal::open(files_, "journal", clock_, {.file_bytes = 8 << 20}, replay);
    REQUIRE(journal);
    journal_ = std::move(*journal);
    auto segments = log::Segments::open(files_, "log", codec_, {.segment_bytes = 1});
    REQUIRE(segments);
    stream::Pipeline::Options pipeline_options;
    pipeline_options.seed = 42;
    pipeline_options.store_directory = "store";
    auto rebuilder =
        std::make_shared<stream::Rebuilder>(kId, state_, files_, std::move(pipeline_options));
    auto pipeline = rebuilder->open((*segments)->first());
    REQUIRE(pipeline);
    Partition::Options options;
    options.rebuilder = std::move(rebuilder);
    options.node_id = "n1";
    options.settings.nodes = {"n1"};
    options.low_water = [this](PartitionId) { return clock_.now(); };
    options.checkpoint_bytes = checkpoint_bytes_;
    options.log_bytes = UINT64_MAX;
    options.in_background = [this](std::function<void()> task) {
      ++background_tasks_;
      background_.push_back(std::move(task));
      return true;
    };
    options.in_commit = [this](std::function<void()> task) {
      commits_.push_back(std::move(task));
      return true;
    };
    if (commits_here_) options.in_commit = nullptr;
    options.on_worker = [this](std::function<void()> task) { tasks_.push_back(std::move(task)); };
    partition_ = std::make_unique<Partition>(kId, clock_, std::move(*segments),
                                             std::move(*pipeline), std::move(options));
    REQUIRE(partition_->open(*journal_, std::move(recovered)));
    // It leads, and knows what is committed, once its first entries are durable.
    settle();
  }
  void replay() {
    while (partition_->replay_slice()) {
    }
    settle();
  }
  /// Until everything that was appended is durable, applied and told, and what was
  /// given to the background is done.
  void settle() {
    while (journal_->pump() || run_a_thread()) {
    }
  }
  /// Writes the checkpoints that were prepared; the worker hears of it when it settles.
  void write_checkpoints() {
    for (auto& commit : std::exchange(commits_, {})) commit();
  }
  /// Lets time pass, and the worker do what is due.
  void pass(int64_t ms) {
    wall_.advance_ms(ms);
    partition_->maintain();
    settle();
  }
  /// Replays and maintains the partition as its worker does, every 50 ms.
  void live(int64_t ms) {
    for (int64_t gone = 0; gone < ms; gone += 50) {
      wall_.advance_ms(50);
      ignore(partition_->replay_slice(), "the next one goes on");
      partition_->maintain();
      settle();
    }
  }
  /// Commits that many clicks; false when they were not taken.
  bool send(size_t clicks) {
    std::optional<bool> taken;
    partition_->submit(batch(clicks), [&](const Status& status) { taken = status.has_value(); });
    settle();
    return taken.value_or(false);
  }
  /// Fresh clicks of this instant.
  Batch batch(size_t clicks) {
    const ArrivalMs now = clock_.now();
    Batch out{"n1", false, now, now, {}};
    std::vector<std::string> records;
    for (size_t i = 0; i < clicks; ++i) {
      const std::string click_id = "c-" + std::to_string(sent_++);
      click::ClickView click;
      click.click_id = click_id;
      click.ad_id = "ad_1";
      click.advertiser_id = "adv_1";
      click.timestamp_ms = EventMs(now.value());
      click.received_ms = now;
      click::encode_record(click, records.emplace_back());
    }
    out.records = std::move(records);
    return out;
  }
  /// An entry that no stream can apply.
  void stop_the_stream() {
    partition_->propose(click::EntryKind::settings, "\1malformed", [](const Result<Offset>&) {});
    settle();
    REQUIRE(partition_->failure());
  }
  /// Until everything that was appended is durable; the worker hears of it only
  /// when it settles.
  void sync() {
    while (journal_->pump()) {
    }
  }
  /// Drops what retention would, up to the offset.
  void drop_log(Offset before) {
    REQUIRE(partition_->segments().drop(before, LogMs(INT64_MAX)));
    REQUIRE(partition_->log().first() > Offset(1));
  }
  /// Minute rows that a query finds, summed; or why it can't be answered.
  Result<uint64_t> clicks() {
    if (auto why = partition_->why_no_answer()) return *std::move(why);
    store::Scan scan;
    scan.to_ms = INT64_MAX;
    scan.countries = scan.visitors = true;
    auto version = partition_->pipeline().version(scan);
    store::copy_rows(version.frozen, scan, version.head);
    uint64_t clicks = 0;
    for (const auto& row : version.head) clicks += row.counts.clicks;
    for (const auto& part : (*version.parts)[0]) {
      TRY(part->scan(scan, [&](const store::RowView& row) { clicks += row.clicks; }));
    }
    return clicks;
  }
  /// kill -9: what the journal has written stays, the state is the last checkpoint's.
  void kill() {
    files_.kill();
    // It tells the partition of what it couldn't write, which nobody hears any more.
    journal_.reset();
    partition_.reset();
    tasks_.clear();
    commits_.clear();
    background_.clear();
    state_.crash();
    open();
  }

  /// `count` clicks of as many ads, each in a minute of its own long ago, as imports are.
  void import(size_t count) {
    const int64_t now = clock_.now().value();
    const std::string referrer(200, 'r');
    std::vector<std::string> records(count);
    for (std::string& record : records) {
      const std::string name = std::to_string(imported_++);
      click::ClickView click;
      click.click_id = name;
      click.ad_id = name;
      click.advertiser_id = "adv_1";
      click.timestamp_ms = EventMs(now - static_cast<int64_t>(imported_ % 10'000) * kMinuteMs);
      click.received_ms = ArrivalMs(now);
      click.referrer = referrer;
      click.flags = click::kBackfill;
      click::encode_record(click, record);
    }
    partition_->submit({"n1", false, ArrivalMs(now), ArrivalMs(now), std::move(records)},
                       [](const Status&) {});
  }

  /// The first `count` of them once more.
  void import_again(size_t count) {
    const size_t end = std::exchange(imported_, 0);
    import(count);
    imported_ = end;
  }

  static constexpr PartitionId kId{7};
  // From the next open() on:
  uint64_t checkpoint_bytes_ = 1 << 20;
  bool commits_here_ = true;  ///< checkpoints are written on the worker
  bool merges_wait_ = false;  ///< at once: nothing is run in the background
  Offset freed_upto_;         ///< the journal holds nothing of the log up to there any more
  ManualClock wall_{1'750'000'000'000};
  NodeClock clock_{wall_};
  simulation::SimFileSystem files_;
  state::MemoryStore state_;
  std::unique_ptr<Partition> partition_;
  uint64_t background_tasks_ = 0;

 private:
  /// One task of the worker or the background. False: both have none.
  bool run_a_thread() {
    if (merges_wait_) return run_one(tasks_);
    if (order_.one_in(2)) return run_one(background_) || run_one(tasks_);
    return run_one(tasks_) || run_one(background_);
  }
  static bool run_one(std::deque<std::function<void()>>& tasks) {
    if (tasks.empty()) return false;
    const auto task = std::move(tasks.front());
    tasks.pop_front();
    task();
    return true;
  }

  click::ColumnCodec codec_;
  Random order_;
  std::unique_ptr<log::Journal> journal_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::function<void()>> commits_;
  size_t imported_ = 0;
  std::deque<std::function<void()>> background_;
  uint64_t sent_ = 0;
};

}  // namespace clickmill::cluster
