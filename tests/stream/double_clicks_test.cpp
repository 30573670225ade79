// Double clicks: examples through the whole stream, then what is remembered against a list of
// all visits, over checkpoints and crashes.

#include "stream/double_clicks.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/random.h"
#include "state/memory_store.h"
#include "stream/stream_fixture.h"

namespace clickmill::stream {
namespace {

/// A click of a link without an id, by one visitor.
TestClick link_click(int number, int64_t received_ms) {
  TestClick click;
  click.click_id = "made-" + std::to_string(number);
  click.user_id = "u-1";
  click.received_ms = click.timestamp_ms = kStart + received_ms;
  click.flags = click::kIdMade;
  return click;
}

/// A stream that flags double clicks within half a second.
struct Flagging : Stream {
  explicit Flagging(int64_t double_click_ms = 500) : Stream(1) { set(double_click_ms); }
  void set(int64_t double_click_ms) {
    TestEntry entry;
    entry.kind = click::EntryKind::settings;
    entry.append_ms = kStart;
    entry.settings.double_click_ms = double_click_ms;
    entry.settings.nodes = {"n1"};
    apply(entry);
  }
  /// One batch; the model's verdicts, which the stream's tally must bear out.
  std::vector<Fate> fates(std::vector<TestClick> all) {
    int64_t append_ms = model().log_time();
    for (const auto& click : all) append_ms = std::max(append_ms, click.received_ms);
    auto verdicts = clicks(append_ms, std::move(all));
    CHECK(pipeline().tally() == model().tally());
    CHECK(wrong() == "");
    return verdicts;
  }
};

using Fates = std::vector<Fate>;
constexpr Fate kCounted = Fate::counted;
constexpr Fate kFlagged = Fate::double_click;

/// All visits for ever, asked one by one.
class AllVisits {
 public:
  bool visit(uint64_t who, int64_t received_ms, int64_t append_ms, int64_t window_ms) {
    bool close = false;
    const size_t first = visits_.size() - std::min(visits_.size(), DoubleClicks::kMost);
    for (size_t i = first; i < visits_.size(); ++i) {
      const auto& [whose, received, append] = visits_[i];
      close |= whose == who && append >= append_ms - window_ms - DoubleClicks::kSlackMs &&
               std::abs(received - received_ms) <= window_ms;
    }
    visits_.emplace_back(who, received_ms, append_ms);
    return close;
  }
  void clear() { visits_.clear(); }

 private:
  std::vector<std::tuple<uint64_t, int64_t, int64_t>> visits_;
};

}  // namespace

TEST_CASE("double click: the second one of a visitor on an ad is flagged, up to the window's end",
          "[stream]") {
  Flagging stream;
  CHECK(stream.fates({link_click(1, 0), link_click(2, 500)}) == Fates{kCounted, kFlagged});
  CHECK(stream.fates({link_click(3, 1'001)}) == Fates{kCounted});
  // The third of three is close to the second, which was a click too.
  CHECK(stream.fates({link_click(4, 1'400), link_click(5, 1'900)}) == Fates{kFlagged, kFlagged});
}

TEST_CASE("double click: whichever came to the log first", "[stream]") {
  Flagging stream;
  CHECK(stream.fates({link_click(2, 300)}) == Fates{kCounted});
  CHECK(stream.fates({link_click(1, 0)}) == Fates{kFlagged});
}

TEST_CASE("double click: another ad, another visitor, an unknown one, an id, an import: counted",
          "[stream]") {
  Flagging stream;
  TestClick other_ad = link_click(2, 100);
  other_ad.ad_id = "ad_2";
  TestClick other_visitor = link_click(3, 100);
  other_visitor.user_id = "u-2";
  TestClick with_id = link_click(4, 100);
  with_id.flags = 0;
  TestClick imported = link_click(5, 100);
  imported.flags |= click::kBackfill;
  CHECK(stream.fates({link_click(1, 0), other_ad, other_visitor, with_id, imported}) ==
        Fates{kCounted, kCounted, kCounted, kCounted, kCounted});
  // An import is no visit just now, a click with an id is one.
  imported.click_id = "imported";
  imported.user_id = "u-3";
  TestClick after_import = link_click(6, 100);
  after_import.user_id = "u-3";
  with_id.click_id = "sent";
  with_id.user_id = "u-4";
  TestClick after_id = link_click(7, 100);
  after_id.user_id = "u-4";
  CHECK(stream.fates({imported, after_import, with_id, after_id}) ==
        Fates{kCounted, kCounted, kCounted, kFlagged});
}

TEST_CASE("double click: another reason for review is told first, a copy is a duplicate",
          "[stream]") {
  Flagging stream;
  TestClick late = link_click(2, 200);
  late.timestamp_ms -= kHourMs;
  TestClick unknown = link_click(3, 300);
  unknown.flags |= click::kUnknownAd;
  CHECK(stream.fates({link_click(1, 0), late, unknown, link_click(1, 250), link_click(4, 600)}) ==
        Fates{kCounted, Fate::late, Fate::unknown_ad, Fate::duplicate, kFlagged});
}

TEST_CASE("double click: off unless it is set, and forgotten when it changes", "[stream]") {
  Flagging stream(0);
  CHECK(stream.fates({link_click(1, 0), link_click(2, 100)}) == Fates{kCounted, kCounted});
  stream.set(500);
  CHECK(stream.fates({link_click(3, 200), link_click(4, 300)}) == Fates{kCounted, kFlagged});
  stream.set(600);
  CHECK(stream.fates({link_click(5, 400)}) == Fates{kCounted});
  stream.set(600);
  CHECK(stream.fates({link_click(6, 500)}) == Fates{kFlagged});
  stream.set(0);
  CHECK(stream.fates({link_click(7, 600)}) == Fates{kCounted});
}

TEST_CASE("double click: what a checkpoint knows and what a replay learns is the same",
          "[stream]") {
  Flagging stream;
  stream.fates({link_click(1, 0)});
  SECTION("checkpoint, crash") {
    stream.checkpoint();
    stream.crash();
    stream.replay();
  }
  SECTION("crash, replay") {
    stream.crash();
    stream.replay();
  }
  CHECK(stream.fates({link_click(2, 100)}) == Fates{kFlagged});
  stream.checkpoint();
  stream.crash();
  stream.replay();
  CHECK(stream.stored_reviews() == stream.model().reviews());
}

TEST_CASE("double click: random visits are remembered as a list of all would", "[stream]") {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    state::MemoryStore store;
    DoubleClicks visits(kPartition);
    AllVisits all;
    int64_t append_ms = kStart;
    int64_t window_ms = 0;
    size_t close = 0;
    for (int step = 0; step < 600; ++step) {
      append_ms += static_cast<int64_t>(random.below(random.one_in(50) ? 60'000 : 300));
      if (step == 0 || random.one_in(150)) {
        const auto window = static_cast<int64_t>(1 + random.below(5'000));
        if (window != window_ms) all.clear();
        visits.set_window(window_ms = window);
      }
      if (random.one_in(40)) {
        // The state store alone carries it over.
        state::Batch batch;
        visits.checkpoint(batch);
        REQUIRE(store.commit(batch, true));
        DoubleClicks again(kPartition);
        again.set_window(window_ms);
        REQUIRE(again.load(store));
        REQUIRE(again.remembered() == visits.remembered());
        visits = DoubleClicks(kPartition);
        visits.set_window(window_ms);
        REQUIRE(visits.load(store));
      }
      const uint64_t who = random.below(8);
      const int64_t received = append_ms - static_cast<int64_t>(random.below(20'000));
      const bool got = visits.visit(who, ArrivalMs(received), LogMs(append_ms));
      REQUIRE(got == all.visit(who, received, append_ms, window_ms));
      close += got ? 1 : 0;
    }
    REQUIRE(close > 20);
  }
}

TEST_CASE("double click: no more is remembered than is allowed, and none for long", "[stream]") {
  DoubleClicks visits(kPartition);
  visits.set_window(1'000);
  const auto visit = [&](uint64_t who, int64_t at) {
    return visits.visit(who, ArrivalMs(kStart + at), LogMs(kStart + at));
  };
  CHECK_FALSE(visit(1, 0));
  for (uint64_t i = 0; i < DoubleClicks::kMost - 1; ++i) CHECK_FALSE(visit(1'000 + i, 0));
  CHECK(visits.remembered() == DoubleClicks::kMost);
  CHECK_FALSE(visit(1, 0));  // the first has just been forgotten
  CHECK(visits.remembered() == DoubleClicks::kMost);
  CHECK(visit(1, 0));
  CHECK_FALSE(visit(2, 1'000 + DoubleClicks::kSlackMs + 1));
  CHECK(visits.remembered() == 1);
  // One who clicks all the time costs no more than many.
  for (int i = 0; i < 200'000; ++i) visit(3, 40'000);
  CHECK(visits.remembered() == DoubleClicks::kMost);
}

TEST_CASE("double click: a damaged memory of visits is an error", "[stream]") {
  state::MemoryStore store;
  DoubleClicks visits(kPartition);
  visits.set_window(1'000);
  for (uint64_t i = 0; i < 5; ++i) visits.visit(i, ArrivalMs(kStart), LogMs(kStart));
  state::Batch batch;
  visits.checkpoint(batch);
  const auto& put = batch.operations().front();
  for (size_t byte = 0; byte < put.value.size(); ++byte) {
    state::Batch damaged;
    std::string value = put.value;
    value[byte] = static_cast<char>(value[byte] ^ 1);
    damaged.put(put.space, put.key, value);
    REQUIRE(store.commit(damaged, true));
    const auto loaded = DoubleClicks(kPartition).load(store);
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().code() == Errc::corrupt);
  }
}

TEST_CASE("settings: those of before, without double clicks, are read and still written",
          "[stream]") {
  std::string before;
  ByteWriter writer(before);
  writer.u8(1);
  for (const uint64_t value : {24, 30'000, 30'000, 72, 1}) writer.varint(value);
  writer.bytes("n1");
  Settings settings = decode_settings(before).value();
  CHECK(settings.double_click_ms == 0);
  CHECK(settings.stale_after_hours == 72);
  CHECK(settings.nodes == std::vector<std::string>{"n1"});
  std::string bytes;
  encode_settings(settings, bytes);
  CHECK(bytes == before);

  settings.double_click_ms = 400;
  bytes.clear();
  encode_settings(settings, bytes);
  CHECK(decode_settings(bytes).value() == settings);
  bytes[0] = 3;
  CHECK_FALSE(decode_settings(bytes));
}

TEST_CASE("checkpoint: one of before, with four reasons, is read", "[stream]") {
  std::string body;
  ByteWriter writer(body);
  writer.u8(2);
  writer.varint(17);
  std::string settings;
  encode_settings({}, settings);
  writer.bytes(settings);
  Horizon().encode(body);
  for (const uint64_t value : {10, 4, 1, 3, 1, 1, 2, 1, 5, 6}) writer.varint(value);
  writer.u64(99);
  writer.varint(0);
  writer.u64(0);
  writer.varint(1);
  writer.varint(0);
  writer.u64(xxh64_of(body));
  std::string key;
  append_key_u32(key, kPartition.value());
  state::Batch batch;
  batch.put(state::kMetaSpace, key + "checkpoint", body);
  state::MemoryStore store;
  REQUIRE(store.commit(batch, true));

  const auto checkpoint = read_checkpoint(kPartition, store);
  REQUIRE(checkpoint);
  REQUIRE(*checkpoint);
  const Tally& tally = (*checkpoint)->tally;
  CHECK((*checkpoint)->applied == Offset(17));
  CHECK(tally.review == std::array<uint64_t, kReasons>{0, 1, 1, 2, 1, 0});
  CHECK(tally.accepted == 5);
  CHECK(tally.rejected == 6);
  // Written again it holds all reasons.
  state::Batch again;
  put_checkpoint(kPartition, **checkpoint, again);
  REQUIRE(store.commit(again, true));
  CHECK((*read_checkpoint(kPartition, store))->tally == tally);
}

}  // namespace clickmill::stream
