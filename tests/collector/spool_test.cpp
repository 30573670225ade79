#include "collector/spool.h"

#include <map>
#include <numeric>
#include <set>

#include "base/random.h"
#include "collector/spool_fixture.h"

namespace clickmill::collector {
namespace {

using log::Lane;
using Ids = std::vector<uint64_t>;

Ids range(uint64_t from, uint64_t to) {
  Ids ids(to - from);
  std::iota(ids.begin(), ids.end(), from);
  return ids;
}

TEST_CASE("spool: clicks come out in order once they are durable", "[collector]") {
  SpoolMachine machine(1);
  for (uint64_t id = 0; id < 20; ++id) REQUIRE(machine.append(id));
  CHECK_FALSE(machine.take());
  CHECK(machine.spool->held_clicks() == 20);
  machine.pump();
  const auto taken = machine.take(0, 7);
  REQUIRE(taken);
  CHECK(ids_of(taken->records) == range(0, 7));
  CHECK_FALSE(taken->again);
  CHECK(machine.spool->held_clicks() == 20);
  machine.spool->committed(PartitionId(0), *taken);
  CHECK(machine.drain() == range(7, 20));
  CHECK(machine.spool->held_clicks() == 0);
  CHECK(machine.spool->memory_bytes() == 0);
  CHECK_FALSE(machine.take(1));
}

TEST_CASE("spool: the queues take turns", "[collector]") {
  SpoolMachine machine(1);
  for (uint64_t id = 0; id < 4; ++id) REQUIRE(machine.append(id));
  machine.pump();
  machine.restart();
  for (uint64_t id = 10; id < 14; ++id) REQUIRE(machine.append(id, Lane::redirects));
  for (uint64_t id = 20; id < 24; ++id) REQUIRE(machine.append(id, Lane::bulk));
  machine.pump();
  std::set<Spool::Queue> first_three;
  for (int i = 0; i < 3; ++i) {
    const auto taken = machine.take(0, 2);
    REQUIRE(taken);
    first_three.insert(taken->queue);
    machine.spool->committed(PartitionId(0), *taken);
  }
  CHECK(first_three.size() == 3);
}

TEST_CASE("spool: who waits for the commit hears of it then, from memory and from disk",
          "[collector]") {
  const uint64_t memory_bytes = GENERATE(uint64_t{64 << 20}, uint64_t{0});
  SpoolMachine machine(1, memory_bytes);
  const auto waits = std::make_shared<CountingAnswer>(true);
  const auto plain = std::make_shared<CountingAnswer>();
  const auto commits = [&] { return waits->commits; };
  // One answer for several clicks, as a body's.
  for (uint64_t id = 0; id < 4; ++id) {
    REQUIRE(machine.append(id, Lane::bulk, 0, waits));
    machine.pump();
  }
  REQUIRE(machine.append(4, Lane::redirects, 0, plain));
  machine.pump();
  CHECK(waits->durables == 4);
  CHECK(commits() == 0);
  auto gone = std::make_shared<CountingAnswer>(true);
  REQUIRE(machine.append(5, Lane::redirects, 1, gone));
  machine.pump();
  // The spool doesn't keep it.
  const std::weak_ptr<CountingAnswer> watched = gone;
  gone.reset();
  CHECK(watched.expired());
  for (int committed = 0; const auto taken = machine.take(0, 2);) {
    CHECK(commits() == committed);
    for (const uint64_t id : ids_of(taken->records)) committed += id < 4 ? 1 : 0;
    machine.spool->committed(PartitionId(0), *taken);
    CHECK(commits() == committed);
  }
  CHECK(commits() == 4);
  CHECK(plain->commits == 0);
  CHECK(plain->durables == 1);
  CHECK(machine.drain(1) == Ids{5});
}

TEST_CASE("spool: low-water is the oldest arrival held, or now", "[collector]") {
  SpoolMachine machine(1);
  CHECK(machine.low_water() == kStartMs);
  machine.clock.advance_ms(50);
  REQUIRE(machine.append(1));
  machine.clock.advance_ms(50);
  REQUIRE(machine.append(2));
  CHECK(machine.low_water() == kStartMs + 50);
  CHECK(machine.low_water(1) == kStartMs + 100);
  machine.pump();
  const auto taken = machine.take(0, 1);
  REQUIRE(taken);
  CHECK(machine.low_water() == kStartMs + 50);  // taken is not committed
  machine.spool->committed(PartitionId(0), *taken);
  CHECK(machine.low_water() == kStartMs + 100);
  CHECK(machine.drain() == Ids{2});
  machine.clock.advance_ms(7);
  CHECK(machine.low_water() == kStartMs + 107);
}

TEST_CASE("spool: users that overtake a bulk click don't lift the low-water over it",
          "[collector]") {
  // In the journal the user's click stands first, although it arrived later.
  const uint64_t memory_bytes = GENERATE(uint64_t{64 << 20}, uint64_t{0});
  SpoolMachine machine(1, memory_bytes);
  REQUIRE(machine.append(1, Lane::bulk));
  machine.clock.advance_ms(3'600'000);
  REQUIRE(machine.append(2, Lane::redirects));
  machine.pump();
  CHECK(machine.low_water() == kStartMs);
  machine.restart();
  CHECK(machine.low_water() == kStartMs);
  CHECK(machine.drain() == Ids{2, 1});
  CHECK(machine.low_water() == kStartMs + 3'600'000);
}

TEST_CASE("spool: nothing is stamped below a low-water that was told", "[collector]") {
  SpoolMachine machine(1);
  machine.clock.advance_ms(1000);
  const int64_t told = machine.low_water();
  REQUIRE(machine.append(1));
  machine.pump();
  machine.clock.set_wall_ms(kStartMs - 3'600'000);
  REQUIRE(machine.append(2));
  machine.pump();
  machine.restart(true);
  REQUIRE(machine.append(3));
  machine.pump();
  while (auto taken = machine.take()) {
    for (const auto& record : taken->records) CHECK(received_ms_of(record) >= told);
    machine.spool->committed(PartitionId(0), *taken);
  }
}

TEST_CASE("spool: what is committed and trimmed does not come back", "[collector]") {
  SpoolMachine machine(1);
  for (uint64_t id = 0; id < 6; ++id) {
    REQUIRE(machine.append(id));
    machine.pump();  // each in a group of its own
  }
  auto taken = machine.take(0, 4);
  REQUIRE(taken);
  machine.spool->write_trims();
  machine.pump();
  machine.restart();
  CHECK(machine.spool->held_clicks() == 6);  // taken is not committed
  taken = machine.take(0, 4);
  REQUIRE(taken);
  CHECK(taken->again);
  machine.spool->committed(PartitionId(0), *taken);
  machine.restart();
  CHECK(machine.spool->held_clicks() == 6);  // committed, but no trim says so
  taken = machine.take(0, 4);
  REQUIRE(taken);
  machine.spool->committed(PartitionId(0), *taken);
  machine.spool->write_trims();
  machine.pump();
  machine.restart(true);
  CHECK(machine.drain() == Ids{4, 5});
  machine.spool->write_trims();
  machine.pump();
  machine.restart();
  CHECK(machine.spool->held_clicks() == 0);
}

TEST_CASE("spool: a later life's trims don't bring back what an earlier one trimmed",
          "[collector]") {
  SpoolMachine machine(1);
  REQUIRE(machine.append(1));
  machine.pump();
  CHECK(machine.drain() == Ids{1});
  machine.spool->write_trims();
  machine.pump();
  machine.restart();
  // Knows nothing of partition 0's past; its trim record is about partition 1.
  REQUIRE(machine.append(2, Lane::redirects, 1));
  machine.pump();
  CHECK(machine.drain(1) == Ids{2});
  machine.spool->write_trims();
  machine.pump();
  machine.restart();
  CHECK(machine.spool->held_clicks() == 0);
}

TEST_CASE("spool: a trim leaves out a group of which not all is told yet", "[collector]") {
  // A leader on another node may commit a click before the journal's thread has
  // told of its neighbour in the same group.
  SpoolMachine machine(1);
  bool done = false;
  machine.on_ready = [&](PartitionId partition) {
    if (std::exchange(done, true)) return;
    const auto taken = machine.take();
    REQUIRE(taken);
    machine.spool->committed(partition, *taken);
    machine.spool->write_trims();
  };
  REQUIRE(machine.append(1));
  REQUIRE(machine.append(2));
  machine.pump();
  REQUIRE(done);
  machine.restart();
  const Ids back = machine.drain();
  CHECK(std::find(back.begin(), back.end(), 2) != back.end());
}

TEST_CASE("spool: beyond its memory clicks stand on disk alone and come back whole",
          "[collector]") {
  constexpr uint64_t kMemory = 8 << 10;
  SpoolMachine machine(1, kMemory);
  uint64_t most = 0;
  for (uint64_t id = 0; id < 2000; ++id) {
    REQUIRE(machine.append(id));
    if (id % 5 != 0) continue;
    machine.pump();
    most = std::max(most, machine.spool->memory_bytes());
  }
  machine.pump();
  CHECK(most > kMemory / 2);
  CHECK(most < 2 * kMemory);
  CHECK(machine.spool->held_clicks() == 2000);
  CHECK(machine.low_water() == kStartMs);
  machine.release();
  CHECK(machine.journal->file_count() > 3);
  Ids all;
  while (const auto taken = machine.take(0, 100)) {
    CHECK_FALSE(taken->again);
    for (const uint64_t id : ids_of(taken->records)) all.push_back(id);
    machine.spool->committed(PartitionId(0), *taken);
  }
  std::sort(all.begin(), all.end());
  CHECK(all == range(0, 2000));
  CHECK(machine.spool->held_clicks() == 0);
  machine.release();
  CHECK(machine.journal->file_count() == 1);
}

TEST_CASE("spool: a group that damage has taken is counted, and the rest goes on", "[collector]") {
  SpoolMachine machine(1, 0);
  for (uint64_t id = 0; id < 9; ++id) {
    REQUIRE(machine.append(id));
    if (id % 3 == 2) machine.pump();
  }
  const JournalPos oldest = machine.spool->oldest_needed();
  const std::string path = kJournalDirectory + "/" +
                           log::journal_file_name(oldest.value() / machine.journal->file_bytes());
  machine.files.flip_bit(path, oldest.value() % machine.journal->file_bytes() + 80);
  CHECK(machine.drain() == range(3, 9));
  CHECK(machine.spool->lost_clicks() == 3);
  CHECK(machine.spool->held_clicks() == 0);
}

TEST_CASE("spool: a few clicks that nobody takes don't keep the journal's files", "[collector]") {
  const uint64_t memory_bytes = GENERATE(uint64_t{64 << 20}, uint64_t{0});
  const bool sent = GENERATE(false, true);
  SpoolMachine machine(1, memory_bytes);
  for (uint64_t id = 0; id < 3; ++id)
    REQUIRE(machine.append(id, id == 1 ? Lane::bulk : Lane::redirects, 1));
  machine.pump();
  // Sent and never answered, or not even sent.
  if (sent) REQUIRE(machine.take(1, 1));
  for (uint64_t id = 100; id < 700; ++id) {
    REQUIRE(machine.append(id, Lane::redirects, 0, nullptr, 500));
    machine.pump();
    machine.drain();
    machine.spool->write_trims();
    machine.clock.advance_ms(1);
    const uint64_t current = machine.journal->current_file();
    machine.spool->copy_forward(
        JournalPos((current - std::min<uint64_t>(current, 2)) * machine.journal->file_bytes()),
        machine.journal->file_bytes() / 8);
    machine.release();
    REQUIRE(machine.journal->file_count() <= 5);
  }
  CHECK(machine.journal->current_file() > 10);
  CHECK(machine.low_water(1) == kStartMs);
  machine.restart(true);
  std::set<uint64_t> back;
  for (const uint64_t id : machine.drain(1)) back.insert(id);
  CHECK(back == std::set<uint64_t>{0, 1, 2});
  machine.drain(0);
  CHECK(machine.spool->held_clicks() == 0);
}

TEST_CASE("spool: what is copied forward comes out once while nothing was sent", "[collector]") {
  SpoolMachine machine(1);
  for (uint64_t id = 0; id < 3; ++id) REQUIRE(machine.append(id));
  machine.pump();
  machine.spool->copy_forward(JournalPos(UINT64_MAX), 10'000);
  machine.pump();
  CHECK(machine.spool->held_clicks() == 3);
  auto taken = machine.take();
  REQUIRE(taken);
  CHECK_FALSE(taken->again);
  CHECK(ids_of(taken->records) == range(0, 3));
  machine.spool->committed(PartitionId(0), *taken);
  CHECK(machine.spool->held_clicks() == 0);
  // A neighbour that was sent before comes again, and says so.
  for (uint64_t id = 10; id < 13; ++id) REQUIRE(machine.append(id));
  machine.pump();
  taken = machine.take(0, 1);
  REQUIRE(taken);
  machine.spool->copy_forward(JournalPos(UINT64_MAX), 10'000);
  machine.pump();
  machine.spool->committed(PartitionId(0), *taken);
  taken = machine.take();
  REQUIRE(taken);
  CHECK(taken->again);
  CHECK(ids_of(taken->records) == range(10, 13));
  machine.spool->committed(PartitionId(0), *taken);
  CHECK(machine.spool->held_clicks() == 0);
}

TEST_CASE("spool: a file that is full of clicks is not copied", "[collector]") {
  SpoolMachine machine(1);
  for (uint64_t id = 0; id < 600; ++id) {
    REQUIRE(machine.append(id, Lane::redirects, 0, nullptr, 500));
    if (id % 6 == 5) machine.pump();
  }
  const uint64_t written = machine.journal->stats().bytes.value();
  machine.spool->copy_forward(
      JournalPos(machine.journal->current_file() * machine.journal->file_bytes()),
      machine.journal->file_bytes() / 8);
  machine.pump();
  CHECK(machine.journal->stats().bytes.value() == written);
}

TEST_CASE("spool: clicks of a journal that fails hold the low-water", "[collector]") {
  SpoolMachine machine(1);
  REQUIRE(machine.append(1));
  machine.pump();
  machine.clock.advance_ms(10);
  const auto answer = std::make_shared<CountingAnswer>();
  REQUIRE(machine.append(2, Lane::redirects, 0, answer));
  machine.clock.advance_ms(10);
  machine.files.crash();
  machine.pump();
  CHECK(answer->failures == 0);
  CHECK(answer->durables == 0);
  CHECK(machine.append(3));
  CHECK(machine.drain() == Ids{1});
  CHECK(machine.low_water() == kStartMs + 10);
}

/// Remembers an identity from the journal's acknowledgement on.
struct Acknowledged final : ClickAnswer {
  Acknowledged(std::set<uint64_t>& all, uint64_t number) : ids(all), id(number) {}
  void durable() override { ids.insert(id); }
  void failed() override {}
  std::set<uint64_t>& ids;
  uint64_t id;
};

// Goal: a click that was acknowledged and not committed is in the spool, whatever
// happens. Method: random appends, commits, trims, releases, kills, power losses
// and failed syncs beside two sets of ids.
void run_against_model(uint64_t seed) {
  Random random(seed);
  SpoolMachine machine(seed, random.one_in(2) ? 2000 : 1 << 20);
  std::set<uint64_t> acknowledged, committed;
  std::map<uint32_t, int64_t> told;      // highest low-water of each partition
  std::map<uint64_t, int64_t> floor_of;  // what had been told when the click was taken in
  uint64_t next_id = 0;
  const auto take_one = [&](uint32_t partition, bool commit) {
    const auto taken = machine.take(partition, 1 + random.below(20), 1 + random.below(4000));
    if (!taken) return false;
    CHECK_FALSE(taken->records.empty());
    for (const auto& record : taken->records) {
      REQUIRE(machine.low_water(partition) <= received_ms_of(record));
      REQUIRE(received_ms_of(record) <= taken->newest.value());
      REQUIRE(received_ms_of(record) >= floor_of[id_of(record)]);
      // What comes a second time must say so.
      if (committed.count(id_of(record)) != 0) REQUIRE(taken->again);
      committed.insert(id_of(record));
    }
    if (commit) machine.spool->committed(PartitionId(partition), *taken);
    return commit;
  };
  for (int step = 0; step < 150; ++step) {
    const auto partition = static_cast<uint32_t>(random.below(3));
    machine.clock.advance_ms(static_cast<int64_t>(random.below(20)));
    switch (random.below(9)) {
      case 0:
      case 1:
      case 2: {
        const uint64_t id = next_id++;
        floor_of[id] = told[partition];
        const auto lane = random.one_in(3) ? Lane::bulk : Lane::redirects;
        const auto appended =
            machine.append(id, lane, partition, std::make_shared<Acknowledged>(acknowledged, id),
                           random.below(600));
        ignore(appended, "only what is acknowledged must be found again");
        break;
      }
      case 3: machine.journal->pump(); break;
      case 4: take_one(partition, true); break;
      case 5:
        machine.spool->write_trims();
        if (random.one_in(2)) {
          machine.spool->copy_forward(
              JournalPos(machine.journal->current_file() * machine.journal->file_bytes()),
              random.below(20'000));
        }
        if (random.one_in(2)) machine.release();
        break;
      case 6: told[partition] = std::max(told[partition], machine.low_water(partition)); break;
      case 7:
        if (random.one_in(4)) machine.files.fail_sync_after(1 + random.below(3));
        break;
      default:
        if (random.one_in(3)) machine.restart(random.one_in(2));
        break;
    }
  }
  machine.files.fail_sync_after(0);
  machine.restart(random.one_in(2));
  for (uint32_t partition = 0; partition < 3; ++partition) {
    while (take_one(partition, true)) {
    }
  }
  for (const uint64_t id : acknowledged) {
    CAPTURE(id);
    REQUIRE(committed.count(id) == 1);
  }
  CHECK(machine.spool->held_clicks() == 0);
}

TEST_CASE("spool: an acknowledged click is committed or still there, whatever happens",
          "[collector]") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    run_against_model(seed);
  }
}

TEST_CASE("spool: while node time stands still, clicks that agree with the wall clock are on time",
          "[collector]") {
  SpoolMachine machine(1);
  // As after a run whose clock was two hours ahead.
  const int64_t ahead = kStartMs + 2 * kHourMs;
  machine.node_clock->begin_at(ArrivalMs(ahead));
  const auto flags_of = [&](std::optional<int64_t> timestamp_ms) {
    click::ClickView click;
    click.click_id = "c";
    click.ad_id = "ad";
    click.timestamp_ms = EventMs(timestamp_ms.value_or(0));
    std::string record;
    click::encode_record(click, record);
    REQUIRE(machine.spool->append(PartitionId(0), std::move(record), !timestamp_ms, Lane::redirects,
                                  nullptr));
    machine.pump();
    const auto taken = machine.take();
    REQUIRE(taken);
    machine.spool->committed(PartitionId(0), *taken);
    click::RecordScratch scratch;
    const auto got = decoded(taken->records[0], scratch);
    CHECK(got.received_ms.value() == machine.node_clock->now().value());
    if (!timestamp_ms) CHECK(got.timestamp_ms.value() == machine.clock.wall_ms());
    return got.flags;
  };
  const int64_t minute = floor_to(kStartMs, kMinuteMs);
  CHECK(flags_of(kStartMs) == click::kBackfill);
  CHECK(flags_of(kStartMs + 30'000) == click::kBackfill);
  CHECK(flags_of(kStartMs + 30'001) == 0);
  CHECK(flags_of(ahead) == 0);
  machine.clock.set_wall_ms(minute + kMinuteMs + 30'000);
  CHECK(flags_of(minute) == click::kBackfill);
  machine.clock.set_wall_ms(minute + kMinuteMs + 30'001);
  CHECK(flags_of(minute) == 0);
  // A plain link has the wall clock's time, which somebody must keep right.
  CHECK(flags_of(std::nullopt) == 0);
  machine.clock.set_synchronised(true);
  CHECK(flags_of(std::nullopt) == click::kBackfill);
  // Time has caught up: all is as ever.
  machine.clock.set_wall_ms(ahead + 1);
  CHECK(flags_of(ahead) == 0);
  CHECK(flags_of(kStartMs) == 0);
}

}  // namespace
}  // namespace clickmill::collector
