#include "dedup/id_spaces.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <vector>

#include "base/random.h"
#include "base/temporary_directory.h"
#include "dedup/dedup.h"
#include "state/memory_store.h"

namespace clickmill::dedup {
namespace {

constexpr int64_t kFirstHour = 400'000;
constexpr int64_t kDedupHours = 3;

std::vector<int64_t> hours_in(const state::Store& store) {
  std::vector<int64_t> hours;
  for (const auto& space : store.spaces()) {
    if (const auto hour = state::hour_of_ids_space(space)) hours.push_back(hour->value());
  }
  std::sort(hours.begin(), hours.end());
  return hours;
}

/// Partitions that share a store, each at its own log time, forgetting what is
/// older than kDedupHours, and the newest hour in which each has an id.
class Node {
 public:
  Node(state::Store& store, uint32_t partitions) : store_(store), spaces_(store) {
    for (uint32_t p = 0; p < partitions; ++p) partitions_.push_back({});
    reopen();
  }
  void reopen() {
    for (uint32_t p = 0; p < partitions_.size(); ++p) {
      auto& partition = partitions_[p];
      partition.dedup.reset();
      partition.dedup = Dedup::open(PartitionId(p), store_, {kDedupHours, nullptr},
                                    LogHour(partition.durable_first_hour));
      // Replays what the last checkpoint had not.
      for (const auto& [hour, n] : partition.since) apply(partition, hour, n, true);
    }
  }
  /// A new id in the given hour.
  void file(uint32_t p, int64_t hour) {
    partitions_[p].since.emplace_back(hour, next_);
    apply(partitions_[p], hour, next_++, true);
  }
  void checkpoint(uint32_t p) {
    auto& partition = partitions_[p];
    state::Batch batch;
    REQUIRE(partition.dedup->checkpoint(batch));
    REQUIRE(store_.commit(batch, true));
    partition.dedup->checkpoint_committed();
    partition.since.clear();
    partition.durable_first_hour = partition.first_hour;
  }
  void maintain() {
    LogHour oldest(INT64_MAX);
    for (const auto& each : partitions_)
      oldest = std::min(oldest, each.dedup->oldest_durable_hour());
    const auto done = spaces_.maintain(oldest);
    if (!done) FAIL(done.error().text());
  }
  /// Every id of an hour not forgotten must be known, any other not.
  void check_all() {
    for (auto& partition : partitions_) {
      for (const auto& [n, hour] : partition.filed) {
        if (hour >= partition.first_hour) apply(partition, partition.hour, n, false);
      }
    }
  }
  int64_t hour(uint32_t p) const { return partitions_[p].hour; }

 private:
  struct Partition {
    std::unique_ptr<Dedup> dedup;
    int64_t hour = kFirstHour;
    int64_t first_hour = 0;
    int64_t durable_first_hour = 0;
    std::map<uint64_t, int64_t> filed;
    std::vector<std::pair<int64_t, uint64_t>> since;
  };
  void apply(Partition& partition, int64_t hour, uint64_t n, bool is_new) {
    Random id(n);
    // Old enough to ask all hours that are left.
    const ArrivalMs received((hour - kDedupHours) * kHourMs);
    const std::vector<Identity> batch{
        {{id.next(), id.next()}, is_new ? ArrivalMs(hour * kHourMs) : received}};
    std::vector<uint8_t> verdict(1, 2);
    partition.hour = hour;
    partition.first_hour = std::max(partition.first_hour, hour - kDedupHours);
    partition.dedup->forget_before(LogHour(partition.first_hour));
    const auto done = partition.dedup->classify(LogMs(hour * kHourMs), batch, verdict);
    if (!done) FAIL(done.error().text());
    if (verdict[0] != (is_new ? 0 : 1)) FAIL("id " << n << " in hour " << hour);
    if (is_new) partition.filed[n] = hour;
  }

  state::Store& store_;
  IdSpaces spaces_;
  std::vector<Partition> partitions_;
  uint64_t next_ = 1;
};

}  // namespace

TEST_CASE("id spaces: an hour goes once every partition's durable state is past it", "[dedup]") {
  state::MemoryStore store;
  Node node(store, 2);
  for (int64_t hour = kFirstHour; hour < kFirstHour + 6; ++hour) {
    node.file(0, hour);
    node.checkpoint(0);
  }
  node.maintain();
  CHECK(hours_in(store).front() == kFirstHour);  // partition 1 has not said yet
  node.file(1, kFirstHour);
  node.checkpoint(1);
  node.maintain();
  CHECK(hours_in(store).front() == kFirstHour);  // partition 1 has it
  node.file(1, kFirstHour + 5);
  node.maintain();
  CHECK(hours_in(store).front() == kFirstHour);  // forgotten, but the checkpoint has it
  node.checkpoint(1);
  node.maintain();
  CHECK(hours_in(store) ==
        std::vector<int64_t>{kFirstHour + 2, kFirstHour + 3, kFirstHour + 4, kFirstHour + 5});
}

TEST_CASE("id spaces: a drop that fails is an error and is tried again", "[dedup]") {
  state::MemoryStore store;
  state::Batch batch;
  batch.put(state::ids_space(LogHour(5)), "k", "v");
  batch.put(state::ids_space(LogHour(9)), "k", "v");
  batch.put(state::kMetaSpace, "k", "v");
  REQUIRE(store.commit(batch, true));
  IdSpaces spaces(store);
  store.set_fail([](state::MemoryStore::Call call) -> std::optional<Error> {
    if (call != state::MemoryStore::Call::drop) return {};
    return Error(Errc::io, "disk on fire");
  });
  const auto failed = spaces.maintain(LogHour(9));
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code() == Errc::io);
  CHECK(hours_in(store) == std::vector<int64_t>{5, 9});
  store.set_fail({});
  REQUIRE(spaces.maintain(LogHour(9)));
  CHECK(store.spaces() ==
        std::vector<state::Space>{state::ids_space(LogHour(9)), state::kMetaSpace});
}

TEST_CASE("id spaces: their number stays bounded and no id is lost, crashes included", "[dedup]") {
  const bool rocks = GENERATE(false, true);
  TemporaryDirectory directory;
  std::unique_ptr<state::Store> store = std::make_unique<state::MemoryStore>();
  if (rocks) {
    auto opened = state::open_rocks_store(directory.path(), 1 << 20);
    REQUIRE(opened);
    store = std::move(*opened);
  }
  Node node(*store, 3);
  Random random(1);
  int64_t newest = kFirstHour;
  for (int step = 0; step < 600; ++step) {
    const auto p = static_cast<uint32_t>(random.below(3));
    if (random.one_in(6)) ++newest;
    node.file(p, std::max(node.hour(p), newest - static_cast<int64_t>(random.below(2))));
    if (random.one_in(4)) node.checkpoint(p);
    if (random.one_in(5)) node.maintain();
    if (random.one_in(40)) node.reopen();
    if (random.one_in(20)) node.check_all();
  }
  for (uint32_t p = 0; p < 3; ++p) {
    node.file(p, newest);
    node.checkpoint(p);
  }
  node.maintain();
  node.check_all();
  REQUIRE(newest > kFirstHour + 50);
  CHECK(hours_in(*store).size() <= kDedupHours + 1);
}

}  // namespace clickmill::dedup
