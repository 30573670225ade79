#include <algorithm>

#include "cluster/partition_fixture.h"

namespace clickmill::cluster {
namespace {

TEST_CASE("partition: what waits to be sealed doesn't wait behind merges", "[cluster][memory]") {
  PartitionFixture fixture;
  fixture.commits_here_ = false;
  fixture.kill();
  fixture.replay();
  const uint64_t merges_and_the_like = fixture.background_tasks_;
  for (int i = 0; i < 5; ++i) {
    fixture.import(1000);
    fixture.settle();
  }
  fixture.partition_->maintain();
  const uint64_t held = fixture.partition_->log().memory_bytes();
  fixture.write_checkpoints();
  fixture.settle();
  CHECK(fixture.partition_->segments().last() == Offset(log::kBlockOffsets - 1));
  CHECK(fixture.partition_->log().memory_bytes() < held / 2);
  CHECK(fixture.background_tasks_ == merges_and_the_like);
}

TEST_CASE("partition: a replay merges the parts that it writes", "[cluster][memory]") {
  PartitionFixture fixture;
  fixture.checkpoint_bytes_ = UINT64_MAX;
  fixture.kill();
  fixture.replay();
  for (int i = 0; i < 40; ++i) {
    fixture.import(1000);
    fixture.settle();
  }
  REQUIRE(fixture.partition_->pipeline().checkpointed() == Offset(0));
  fixture.checkpoint_bytes_ = 300'000;
  fixture.kill();
  size_t most = 0;
  while (!fixture.partition_->caught_up()) {
    fixture.live(50);
    REQUIRE_FALSE(fixture.partition_->failure());
    most = std::max(most, fixture.partition_->pipeline().part_metas().size());
  }
  CHECK(fixture.partition_->tally().counted == 40'000);
  CHECK(fixture.partition_->upkeep().merges > 0);
  // Of three tables, eight of each; without merges it would be twice as many.
  CHECK(most < 40);
}

TEST_CASE("partition: damage that a merge meets during a replay is healed behind it",
          "[cluster][memory]") {
  PartitionFixture fixture;
  fixture.merges_wait_ = true;
  fixture.checkpoint_bytes_ = 100'000;
  fixture.kill();
  fixture.replay();
  for (int i = 0; i < 20; ++i) {
    fixture.import(1000);
    fixture.live(100);
  }
  const auto metas = fixture.partition_->pipeline().part_metas();
  const auto minutes = std::find_if(metas.begin(), metas.end(), [](const auto& meta) {
    return meta.table == store::Table::minute;
  });
  REQUIRE(minutes != metas.end());
  const std::string damaged = "store/" + minutes->name;
  // Beyond the last checkpoint, so that there is something to replay.
  fixture.import(10);
  fixture.sync();
  fixture.files_.flip_bit(damaged, 20);
  fixture.kill();
  fixture.merges_wait_ = false;
  fixture.live(10'000);
  CHECK_FALSE(fixture.partition_->failure());
  CHECK(fixture.partition_->caught_up());
  CHECK(fixture.partition_->upkeep().merges_failed > 1);
  CHECK_FALSE(fixture.files_.exists(damaged));
  const auto clicks = fixture.clicks();
  REQUIRE(clicks);
  CHECK(*clicks == 20'010);
}

TEST_CASE("partition: what writes parts faster than they are merged waits for the merge",
          "[cluster][memory]") {
  PartitionFixture fixture;
  fixture.merges_wait_ = true;
  fixture.checkpoint_bytes_ = 100'000;
  fixture.kill();
  fixture.replay();
  size_t sent = 0;
  const auto go_on = [&] {
    fixture.import(1000);
    sent += 1000;
    fixture.live(100);
    return fixture.partition_->tally().counted;
  };
  for (int i = 0; i < 60; ++i) go_on();
  CHECK(fixture.partition_->tally().counted < sent);
  CHECK(fixture.partition_->pipeline().part_metas().size() < 3 * 32);
  fixture.merges_wait_ = false;
  for (int i = 0; i < 200 && fixture.partition_->tally().counted < sent; ++i) fixture.live(100);
  CHECK(fixture.partition_->tally().counted == sent);
  CHECK(fixture.partition_->upkeep().merges > 0);
}

}  // namespace
}  // namespace clickmill::cluster
