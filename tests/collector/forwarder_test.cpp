#include "collector/forwarder.h"

#include <deque>
#include <map>
#include <set>

#include "base/random.h"
#include "collector/spool_fixture.h"

namespace clickmill::collector {
namespace {

using Ids = std::vector<uint64_t>;

/// Keeps what it is sent; the test answers when it likes.
struct HeldRouter final : cluster::ClickRouter {
  struct Sent {
    PartitionId partition;
    cluster::Batch batch;
    cluster::Committed committed;
  };
  void send(PartitionId partition, cluster::Batch&& batch, cluster::Committed committed) override {
    sent.push_back({partition, std::move(batch), std::move(committed)});
  }
  /// Answers the oldest one.
  cluster::Batch answer(Status status) {
    REQUIRE_FALSE(sent.empty());
    Sent one = std::move(sent.front());
    sent.pop_front();
    one.committed(std::move(status));
    return std::move(one.batch);
  }
  std::deque<Sent> sent;
};

Error busy() { return Error(Errc::busy, "no leader"); }

struct ForwarderMachine : SpoolMachine {
  explicit ForwarderMachine(uint64_t seed, Forwarder::Options forwarder_options = {.node_id = "n1"},
                            uint64_t memory_bytes = 64 << 20)
      : SpoolMachine(seed, memory_bytes), options(std::move(forwarder_options)) {
    attach(seed);
  }
  void attach(uint64_t jitter_seed) {
    router.sent.clear();
    forwarder = std::make_unique<Forwarder>(*spool, router, clock, options, jitter_seed);
    on_ready = [this](PartitionId partition) { forwarder->ready(partition); };
    for (uint32_t i = 0; i < spool_options.partitions; ++i) forwarder->ready(PartitionId(i));
    forwarder->forward();
  }
  void restart_all(bool power_loss) {
    on_ready = nullptr;
    forwarder.reset();
    restart(power_loss);
    attach(2);
  }
  /// What is durable now goes on.
  void pump() {
    SpoolMachine::pump();
    forwarder->forward();
  }
  /// Answers the oldest batch, and what is ready goes on.
  cluster::Batch answer(Status status) {
    auto batch = router.answer(std::move(status));
    forwarder->forward();
    return batch;
  }
  /// Milliseconds until the forwarder sends again.
  int64_t ms_until_sent() {
    for (int64_t waited = 0; waited <= 10'000; ++waited) {
      forwarder->forward();
      if (!router.sent.empty()) return waited;
      clock.advance_ms(1);
    }
    return -1;
  }

  Forwarder::Options options;
  HeldRouter router;
  std::unique_ptr<Forwarder> forwarder;
};

TEST_CASE("forwarder: one batch of a partition at a time, in order", "[collector]") {
  ForwarderMachine machine(1, {.node_id = "n1", .batch_clicks = 4});
  for (uint64_t id = 0; id < 10; ++id) REQUIRE(machine.append(id));
  for (uint64_t id = 10; id < 12; ++id) REQUIRE(machine.append(id, log::Lane::redirects, 1));
  machine.pump();
  Ids order;
  size_t batches = 0;
  while (!machine.router.sent.empty()) {
    CHECK(machine.router.sent.size() <= 2);
    const bool first_partition = machine.router.sent.front().partition == PartitionId(0);
    const auto batch = machine.answer({});
    CHECK(batch.sender == "n1");
    CHECK_FALSE(batch.again);
    if (!first_partition) continue;
    ++batches;
    for (const uint64_t id : ids_of(batch.records)) order.push_back(id);
  }
  CHECK(order == Ids{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(batches >= 3);
  CHECK(machine.spool->held_clicks() == 0);
}

TEST_CASE("forwarder: what becomes durable between two forwards is one batch", "[collector]") {
  ForwarderMachine machine(1);
  for (uint64_t id = 0; id < 3; ++id) {
    REQUIRE(machine.append(id));
    machine.SpoolMachine::pump();
  }
  CHECK(machine.router.sent.empty());
  machine.forwarder->forward();
  REQUIRE(machine.router.sent.size() == 1);
  CHECK(ids_of(machine.router.sent.front().batch.records) == Ids{0, 1, 2});
  // What comes while it is out waits for its answer, and for the next forward.
  REQUIRE(machine.append(3));
  machine.pump();
  CHECK(machine.router.sent.size() == 1);
  machine.router.answer({});
  CHECK(machine.router.sent.empty());
  machine.forwarder->forward();
  REQUIRE(machine.router.sent.size() == 1);
  CHECK(ids_of(machine.router.sent.front().batch.records) == Ids{3});
}

TEST_CASE("forwarder: where people wait for the commit it asks to be called soon", "[collector]") {
  int asked = 0;
  int asked_again = 0;
  Forwarder::Options options{.node_id = "n1"};
  options.soon = [&] { ++asked; };
  options.soon_again = [&] { ++asked_again; };
  ForwarderMachine machine(1, options);
  asked = 0;
  REQUIRE(machine.append(1));
  REQUIRE(machine.append(2));
  machine.SpoolMachine::pump();
  CHECK(asked == 1);
  machine.forwarder->forward();
  REQUIRE(machine.router.sent.size() == 1);
  // What has gathered behind it goes as soon as it is committed.
  REQUIRE(machine.append(3));
  machine.pump();
  CHECK(machine.router.sent.size() == 1);
  machine.router.answer({});
  REQUIRE(machine.router.sent.size() == 1);
  CHECK(ids_of(machine.router.sent.front().batch.records) == Ids{3});
  // A refusal is tried again as soon as its backoff ends, at first.
  asked = 0;
  machine.router.answer(busy());
  CHECK(asked_again == 1);
  machine.forwarder->forward();
  CHECK(asked_again == 2);
  for (int i = 0; i < 5; ++i) {
    REQUIRE(machine.ms_until_sent() >= 0);
    machine.router.answer(busy());
  }
  asked_again = 0;
  machine.forwarder->forward();
  CHECK(asked_again == 0);
  CHECK(asked == 0);
}

TEST_CASE("forwarder: behind a full batch the next one goes at once", "[collector]") {
  ForwarderMachine machine(1, {.node_id = "n1", .batch_clicks = 2});
  for (uint64_t id = 0; id < 5; ++id) REQUIRE(machine.append(id));
  machine.pump();
  CHECK(ids_of(machine.router.answer({}).records) == Ids{0, 1});
  CHECK(ids_of(machine.router.answer({}).records) == Ids{2, 3});
  CHECK(ids_of(machine.router.answer({}).records) == Ids{4});
  CHECK(machine.router.sent.empty());
}

TEST_CASE("forwarder: a batch's low-water is not above any click in it or behind it",
          "[collector]") {
  ForwarderMachine machine(1);
  REQUIRE(machine.append(1, log::Lane::bulk));
  machine.clock.advance_ms(500);
  REQUIRE(machine.append(2));
  machine.clock.advance_ms(500);
  machine.pump();
  while (!machine.router.sent.empty()) {
    const auto& batch = machine.router.sent.front().batch;
    for (const auto& record : batch.records) {
      CHECK(batch.low_water.value() <= received_ms_of(record));
      CHECK(batch.newest.value() >= received_ms_of(record));
    }
    machine.answer({});
  }
  // With nothing held, the next batch may say that time has gone on.
  machine.clock.advance_ms(500);
  REQUIRE(machine.append(3));
  machine.pump();
  CHECK(machine.router.sent.front().batch.low_water.value() == kStartMs + 1500);
}

TEST_CASE("forwarder: a second sending says again, and tells the low-water anew", "[collector]") {
  ForwarderMachine machine(1);
  REQUIRE(machine.append(1));
  machine.pump();
  CHECK_FALSE(machine.answer(busy()).again);
  machine.clock.advance_ms(5000);
  machine.forwarder->forward();
  const auto second = machine.answer({});
  CHECK(second.again);
  CHECK(ids_of(second.records) == Ids{1});
  CHECK(second.low_water.value() == kStartMs);
  // The next batch is a new one.
  REQUIRE(machine.append(2));
  machine.pump();
  CHECK_FALSE(machine.answer({}).again);
}

TEST_CASE("forwarder: what an earlier run left is sent as again, what is new is not",
          "[collector]") {
  const bool power_loss = GENERATE(false, true);
  ForwarderMachine machine(1);
  REQUIRE(machine.append(1));
  machine.pump();
  machine.restart_all(power_loss);
  REQUIRE(machine.append(2));
  machine.pump();
  std::map<uint64_t, bool> again;
  while (!machine.router.sent.empty()) {
    const auto batch = machine.answer({});
    for (const auto& record : batch.records) again[id_of(record)] = batch.again;
  }
  CHECK(again == std::map<uint64_t, bool>{{1, true}, {2, false}});
}

TEST_CASE("forwarder: waits twice as long each time, up to a bound, half of it by chance",
          "[collector]") {
  std::set<int64_t> waits_seen;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    ForwarderMachine machine(seed,
                             {.node_id = "n1", .backoff_first_ms = 100, .backoff_most_ms = 1000});
    REQUIRE(machine.append(1));
    machine.pump();
    for (const int64_t backoff : {100, 200, 400, 800, 1000, 1000}) {
      machine.answer(busy());
      const int64_t waited = machine.ms_until_sent();
      CHECK(waited >= backoff / 2);
      CHECK(waited <= backoff + 1);
      waits_seen.insert(waited);
    }
    // Success ends it: the next failure starts from the beginning.
    machine.answer({});
    REQUIRE(machine.append(2));
    machine.pump();
    machine.answer(busy());
    CHECK(machine.ms_until_sent() <= 101);
  }
  CHECK(waits_seen.size() > 20);
}

TEST_CASE("forwarder: while nobody leads the partition it asks often, however long that lasts",
          "[collector]") {
  ForwarderMachine machine(5);
  REQUIRE(machine.append(1));
  machine.pump();
  // The leader is gone, and is not known to be.
  for (int i = 0; i < 6; ++i) {
    machine.answer(busy());
    machine.ms_until_sent();
  }
  for (int i = 0; i < 20; ++i) {
    machine.answer(Error(Errc::not_leader, "another node leads it"));
    CHECK(machine.ms_until_sent() <= 51);
  }
}

TEST_CASE("forwarder: partitions that failed together don't come back in step", "[collector]") {
  ForwarderMachine machine(3, {.node_id = "n1", .backoff_first_ms = 1000, .backoff_most_ms = 1000});
  for (uint32_t partition = 0; partition < 3; ++partition) {
    REQUIRE(machine.append(partition, log::Lane::redirects, partition));
  }
  machine.pump();
  for (int i = 0; i < 3; ++i) machine.answer(busy());
  machine.ms_until_sent();
  CHECK(machine.router.sent.size() < 3);
}

TEST_CASE("forwarder: leaves the partitions of other workers alone", "[collector]") {
  ForwarderMachine machine(1);
  for (uint32_t partition = 0; partition < 3; ++partition) {
    REQUIRE(machine.append(partition, log::Lane::redirects, partition));
  }
  machine.pump();
  machine.on_ready = nullptr;
  machine.forwarder.reset();
  machine.restart();  // all three have a backlog now
  Forwarder second(*machine.spool, machine.router, machine.clock, {.node_id = "n1"}, 1);
  machine.router.sent.clear();
  second.ready(PartitionId(2));
  second.forward();
  REQUIRE(machine.router.sent.size() == 1);
  CHECK(machine.router.sent.front().partition == PartitionId(2));
}

TEST_CASE("forwarder: clicks that damage has taken don't stop what stands behind them",
          "[collector]") {
  ForwarderMachine machine(1, {.node_id = "n1"}, 0);
  machine.on_ready = nullptr;
  for (uint64_t id = 0; id < 2; ++id) {
    REQUIRE(machine.append(id));
    machine.SpoolMachine::pump();
  }
  const JournalPos oldest = machine.spool->oldest_needed();
  const uint64_t file_bytes = machine.journal->file_bytes();
  machine.files.flip_bit(
      kJournalDirectory + "/" + log::journal_file_name(oldest.value() / file_bytes),
      oldest.value() % file_bytes + 80);
  machine.forwarder->forward();
  Ids ids;
  while (!machine.router.sent.empty()) {
    for (const uint64_t id : ids_of(machine.answer({}).records)) ids.push_back(id);
  }
  CHECK(ids == Ids{1});
  CHECK(machine.spool->held_clicks() == 0);
}

// An hour's outage in small: all commits are refused while clicks keep coming,
// more than memory holds; then everything is caught up while new clicks flow.
TEST_CASE("forwarder: an outage is caught up while new clicks flow", "[collector]") {
  constexpr uint64_t kMemory = 16 << 10;
  ForwarderMachine machine(1, {.node_id = "n1", .batch_clicks = 50}, kMemory);
  uint64_t next_id = 0;
  const auto minute = [&](uint64_t clicks) {
    for (uint64_t i = 0; i < clicks; ++i) {
      machine.clock.advance_ms(static_cast<int64_t>(60'000 / clicks));
      REQUIRE(machine.append(next_id, log::Lane::redirects, static_cast<uint32_t>(next_id % 3)));
      ++next_id;
      if (i % 4 == 0) machine.pump();
    }
    machine.pump();
    machine.forwarder->forward();
  };
  for (int i = 0; i < 60; ++i) {
    minute(60);
    while (!machine.router.sent.empty()) machine.answer(busy());
    REQUIRE(machine.spool->memory_bytes() < 2 * kMemory);
    REQUIRE(machine.low_water() <= kStartMs + 1000);
  }
  const uint64_t before = next_id;
  std::set<uint64_t> committed;
  bool new_one_came_early = false;
  for (int i = 0; machine.spool->held_clicks() > 0; ++i) {
    REQUIRE(i < 100);
    minute(10);
    for (int answers = 0; answers < 6 && !machine.router.sent.empty(); ++answers) {
      for (const auto& record : machine.answer({}).records) {
        REQUIRE(committed.insert(id_of(record)).second);
        new_one_came_early |= id_of(record) >= before && committed.size() < before / 2;
      }
    }
  }
  CHECK(new_one_came_early);
  CHECK(committed.size() == next_id);
  CHECK(machine.low_water() == machine.clock.wall_ms());
}

TEST_CASE("forwarder: every acknowledged click is committed at last, seeds of trouble",
          "[collector]") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    ForwarderMachine machine(seed, {.node_id = "n1", .batch_clicks = 1 + random.below(8)},
                             random.one_in(2) ? 1000 : 1 << 20);
    std::set<uint64_t> sent_in, committed;
    uint64_t next_id = 0;
    for (int step = 0; step < 100; ++step) {
      machine.clock.advance_ms(static_cast<int64_t>(random.below(300)));
      machine.forwarder->forward();
      const auto partition = static_cast<uint32_t>(random.below(3));
      if (random.one_in(2) && machine.append(next_id, log::Lane::redirects, partition))
        sent_in.insert(next_id++);
      if (random.one_in(3)) machine.pump();
      if (random.one_in(20)) {
        machine.pump();  // so that all that was sent in is acknowledged
        machine.restart_all(random.one_in(2));
      }
      if (machine.router.sent.empty()) continue;
      // An error leaves open whether the batch was committed.
      const bool commits = random.one_in(2);
      const auto batch = machine.answer(commits && random.one_in(2) ? Status() : Status(busy()));
      for (const auto& record : batch.records) {
        const bool was_there = committed.count(id_of(record)) != 0;
        if (was_there) REQUIRE(batch.again);
        if (commits) committed.insert(id_of(record));
      }
    }
    machine.pump();
    for (int i = 0; machine.spool->held_clicks() > 0; ++i) {
      REQUIRE(i < 1000);
      machine.clock.advance_ms(2000);
      machine.forwarder->forward();
      while (!machine.router.sent.empty()) {
        for (const auto& record : machine.answer({}).records) committed.insert(id_of(record));
      }
    }
    CHECK(committed == sent_in);
  }
}

}  // namespace
}  // namespace clickmill::collector
