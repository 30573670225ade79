// The tick entry, and that what a full one repeats is all that a reader needs.
#include "stream/tick.h"

#include "stream/stream_fixture.h"

namespace clickmill::stream {
namespace {

std::string encoded(const std::vector<LowWater>& low_waters, const Footing* footing = nullptr) {
  std::string out;
  encode_tick(low_waters, footing, out);
  return out;
}

TEST_CASE("tick: a plain one is what it was ever", "[stream]") {
  const std::string bytes("\x01\x01\x02n1\xd0\x0f", 7);
  CHECK(encoded({{"n1", ArrivalMs(1000)}}) == bytes);
  const auto tick = decode_tick(bytes).value();
  REQUIRE(tick.low_waters.size() == 1);
  CHECK(tick.low_waters[0].node == "n1");
  CHECK(tick.low_waters[0].low_water == ArrivalMs(1000));
  CHECK_FALSE(tick.footing);
}

TEST_CASE("tick: a full one survives its encoding; a cut or foreign one is refused", "[stream]") {
  Footing footing;
  footing.settings.double_click_ms = 700;
  footing.settings.nodes = {"n1", "n2"};
  footing.tick(LogMs(kStart), {{"n1", ArrivalMs(kStart)}, {"n2", ArrivalMs(kStart - 5)}});
  footing.tick(LogMs(kStart + 9'000), {{"n1", ArrivalMs(kStart)}});
  const std::string bytes = encoded({{"n1", ArrivalMs(kStart)}}, &footing);
  const auto tick = decode_tick(bytes).value();
  REQUIRE(tick.footing);
  CHECK(*tick.footing == footing);
  CHECK(tick.low_waters.size() == 1);
  for (size_t size = 0; size < bytes.size(); ++size)
    CHECK_FALSE(decode_tick(std::string_view(bytes).substr(0, size)));
  CHECK_FALSE(decode_tick(bytes + '\0'));
  CHECK_FALSE(decode_tick('\3' + bytes.substr(1)));
  CHECK_FALSE(decode_tick('\0' + bytes.substr(1)));
}

/// Random entries, each log hour begun by a full tick.
TEST_CASE("tick: what a footing says is what the stream comes to", "[stream]") {
  const uint64_t seed = GENERATE(range<uint64_t>(1, 31));
  CAPTURE(seed);
  RandomLog random(seed);
  Stream stream(seed);
  Footing footing;
  std::vector<size_t> full;  // where full ticks stand
  for (int i = 0; i < 300; ++i) {
    TestEntry next = random.next();
    const int64_t now = next.append_ms;
    if (now / kHourMs > footing.horizon.log_time().value() / kHourMs) {
      TestEntry tick;
      tick.kind = click::EntryKind::tick;
      tick.append_ms = now;
      tick.low_waters = {{"n1", ArrivalMs(now)}};
      tick.footing = footing;
      tick.footing->tick(LogMs(now), tick.low_waters);
      full.push_back(stream.log().size());
      stream.apply(tick);
      footing = *tick.footing;
      REQUIRE(footing == Footing{stream.pipeline().settings(), stream.pipeline().horizon()});
    }
    stream.apply(next);
    const log::Entry& entry = stream.log().back();
    REQUIRE(
        footing.pass(static_cast<click::EntryKind>(entry.kind), entry.append_ms, entry.payload));
    if (!(footing == Footing{stream.pipeline().settings(), stream.pipeline().horizon()}))
      FAIL("another footing behind entry " << entry.first.value());
  }
  REQUIRE(full.size() > 1);

  // A stream that begins at any of them.
  simulation::SimFileSystem files(1);
  REQUIRE(files.create_directories("/store"));
  state::MemoryStore state;
  Pipeline::Options options;
  options.store_directory = "/store";
  auto fresh = Pipeline::open(kPartition, state, files, options).value();
  const size_t begin = full[1 + random.random().below(full.size() - 1)];
  for (size_t i = begin; i < stream.log().size(); ++i) {
    REQUIRE(fresh->apply(stream.log()[i]));
    if (i == begin)
      CHECK(fresh->horizon() == decode_tick(stream.log()[i].payload).value().footing->horizon);
  }
  CHECK(footing == Footing{fresh->settings(), fresh->horizon()});
}

}  // namespace
}  // namespace clickmill::stream
