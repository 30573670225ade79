#include "cluster/partition.h"

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
  fixture.partition_->propose(click::EntryKind::settings, grace_of(1000), [&](Result<Offset> result) {
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
  fixture.partition_->propose(click::EntryKind::settings, "malformed", told.hear());
  fixture.partition_->propose(click::EntryKind::settings, grace_of(1000), told.hear());
  fixture.settle();
  CHECK(told.errors == std::vector<Errc>{Errc::closed, Errc::closed});
  CHECK(fixture.partition_->failure());
  fixture.partition_->propose(click::EntryKind::settings, grace_of(1000), told.hear());
  CHECK(told.errors.size() == 3);
  CHECK(told.offsets.empty());
}

}  // namespace
}  // namespace clickmill::cluster
