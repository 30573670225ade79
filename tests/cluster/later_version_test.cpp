// Goal: a node that was set back to an earlier version touches nothing that a later one wrote.

#include <catch2/catch.hpp>
#include <string>

#include "cluster/partition_fixture.h"

namespace clickmill::cluster {

TEST_CASE("partition: what a later version wrote stops it, and stays for that version",
          "[cluster]") {
  PartitionFixture fixture;
  fixture.replay();
  CHECK(fixture.send(5));
  fixture.partition_->checkpoint_now();
  const auto [kind, payload] = GENERATE(table<int, std::string>({
      {77, ""},
      {static_cast<int>(click::EntryKind::settings), "\x09"},
      {static_cast<int>(click::EntryKind::tick), "\x09"},
      {static_cast<int>(click::EntryKind::decision), "\x09"},
      {static_cast<int>(click::EntryKind::repair), "\x09"},
  }));
  const Offset before = fixture.partition_->pipeline().applied();
  fixture.partition_->propose(static_cast<click::EntryKind>(kind), std::string(payload),
                              [](const Result<Offset>&) {});
  fixture.settle();
  for (int lives = 0; lives < 2; ++lives) {
    fixture.live(1'000);
    REQUIRE(fixture.partition_->failure());
    CHECK(fixture.partition_->failure()->text().find("it needs the later one that wrote it") !=
          std::string::npos);
    CHECK(fixture.partition_->pipeline().applied() == before);
    CHECK_FALSE(fixture.partition_->rebuilding());
    CHECK_FALSE(fixture.partition_->lost());
    fixture.kill();
    fixture.replay();
  }
}

}  // namespace clickmill::cluster
