#pragma once

#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "click/batch.h"
#include "click/sample_clicks.h"
#include "cluster/ask.h"
#include "cluster/log_reader.h"
#include "log/journal.h"
#include "simulation/sim_file_system.h"
#include "state/memory_store.h"

namespace clickmill::cluster {

/// One partition as the engine runs it, with worker and journal threads, on a
/// simulated disk. Time stands still but for advance(); ten minutes of it end a block.
class OnePartition {
 public:
  explicit OnePartition(uint64_t seed, uint64_t segment_bytes = 1 << 20)
      : files_(seed), clock_(1'782'295'200'000), node_clock_(clock_), samples_(seed) {
    for (const char* folder : {"/log", "/store", "/journal"})
      require(files_.create_directories(folder));
    log::Segments::Options segment_options;
    segment_options.segment_bytes = segment_bytes;
    auto segments = value(log::Segments::open(files_, "/log", codec_, segment_options));
    stream::Pipeline::Options pipeline_options;
    pipeline_options.store_directory = "/store";
    auto pipeline =
        value(stream::Pipeline::open(PartitionId(0), state_, files_, std::move(pipeline_options)));
    Partition::Options options;
    options.node_id = "n1";
    options.settings.nodes = {"n1"};
    options.low_water = [this](PartitionId) { return node_clock_.now(); };
    options.in_background = [](const std::function<void()>& task) {
      task();
      return true;
    };
    options.on_worker = [this](std::function<void()> task) {
      owned_.workers[0]->post(std::move(task));
    };
    owned_.workers.push_back(std::make_unique<Worker>("worker-0"));
    owned_.partitions.push_back(std::make_unique<Partition>(
        PartitionId(0), node_clock_, std::move(segments), std::move(pipeline), std::move(options)));
    const auto no_replay = [](JournalPos, const log::RecordView&) -> Status { return {}; };
    log::Journal::Options journal_options;
    journal_options.file_bytes = 8 << 20;
    journal_ =
        value(log::Journal::open(files_, "/journal", node_clock_, journal_options, no_replay));
    require(partition().open(*journal_, log::RecoveredLog()));
    journal_->start();
    owned_.workers[0]->start(
        [this] {
          const bool again = partition().replay_slice();
          partition().maintain();
          return again;
        },
        std::chrono::milliseconds(1));
    until([](const Partition& p) { return p.caught_up(); });
  }
  ~OnePartition() {
    owned_.workers[0]->stop();
    journal_->stop();
  }

  /// Commits a batch of random clicks.
  void send(size_t clicks, bool again = false) {
    std::vector<std::string> fresh(clicks);
    for (std::string& record : fresh) {
      click::ClickView click = samples_.next();
      click.received_ms = node_clock_.now();
      click.timestamp_ms = EventMs(click.received_ms.value());
      click::encode_record(click, record);
    }
    send(std::move(fresh), again);
  }
  void send(std::vector<std::string>&& fresh, bool again = false) {
    Batch batch;
    batch.sender = "n1";
    batch.again = again;
    batch.low_water = batch.newest = node_clock_.now();
    batch.records = std::move(fresh);
    records.insert(records.end(), batch.records.begin(), batch.records.end());
    auto committed = std::make_shared<std::promise<bool>>();
    auto answer = committed->get_future();
    owned_.workers[0]->post([this, batch = std::make_shared<Batch>(std::move(batch)), committed] {
      partition().submit(std::move(*batch),
                         [committed](Status status) { committed->set_value(status.has_value()); });
    });
    REQUIRE(answer.get());
  }
  void advance(int64_t ms) { clock_.advance_ms(ms); }
  /// Waits for something that other threads do; the clock goes on meanwhile, a second each
  /// millisecond that they have had for it.
  template <typename Condition>
  void advance_until(const Condition& condition) {
    while (!condition()) {
      advance(1'000);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  /// Waits until the offset is sealed.
  void wait_sealed(Offset upto) {
    until([upto](Partition& p) { return p.segments().last() >= upto; });
  }
  /// Drops segments that end before the offset, as retention does.
  void drop(Offset before) {
    until(
        [before](Partition& p) { return p.segments().drop(before, LogMs(INT64_MAX)).has_value(); });
  }
  Partition::State state() const { return value(reader().state(PartitionId(0))); }
  const LogReader& reader() const { return reader_; }
  Clock& clock() { return clock_; }
  Owned& owned() { return owned_; }
  Partition& partition() { return *owned_.partitions[0]; }
  int64_t monotonic_ns() const { return clock_.monotonic_ns(); }
  int64_t now_ms() const { return clock_.wall_ms(); }

  std::vector<std::string> records;  ///< of all clicks that were sent, in order

  template <typename T>
  static T value(Result<T> result) {
    if (!result) FAIL(result.error().text());
    return *std::move(result);
  }
  static void require(const Status& status) {
    if (!status) FAIL(status.error().text());
  }

 private:
  template <typename Condition>
  void until(Condition condition) {
    while (true) {
      const auto reached = value(
          ask<bool>(owned_, {PartitionId(0)}, [condition](Partition& p) { return condition(p); }));
      if (reached.front()) return;
    }
  }

  simulation::SimFileSystem files_;
  ManualClock clock_;
  NodeClock node_clock_;
  click::SampleClicks samples_;
  const click::ColumnCodec codec_;
  state::MemoryStore state_;
  Owned owned_;
  const LogReader reader_{owned_};
  std::unique_ptr<log::Journal> journal_;
};

}  // namespace clickmill::cluster
