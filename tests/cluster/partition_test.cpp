#include "cluster/partition.h"

#include "base/bytes.h"
#include "base/damage.h"
#include "cluster/partition_fixture.h"

namespace clickmill::cluster {
namespace {

/// What a proposal was told, if it was.
struct Told {
  std::vector<Offset> offsets;
  std::vector<Errc> errors;
  Partition::Applied hear() {
    return [this](Result<Offset> result) {
      if (result) offsets.push_back(*result);
      if (!result) errors.push_back(result.error().code());
    };
  }
};

std::string grace_of(int64_t window_grace_ms) {
  stream::Settings settings;
  settings.nodes = {"n1"};
  settings.window_grace_ms = window_grace_ms;
  std::string payload;
  stream::encode_settings(settings, payload);
  return payload;
}

TEST_CASE("partition: a proposal is told once the stream has applied it", "[cluster]") {
  PartitionFixture fixture;
  Told told;
  fixture.partition_->propose(click::EntryKind::settings, grace_of(1000), told.hear());
  CHECK(told.errors == std::vector<Errc>{Errc::busy});  // still replaying
  fixture.replay();
  told.errors.clear();

  int64_t grace_when_told = 0;
  const Offset before = fixture.partition_->log().last();
  fixture.partition_->propose(
      click::EntryKind::settings, grace_of(1000), [&](Result<Offset> result) {
        grace_when_told = fixture.partition_->pipeline().settings().window_grace_ms;
        told.hear()(std::move(result));
      });
  fixture.partition_->propose(click::EntryKind::settings, grace_of(2000), told.hear());
  CHECK(told.offsets.empty());  // not durable yet
  fixture.settle();
  CHECK(told.offsets == std::vector<Offset>{before + 1, before + 2});
  CHECK(told.errors.empty());
  CHECK(grace_when_told >= 1000);
  CHECK(grace_when_told <= 2000);
  CHECK(fixture.partition_->pipeline().applied() == before + 2);
}

TEST_CASE("partition: a proposal that stops the stream, and all after it, hear so", "[cluster]") {
  PartitionFixture fixture;
  fixture.replay();
  Told told;
  fixture.partition_->propose(click::EntryKind::settings, "\1malformed", told.hear());
  fixture.partition_->propose(click::EntryKind::settings, grace_of(1000), told.hear());
  fixture.settle();
  CHECK(told.errors == std::vector<Errc>{Errc::closed, Errc::closed});
  CHECK(fixture.partition_->failure());
  fixture.partition_->propose(click::EntryKind::settings, grace_of(1000), told.hear());
  CHECK(told.errors.size() == 3);
  CHECK(told.offsets.empty());
}

TEST_CASE("partition: a decision that was durable when all was killed is applied by the replay",
          "[cluster]") {
  PartitionFixture fixture;
  fixture.replay();
  const int64_t now = fixture.clock_.now().value();
  click::ClickView late;
  late.click_id = "c-1";
  late.ad_id = "ad_1";
  late.advertiser_id = "adv_1";
  late.timestamp_ms = EventMs(now - kHourMs);
  late.received_ms = ArrivalMs(now);
  std::string record;
  click::encode_record(late, record);
  fixture.partition_->submit({"n1", false, ArrivalMs(now), ArrivalMs(now), std::vector{record}},
                             [](const Status&) {});
  fixture.settle();
  const Offset click = fixture.partition_->pipeline().applied();
  const auto is_open = [&] {
    const auto& pipeline = fixture.partition_->pipeline();
    const auto entry = pipeline.review().find(click, pipeline.horizon().age_ms());
    REQUIRE(entry);
    return entry->has_value();
  };
  REQUIRE(is_open());
  if (GENERATE(false, true)) fixture.partition_->checkpoint_now();

  Told told;
  std::string payload;
  stream::encode_decision({stream::Verdict::accept, "ops", {}, {{click, 0}}}, payload);
  fixture.partition_->propose(click::EntryKind::decision, std::string(payload), told.hear());
  SECTION("durable") {
    fixture.sync();
    CHECK(is_open());  // not applied before the kill
    fixture.kill();
    fixture.replay();
    CHECK_FALSE(is_open());
    CHECK(fixture.partition_->tally().accepted == 1);
  }
  SECTION("not yet written") {
    fixture.kill();
    fixture.replay();
    CHECK(is_open());
    CHECK(fixture.partition_->tally().accepted == 0);
    fixture.partition_->propose(click::EntryKind::decision, std::move(payload), told.hear());
    fixture.settle();
    CHECK(told.offsets.size() == 1);
    CHECK(fixture.partition_->tally().accepted == 1);
  }
}

/// Imports so much that it is read back in many slices, without a checkpoint.
void import_much(PartitionFixture& fixture) {
  fixture.checkpoint_bytes_ = UINT64_MAX;
  fixture.kill();
  fixture.replay();
  for (int i = 0; i < 40; ++i) {
    fixture.import(1000);
    fixture.settle();
  }
  CHECK(fixture.partition_->pipeline().checkpointed() == Offset(0));
}

TEST_CASE("partition: what an import holds in memory is bounded by checkpoints", "[cluster]") {
  PartitionFixture fixture;
  fixture.checkpoint_bytes_ = 300'000;
  fixture.kill();
  fixture.replay();
  for (int i = 0; i < 20; ++i) {
    fixture.import(1000);
    fixture.settle();
    // A batch may be applied before the checkpoint: its thousand clicks hold some 400 bytes each.
    CHECK(fixture.partition_->pipeline().unsaved_bytes() < 300'000 + 600'000);
    CHECK(fixture.partition_->pipeline().head_rows() < 3000);
  }
  CHECK(fixture.partition_->tally().counted == 20'000);
}

TEST_CASE("partition: checkpoints go on during a replay, and a killed one goes on from there",
          "[cluster]") {
  PartitionFixture fixture;
  import_much(fixture);
  const Offset last = fixture.partition_->log().last();
  fixture.checkpoint_bytes_ = 300'000;
  fixture.kill();
  Offset before;
  size_t lives = 1;
  while (fixture.partition_->replay_slice()) {
    CHECK(fixture.partition_->pipeline().head_rows() < 10'000);
    const Offset checkpointed = fixture.partition_->pipeline().checkpointed();
    if (lives == 4 || checkpointed == before) continue;
    before = checkpointed;
    ++lives;
    fixture.kill();
    CHECK(fixture.partition_->pipeline().applied() == checkpointed);
  }
  fixture.settle();
  CHECK(lives == 4);
  CHECK(before < last);
  CHECK(fixture.partition_->tally().counted == 40'000);
}

TEST_CASE("partition: a checkpoint is due during a replay as ever", "[cluster]") {
  PartitionFixture fixture;
  import_much(fixture);
  fixture.kill();
  REQUIRE(fixture.partition_->replay_slice());  // reads the ids
  REQUIRE(fixture.partition_->replay_slice());
  CHECK(fixture.partition_->pipeline().checkpointed() == Offset(0));
  fixture.wall_.advance_ms(31'000);
  REQUIRE(fixture.partition_->replay_slice());
  CHECK(fixture.partition_->pipeline().checkpointed() == fixture.partition_->pipeline().applied());
}

TEST_CASE("partition: it goes on counting while a checkpoint is written", "[cluster]") {
  PartitionFixture fixture;
  fixture.commits_here_ = false;
  fixture.kill();
  fixture.replay();
  fixture.import(100);
  fixture.settle();
  fixture.pass(31'000);
  const Partition& partition = *fixture.partition_;
  const Offset prepared = partition.pipeline().applied();
  fixture.import(100);
  fixture.settle();
  CHECK(partition.tally().counted == 200);
  CHECK(partition.pipeline().checkpointed() == Offset(0));
  SECTION("written and told") {
    fixture.write_checkpoints();
    CHECK(partition.pipeline().checkpointed() == Offset(0));
    fixture.settle();
    CHECK(partition.pipeline().checkpointed() >= prepared);
    CHECK(partition.pipeline().checkpointed() < partition.pipeline().applied());
  }
  SECTION("killed before it is written") {}
  SECTION("killed before the worker hears of it") { fixture.write_checkpoints(); }
  SECTION("stopped before it is written") {
    fixture.partition_->checkpoint_now();
    CHECK(partition.pipeline().checkpointed() == partition.pipeline().applied());
    fixture.write_checkpoints();
    fixture.settle();
    CHECK(partition.pipeline().checkpointed() == partition.pipeline().applied());
  }
  fixture.kill();
  fixture.replay();
  CHECK(fixture.partition_->tally().counted == 200);
}

TEST_CASE("partition: what may pass holds a checkpoint up, and all goes on by itself",
          "[cluster]") {
  const auto code = GENERATE(Errc::no_space, Errc::io);
  PartitionFixture fixture;
  fixture.commits_here_ = GENERATE(true, false);
  fixture.checkpoint_bytes_ = 300'000;
  fixture.kill();
  fixture.replay();
  const auto pass = [&] {
    fixture.pass(11'000);
    fixture.write_checkpoints();
    fixture.settle();
  };
  fixture.state_.set_fail([&](state::MemoryStore::Call call) -> std::optional<Error> {
    if (call != state::MemoryStore::Call::commit) return std::nullopt;
    return Error(code, "the disk is full");
  });
  uint64_t sent = 0;
  // What it holds at most is eight times what brings a checkpoint forward.
  for (int i = 0; i < 20; ++i) {
    fixture.import(1000);
    sent += 1000;
    fixture.settle();
    pass();
    CHECK_FALSE(fixture.partition_->failure());
    CHECK(fixture.partition_->pipeline().unsaved_bytes() < 8 * 300'000 + 600'000);
  }
  CHECK(fixture.partition_->trouble() != "");
  CHECK(fixture.partition_->tally().counted >= 3000);  // on it went, and then it waited
  CHECK(fixture.partition_->tally().counted < sent);
  SECTION("space comes back") {
    fixture.state_.set_fail({});
    for (int i = 0; i < 20; ++i) pass();
    CHECK(fixture.partition_->trouble() == "");
    CHECK(fixture.partition_->pipeline().checkpointed().value() > sent - 2000);
  }
  SECTION("killed, and space comes back") {
    fixture.state_.set_fail({});
    fixture.kill();
    for (int i = 0; i < 100; ++i) {
      while (fixture.partition_->replay_slice()) {
      }
      pass();
    }
  }
  CHECK(fixture.partition_->tally().counted == sent);
}

TEST_CASE("partition: damage stops it", "[cluster]") {
  PartitionFixture fixture;
  fixture.replay();
  fixture.import(10);
  fixture.settle();
  fixture.state_.set_fail([](auto) { return Error(Errc::corrupt, "a bad block"); });
  fixture.pass(31'000);
  REQUIRE(fixture.partition_->failure());
  fixture.state_.set_fail({});
}

TEST_CASE("partition: a look-up that fails is made again, and nothing counts twice", "[cluster]") {
  PartitionFixture fixture;
  fixture.replay();
  fixture.import(500);
  fixture.settle();
  fixture.partition_->checkpoint_now();
  fixture.import_again(500);
  int reads = 0;
  fixture.state_.set_fail([&](state::MemoryStore::Call call) -> std::optional<Error> {
    if (call != state::MemoryStore::Call::read || ++reads % 200 != 0) return std::nullopt;
    return Error(Errc::io, "the device does not answer");
  });
  fixture.settle();
  CHECK_FALSE(fixture.partition_->failure());
  CHECK(fixture.partition_->tally().duplicate == 0);
  CHECK(fixture.partition_->trouble() != "");
  fixture.state_.set_fail({});
  fixture.pass(1000);
  CHECK(fixture.partition_->trouble() == "");
  CHECK(fixture.partition_->tally().counted == 500);
  CHECK(fixture.partition_->tally().duplicate == 500);
}

TEST_CASE("partition: one whose stream has stopped takes clicks, seals and lets the journal go",
          "[cluster]") {
  PartitionFixture fixture;
  fixture.replay();
  fixture.stop_the_stream();
  const Offset applied = fixture.partition_->pipeline().applied();
  const JournalPos before = fixture.partition_->oldest_needed();
  for (int minutes = 0; minutes < 40; ++minutes) {
    CHECK(fixture.send(3));
    fixture.live(60'000);
  }
  CHECK(fixture.partition_->pipeline().applied() == applied);
  // Ten minutes of log time end a block; all but the last of them are sealed.
  CHECK(fixture.partition_->segments().last() >= applied + 3 * 30);
  // But for the vote of the start, which is copied forward when its file is to go.
  fixture.partition_->release_soon(before + 1, 1);
  fixture.settle();
  CHECK(fixture.partition_->oldest_needed() > before);
  CHECK(fixture.partition_->log().committed() == fixture.partition_->log().last());

  const JournalPos held = fixture.partition_->oldest_needed();
  fixture.partition_->release_soon(JournalPos(held.value() + 1), 1);
  fixture.settle();
  CHECK(fixture.partition_->oldest_needed() > held);
}

TEST_CASE("partition: a seal that fails is tried again after longer and longer, and gets there",
          "[cluster]") {
  PartitionFixture fixture;
  fixture.replay();
  CHECK(fixture.send(3));
  fixture.live(1'000);
  const auto space = fixture.files_.space("log");
  REQUIRE(space);
  fixture.files_.set_capacity_bytes(space->total_bytes - space->free_bytes);
  const uint64_t before = fixture.background_tasks_;
  fixture.wall_.advance_ms(15 * 60'000);
  CHECK(fixture.send(3));  // the journal's file was there before
  fixture.live(300'000);
  const uint64_t tries = fixture.background_tasks_ - before;
  CHECK(tries >= 5);
  CHECK(tries <= 12);
  CHECK(fixture.partition_->upkeep().seals_failed >= 5);
  CHECK(fixture.partition_->segments().last() == Offset(0));
  fixture.files_.set_capacity_bytes(uint64_t{1} << 40);
  fixture.live(61'000);
  CHECK(fixture.partition_->segments().last() > Offset(0));
}

/// Clicks of an hour, all of them in parts.
void fill_parts(PartitionFixture& fixture) {
  fixture.replay();
  for (int i = 0; i < 14; ++i) {
    CHECK(fixture.send(50));
    fixture.live(600'000);
  }
  REQUIRE(fixture.partition_->pipeline().part_metas().size() >= 3);
}

TEST_CASE("partition: whichever runs first, worker or background, and killed anywhere, all counts",
          "[cluster]") {
  const auto seed = GENERATE(range(uint64_t{1}, uint64_t{7}));
  CAPTURE(seed);
  PartitionFixture fixture(seed);
  fixture.replay();
  Random random(seed);
  uint64_t sent = 0;
  uint64_t merges = 0;
  for (int round = 0; round < 30; ++round) {
    const size_t clicks = 1 + random.below(40);
    REQUIRE(fixture.send(clicks));
    sent += clicks;
    for (uint64_t steps = 1 + random.below(400); steps > 0; --steps) fixture.pass(10'000);
    if (!random.one_in(6)) continue;
    merges += fixture.partition_->upkeep().merges;
    fixture.kill();
    fixture.replay();
    REQUIRE(fixture.clicks().value() == sent);
  }
  merges += fixture.partition_->upkeep().merges;
  CHECK(fixture.clicks().value() == sent);
  CHECK(fixture.partition_->tally().counted == sent);
  CHECK(fixture.partition_->tally().duplicate == 0);
  // It was about something.
  CHECK(fixture.partition_->segments().last() > Offset(0));
  CHECK(merges > 0);
}

Result<uint64_t> ask_and_report(PartitionFixture& fixture) {
  auto clicks = fixture.clicks();
  if (!clicks && is_damage(clicks.error())) fixture.partition_->met_damage(clicks.error());
  return clicks;
}

std::string first_minutes(const PartitionFixture& fixture) {
  for (const auto& meta : fixture.partition_->pipeline().part_metas()) {
    if (meta.table == store::Table::minute) return meta.name;
  }
  return {};
}

TEST_CASE("partition: a part that is found damaged is rebuilt from the log, and clicks go on",
          "[cluster]") {
  PartitionFixture fixture;
  fill_parts(fixture);
  REQUIRE(fixture.clicks().value() == 700);
  const std::string damaged = first_minutes(fixture);
  fixture.files_.flip_bit("store/" + damaged, 20);
  CHECK(ask_and_report(fixture).error().code() == Errc::corrupt);
  CHECK(ask_and_report(fixture).error().code() == Errc::closed);
  CHECK(fixture.send(5));
  fixture.live(50);
  CHECK(ask_and_report(fixture).error().code() == Errc::busy);
  CHECK(ask_and_report(fixture).error().message().find("partition 7") != std::string::npos);
  CHECK(fixture.send(5));
  // A kill in the middle of it goes on with it.
  if (GENERATE(false, true)) {
    REQUIRE(fixture.partition_->replay_slice());
    REQUIRE(fixture.partition_->replay_slice());
    fixture.kill();
    CHECK(fixture.partition_->rebuilding());
    CHECK(fixture.partition_->takes_clicks());
  }
  fixture.replay();
  CHECK_FALSE(fixture.partition_->rebuilding());
  CHECK(fixture.clicks().value() == 710);
  CHECK(fixture.partition_->tally().counted == 710);
  CHECK_FALSE(fixture.files_.exists("store/" + damaged));
  // And stays so.
  fixture.partition_->checkpoint_now();
  fixture.kill();
  fixture.replay();
  CHECK(fixture.clicks().value() == 710);
}

TEST_CASE("partition: a part that can't be rebuilt is named where it is asked, the rest goes on",
          "[cluster]") {
  PartitionFixture fixture;
  fill_parts(fixture);
  fixture.partition_->checkpoint_now();
  fixture.drop_log(Offset(200));
  fixture.files_.flip_bit("store/" + first_minutes(fixture), 20);
  CHECK(ask_and_report(fixture).error().code() == Errc::corrupt);
  fixture.live(50);
  CHECK_FALSE(fixture.partition_->failure());
  CHECK(fixture.partition_->damaged_parts().size() == 1);
  CHECK(fixture.send(5));
  CHECK(fixture.partition_->tally().counted == 705);
  // It doesn't keep the next start from it either.
  const std::string path = "store/" + first_minutes(fixture);
  const auto bytes = fixture.files_.open(path, FileSystem::Open::read).value()->size();
  fixture.files_.flip_bit(path, bytes.value() - 20);
  fixture.partition_->checkpoint_now();
  fixture.kill();
  fixture.replay();
  CHECK(fixture.partition_->tally().counted == 705);
  CHECK_FALSE(fixture.partition_->failure());
  CHECK_FALSE(fixture.clicks());
}

TEST_CASE("partition: one whose state is damaged and whose log is cut is left out, by name",
          "[cluster]") {
  PartitionFixture fixture;
  fill_parts(fixture);
  fixture.partition_->checkpoint_now();
  fixture.drop_log(Offset(200));
  state::Batch batch;
  std::string key;
  append_key_u32(key, PartitionFixture::kId.value());
  batch.put(state::kMetaSpace, key + "checkpoint", "nonsense");
  REQUIRE(fixture.state_.commit(batch, true));
  fixture.kill();
  for (int lives = 0; lives < 2; ++lives) {
    REQUIRE(fixture.partition_->failure());
    CHECK(fixture.partition_->failure()->message().find("partition 7") != std::string::npos);
    CHECK(fixture.clicks().error().code() == Errc::closed);
    CHECK(fixture.partition_->oldest_durable_hour() == LogHour(INT64_MAX));
    const Offset last = fixture.partition_->log().last();
    CHECK(fixture.send(5));  // they stand in the log for the day it is restored
    CHECK(fixture.partition_->log().last() >= last + 5);
    fixture.kill();
  }
}

}  // namespace
}  // namespace clickmill::cluster
