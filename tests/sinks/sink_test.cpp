// Goal: whatever becomes of the broker, of acknowledgements and of the sink itself, each
// committed click arrives, and once after dropping what repeats its offset; the position that
// is kept is never ahead of what was acknowledged.
#include "sinks/sink.h"

#include <set>

#include "sinks/fake_broker.h"
#include "sinks/sink_fixture.h"

namespace clickmill::sinks {
namespace {

SinkOfOne::Open to(FakeTopic& topic) {
  return [&topic] { return topic.open(); };
}

std::string offset_member(Offset offset) {
  return "{\"partition\":0,\"offset\":" + std::to_string(offset.value()) + ",\"append_ms\":";
}

std::set<Offset> offsets(const FakeTopic& topic) {
  std::set<Offset> all;
  for (const auto& got : topic.got()) {
    CHECK(got.value.starts_with(offset_member(got.offset)));
    all.insert(got.offset);
  }
  return all;
}

/// Everything is in the topic, and known to be.
void wait_for_all(SinkOfOne& one) {
  one.until([&] { return one.kept() >= one.committed(); });
}

}  // namespace

TEST_CASE("sink: each click arrives once, in order, with its key", "[sinks]") {
  FakeTopic topic;
  SinkOfOne one(to(topic));
  one.node.send(300);
  one.start();
  for (int i = 0; i < 10; ++i) one.node.send(50);
  wait_for_all(one);
  const auto got = topic.got();
  REQUIRE(got.size() == 800);
  for (size_t i = 1; i < got.size(); ++i) REQUIRE(got[i - 1].offset < got[i].offset);
  ByteCursor record(one.node.records[0]);
  click::RecordScratch scratch;
  const auto click = click::decode_record(record, scratch);
  REQUIRE(click);
  CHECK(got[0].key == click->ad_id);
  CHECK(got[0].value.find("\"click_id\":\"" + std::string(click->click_id)) != std::string::npos);
  CHECK(one.metric("clickmill_sink_sent_total") == 800);
  CHECK(one.metric("clickmill_sink_errors_total") == 0);
  CHECK(topic.opened() == 1);
  one.stop();
}

TEST_CASE("sink: a restart goes on behind what was acknowledged", "[sinks]") {
  FakeTopic topic;
  SinkOfOne one(to(topic));
  one.start();
  one.node.send(100);
  wait_for_all(one);
  one.stop();
  one.node.send(20);
  one.start();
  wait_for_all(one);
  CHECK(topic.count() == 120);
  CHECK(offsets(topic).size() == 120);
  one.stop();
}

TEST_CASE("sink: what was not acknowledged is not passed over", "[sinks]") {
  FakeTopic topic;
  SinkOfOne one(to(topic));
  topic.hold(10);
  one.node.send(100);
  one.start();
  one.until([&] { return topic.count() == 100; });
  // 90 are acknowledged, but none without a gap before it.
  for (int i = 0; i < 20; ++i) {
    one.node.advance(1'000);
    std::this_thread::yield();
  }
  one.stop();
  CHECK(one.kept() < topic.got()[0].offset);
  topic.hold(0);
  one.start();
  wait_for_all(one);
  CHECK(topic.count() == 200);
  CHECK(offsets(topic).size() == 100);
  one.stop();
}

TEST_CASE("sink: a message that is lost is sent again, by a new broker", "[sinks]") {
  FakeTopic topic;
  SinkOfOne one(to(topic));
  one.start();
  one.node.send(50);
  wait_for_all(one);
  topic.lose_one();
  one.node.send(50);
  wait_for_all(one);
  CHECK(offsets(topic).size() == 100);
  CHECK(topic.opened() == 2);
  CHECK(one.metric("clickmill_sink_errors_total") == 1);
  one.stop();
}

TEST_CASE("sink: a broker that takes few at a time gets all", "[sinks]") {
  FakeTopic topic;
  topic.take_at_most(7);
  SinkOfOne one(to(topic));
  one.node.send(200);
  one.start();
  wait_for_all(one);
  CHECK(topic.count() == 200);
  CHECK(offsets(topic).size() == 200);
  one.stop();
}

TEST_CASE("sink: a broker that is away is behind, and says so; then all arrives", "[sinks]") {
  FakeTopic topic;
  topic.be_away(true);
  SinkOfOne one(to(topic));
  one.start();
  one.node.send(100);
  one.until([&] { return !one.sink->warning().empty(); });
  CHECK(one.sink->warning().find("the broker is away") != std::string::npos);
  CHECK(one.metric("clickmill_sink_lag_offsets") >= 100);
  CHECK(one.metric("clickmill_sink_lag_seconds") >= 120);
  topic.be_away(false);
  wait_for_all(one);
  one.until([&] { return one.sink->warning().empty(); });
  CHECK(topic.count() == 100);
  CHECK(offsets(topic).size() == 100);
  one.stop();
}

TEST_CASE("sink: what retention drops meanwhile is counted, and the rest arrives", "[sinks]") {
  FakeTopic topic;
  SinkOfOne one(to(topic), 3, 8 * 1024);
  one.start();
  one.node.send(10);
  wait_for_all(one);
  one.stop();
  const Offset kept = one.kept();
  for (int i = 0; i < 30; ++i) {
    one.node.send(100);
    one.node.advance(600'000);
  }
  const Offset last = one.node.state().last;
  one.node.wait_sealed(last - 300);
  one.node.drop(last - 300);
  const Offset first = one.node.reader().first(kPartition);
  REQUIRE(first > kept + 1);
  one.start();
  wait_for_all(one);
  CHECK(one.metric("clickmill_sink_skipped_offsets_total") ==
        static_cast<double>(first - kept - 1));
  const auto all = offsets(topic);
  CHECK(*all.rbegin() >= last - 110);
  CHECK(topic.count() == all.size());
  one.stop();
}

TEST_CASE("sink: a partition that another node leads is left to it, and followed", "[sinks]") {
  FakeTopic topic;
  SinkOfOne one(to(topic));
  cluster::VersionReader states(one.node.owned());
  Metrics metrics;
  Sink::Options options;
  options.name = "it";
  options.node_id = "n2";
  options.partitions = 1;
  options.open = to(topic);
  // By the leader's own sink, which sends here.
  options.ask = [&one](const std::string& node, const std::function<void(std::string)>& told) {
    CHECK(node == "n1");
    told(one.sink->told());
  };
  one.node.send(10);
  one.start();
  Sink other(std::move(options), Sink::Log{one.node.reader(), states}, one.positions("other"),
             one.node.clock(), metrics);
  other.start();
  wait_for_all(one);
  const Offset arrived = one.kept();
  one.until([&] { return one.positions("other").of(kPartition) >= arrived; });
  CHECK(topic.count() == 10);
  other.stop();
  CHECK(topic.count() == 10);
  one.stop();
  CHECK(one.positions("other").of(kPartition) <= one.kept());
}

TEST_CASE("sink: a log that was set back behind its position is gone on with", "[sinks]") {
  FakeTopic topic;
  SinkOfOne one(to(topic));
  one.node.send(10);
  {
    auto positions = one.positions();
    positions.set(kPartition, Offset(1000));
    REQUIRE(positions.save());
  }
  one.start();
  one.until([&] { return one.kept() < Offset(1000); });
  one.node.send(5);
  wait_for_all(one);
  CHECK(topic.count() == 5);
  CHECK(one.metric("clickmill_sink_errors_total") == 1);
  one.stop();
}

TEST_CASE("sink: what is always on its way is not behind", "[sinks]") {
  Behind behind;
  behind.look(Offset(5), Offset(5), 1'000);
  CHECK(behind.since_ms() == 0);
  // A log that never rests, whose sink is half a second behind.
  for (int64_t second = 2; second < 100; ++second) {
    const auto committed = static_cast<uint64_t>(second) * 1'000;
    behind.look(Offset(committed - 500), Offset(committed), second * 1'000);
    CHECK(behind.since_ms() == second * 1'000);
  }
  // And one that has stopped.
  for (int64_t second = 100; second < 200; ++second)
    behind.look(Offset(98'500), Offset(static_cast<uint64_t>(second) * 1'000), second * 1'000);
  CHECK(behind.since_ms() == 99'000);
  behind.look(Offset(200'000), Offset(200'000), 200'000);
  CHECK(behind.since_ms() == 0);
}

TEST_CASE("positions: a damaged file, or of other partitions, is told", "[sinks]") {
  simulation::SimFileSystem files(1);
  REQUIRE(files.create_directories("/sinks"));
  {
    auto positions = Positions::open(files, "/sinks/it", 3);
    REQUIRE(positions);
    CHECK(positions->of(PartitionId(2)) == Offset(0));
    positions->set(PartitionId(2), Offset(77));
    REQUIRE(positions->save());
  }
  auto again = Positions::open(files, "/sinks/it", 3);
  REQUIRE(again);
  CHECK(again->of(PartitionId(2)) == Offset(77));
  CHECK(again->of(PartitionId(1)) == Offset(0));
  CHECK_FALSE(Positions::open(files, "/sinks/it", 4));
  auto file = files.open("/sinks/it", FileSystem::Open::write);
  REQUIRE(file);
  REQUIRE((*file)->write_at(14, "x"));
  const auto damaged = Positions::open(files, "/sinks/it", 3);
  REQUIRE_FALSE(damaged);
  CHECK(damaged.error().code() == Errc::corrupt);
}

}  // namespace clickmill::sinks
