#include "cluster/partition_fixture.h"

namespace clickmill::cluster {
namespace {

std::string grace_of(int64_t window_grace_ms) {
  stream::Settings settings;
  settings.nodes = {"n1"};
  settings.window_grace_ms = window_grace_ms;
  std::string payload;
  stream::encode_settings(settings, payload);
  return payload;
}

/// Kinds of the log's entries from an offset on, "T" for a full tick, one letter each.
std::string kinds_of(PartitionFixture& fixture, Offset from) {
  std::string out;
  const auto entries = fixture.partition_->log().read(from, SIZE_MAX).value();
  for (const auto& entry : entries) {
    const auto kind = static_cast<click::EntryKind>(entry->kind);
    const bool full =
        kind == click::EntryKind::tick && stream::decode_tick(entry->payload).value().footing;
    out += full ? 'T' : "nctsdrm"[entry->kind];
  }
  return out;
}

TEST_CASE("partition: log hours begin with a full tick, whatever comes first", "[cluster]") {
  PartitionFixture fixture;
  fixture.replay();
  fixture.pass(100);
  const auto next_hour = [&] {
    fixture.wall_.advance_ms(kHourMs - fixture.wall_.wall_ms() % kHourMs);
    return fixture.partition_->log().last() + 1;
  };
  Offset begin = next_hour();
  fixture.send(3);
  fixture.send(3);
  CHECK(kinds_of(fixture, begin) == "Tcc");

  begin = next_hour();
  std::optional<Offset> told;
  fixture.partition_->propose(click::EntryKind::settings, grace_of(1000),
                              [&](const Result<Offset>& offset) { told = offset.value(); });
  fixture.settle();
  CHECK(kinds_of(fixture, begin) == "Ts");
  CHECK(told == begin + 1);

  begin = next_hour();
  fixture.pass(kMinuteMs);
  fixture.pass(kMinuteMs);
  CHECK(kinds_of(fixture, begin) == "Tt");

  // What has been appended and not applied yet is in it.
  begin = next_hour();
  fixture.partition_->propose(click::EntryKind::settings, grace_of(2000),
                              [](const Result<Offset>&) {});
  fixture.wall_.advance_ms(kHourMs);
  fixture.send(1);
  CHECK(kinds_of(fixture, begin) == "TsTc");
  CHECK_FALSE(fixture.partition_->failure());

  // Nor does a restart change it.
  fixture.kill();
  fixture.replay();
  begin = next_hour();
  fixture.send(1);
  CHECK(kinds_of(fixture, begin) == "Tc");
  const auto full =
      stream::decode_tick(fixture.partition_->log().read(begin, 1).value()[0]->payload).value();
  CHECK(full.footing->settings == fixture.partition_->pipeline().settings());
  CHECK(full.footing->horizon.log_time() == fixture.partition_->pipeline().horizon().log_time());
  CHECK(full.footing->horizon.stale_before() ==
        fixture.partition_->pipeline().horizon().stale_before());
}

}  // namespace
}  // namespace clickmill::cluster
