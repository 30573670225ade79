#pragma once

#include <catch2/catch.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "click/batch.h"
#include "cluster/partition.h"
#include "simulation/sim_file_system.h"
#include "state/memory_store.h"

namespace clickmill::cluster {

/// One partition of a node alone on a simulated disk, with no threads: the
/// journal is pumped and the worker's messages are run by the test.
class PartitionFixture {
 public:
  explicit PartitionFixture(uint64_t seed = 1) : files_(seed) {
    REQUIRE(files_.create_directories("store"));
    open();
  }

  /// What a start does, up to but not including the replay.
  void open() {
    log::RecoveredLog recovered;
    const auto replay = [&](JournalPos position, const log::RecordView& record) {
      return recovered.replay(position, record);
    };
    auto journal = log::Journal::open(files_, "journal", clock_, {.file_bytes = 8 << 20}, replay);
    REQUIRE(journal);
    journal_ = std::move(*journal);
    auto segments = log::Segments::open(files_, "log", codec_, {});
    REQUIRE(segments);
    stream::Pipeline::Options pipeline_options;
    pipeline_options.seed = 42;
    pipeline_options.store_directory = "store";
    auto pipeline = stream::Pipeline::open(kId, state_, files_, pipeline_options);
    REQUIRE(pipeline);
    Partition::Options options;
    options.node_id = "n1";
    options.settings.nodes = {"n1"};
    options.low_water = [this](PartitionId) { return clock_.now(); };
    options.checkpoint_bytes = checkpoint_bytes_;
    options.log_bytes = UINT64_MAX;  // nothing is sealed
    options.in_background = [this](std::function<void()> task) {
      if (has_background_) tasks_.push_back(std::move(task));
      return has_background_;
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
  }
  void replay() {
    while (partition_->replay_slice()) {
    }
    settle();
  }
  /// Until everything that was appended is durable, applied and told.
  void settle() {
    while (journal_->pump() || !tasks_.empty()) {
      while (!tasks_.empty()) {
        auto task = std::move(tasks_.front());
        tasks_.pop_front();
        task();
      }
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
  /// Until everything that was appended is durable; the worker hears of it only
  /// when it settles.
  void sync() {
    while (journal_->pump()) {
    }
  }
  /// kill -9: what the journal has written stays, the state is the last checkpoint's.
  void kill() {
    files_.kill();
    // It tells the partition of what it couldn't write, which nobody hears any more.
    journal_.reset();
    partition_.reset();
    tasks_.clear();
    commits_.clear();
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
  bool has_background_ = false;  ///< sealing, merging, repairs; on the worker
  bool commits_here_ = true;     ///< checkpoints are written on the worker
  ManualClock wall_{1'750'000'000'000};
  NodeClock clock_{wall_};
  simulation::SimFileSystem files_;
  state::MemoryStore state_;
  std::unique_ptr<Partition> partition_;

 private:
  click::ColumnCodec codec_;
  std::unique_ptr<log::Journal> journal_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::function<void()>> commits_;
  size_t imported_ = 0;
};

}  // namespace clickmill::cluster
