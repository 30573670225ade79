// Goal: a state that was read piece by piece while its partition went on, and written elsewhere,
// is the state at its offset: what the log holds behind it gives the same counts, verdicts and
// digest there. Method: random logs, pieces of a few hundred bytes, and for who takes it a kill
// or a power loss at every operation of its disk: what there was stays, and nothing else does.

#include <catch2/catch.hpp>
#include <functional>

#include "stream/frozen_state.h"
#include "stream/rebuilder.h"
#include "stream/stream_fixture.h"

namespace clickmill::stream {
namespace {

constexpr size_t kPieceBytes = 700;

std::shared_ptr<FrozenState> freeze(Stream& stream) {
  auto frozen = FrozenState::freeze(kPartition, stream.store(), stream.files(), "/store");
  if (!frozen) FAIL(frozen.error().text());
  return *std::move(frozen);
}

Result<std::string> read(const FrozenState& state, const std::string& cursor) {
  return state.read(TRY(decode_state_cursor(cursor)), kPieceBytes);
}

/// Who takes a state: a disk, a store, and the log that both belong to, as far as a start asks.
struct Taker {
  explicit Taker(uint64_t seed) : files(seed) {
    REQUIRE(files.create_directories("/store"));
    options.seed = kSeed;
    options.store_directory = "/store";
    options.flush_rows = 8;
    start();
  }
  void start() {
    rebuilder = std::make_unique<Rebuilder>(kPartition, store, files, options);
    auto opened = rebuilder->open(sealed + 1, sealed);
    if (!opened) FAIL(opened.error().text());
    pipeline = *std::move(opened);
  }
  void die(bool power_loss) {
    pipeline.reset();
    arriving.reset();
    if (power_loss || files.crashed()) {
      files.crash_at_operation(0);
      files.crash();
      store.crash();
      files.restart();
    } else {
      files.kill();
    }
  }
  Status take(
      const FrozenState& state, const std::function<void()>& between = [] {}) {
    auto head = TRY(decode_state_head(encode_state_head(state.head())));
    arriving = TRY(rebuilder->begin_arrival(std::move(head)));
    while (!arriving->complete()) {
      const auto piece = TRY(read(state, arriving->next()));
      TRY(arriving->take(piece));
      between();
    }
    while (!TRY(arriving->check_some(kPieceBytes))) {
    }
    return arriving->finish();
  }
  Status go_on() {
    sealed = arriving->upto();
    pipeline.reset();
    pipeline = TRY(rebuilder->take_arrived(sealed + 1));
    return {};
  }
  size_t file_count() {
    const auto names = files.list("/store");
    REQUIRE(names);
    return names->size();
  }
  std::map<std::string, size_t> keys() {
    std::map<std::string, size_t> count;
    for (const auto& space : store.spaces()) {
      if (!state::is_of_slots(space)) continue;
      REQUIRE(store.scan(space, "", "\xff", [&](std::string_view, std::string_view) {
        ++count[space.name];
        return true;
      }));
    }
    return count;
  }

  simulation::SimFileSystem files;
  state::MemoryStore store;
  Pipeline::Options options;
  Offset sealed{0};
  std::unique_ptr<Rebuilder> rebuilder;
  std::unique_ptr<Pipeline> pipeline;
  std::unique_ptr<ArrivingState> arriving;
};

void fill(Stream& stream, RandomLog& log, int entries) {
  for (int i = 0; i < entries; ++i) {
    stream.apply(log.next());
    if (i % 7 == 6) stream.checkpoint();
    if (i % 11 == 10) stream.merge();
    if (i % 5 == 4) stream.shelve();
  }
}

void check_equal_behind(Taker& taker, Stream& stream) {
  for (const auto& entry : stream.log()) {
    if (entry.first > taker.pipeline->applied()) REQUIRE(taker.pipeline->apply(entry));
  }
  REQUIRE(taker.pipeline->checkpoint());
  CHECK(taker.pipeline->tally() == stream.pipeline().tally());
  CHECK(taker.pipeline->digest() == stream.pipeline().digest());
  const auto version = taker.pipeline->version(Stream::everything());
  CHECK(difference(rows_of(version, store::Table::minute), stream.model().minutes()).empty());
  CHECK(
      difference(rows_of(version, store::Table::hour), stream.model().rolled_up(kHourMs)).empty());
  CHECK(difference(rows_of(version, store::Table::day), stream.model().rolled_up(kDayMs)).empty());
}

TEST_CASE("state: one that goes to another node while its partition goes on is that of its offset",
          "[stream]") {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    CAPTURE(seed);
    Stream stream(seed);
    RandomLog log(seed);
    fill(stream, log, 90);
    stream.checkpoint();
    const auto frozen = freeze(stream);
    const Offset upto = stream.pipeline().applied();
    CHECK(frozen->head().record.applied == upto);
    // Its parts are merged away meanwhile, its ids expire, its slot's keys change.
    Taker taker(seed + 1000);
    int pieces = 0;
    const auto taken = taker.take(*frozen, [&] {
      ++pieces;
      if (pieces % 3 == 0) fill(stream, log, 8);
    });
    if (!taken) FAIL(taken.error().text());
    CHECK(pieces > 10);
    REQUIRE(taker.go_on());
    CHECK(taker.pipeline->applied() == upto);
    check_equal_behind(taker, stream);
    // The next start finds it so.
    taker.die(true);
    taker.start();
    CHECK_FALSE(taker.rebuilder->lost());
    check_equal_behind(taker, stream);
  }
}

TEST_CASE("state: a taker that is killed at any step has what it had, or the new state",
          "[stream]") {
  Stream stream(5);
  RandomLog log(5);
  fill(stream, log, 40);
  stream.checkpoint();
  const auto frozen = freeze(stream);
  bool whole = false;
  for (uint64_t at = 1; !whole; ++at) {
    const bool power_loss = at % 2 == 0;
    CAPTURE(at, power_loss);
    Taker taker(at);
    const size_t files_before = taker.file_count();
    const auto keys_before = taker.keys();
    taker.files.crash_at_operation(at);
    const auto taken = taker.take(*frozen);
    whole = taken.has_value() && !taker.files.crashed();
    taker.die(power_loss);
    // The log still ends where it did: what has come counts for nothing.
    taker.start();
    CHECK(taker.pipeline->applied() == Offset(0));
    CHECK(taker.file_count() == files_before);
    CHECK(taker.keys() == keys_before);
    const auto again = taker.take(*frozen);
    if (!again) FAIL(again.error().text());
    // Its log goes on behind the state, and then it is killed.
    taker.sealed = taker.arriving->upto();
    taker.die(power_loss);
    taker.start();
    CHECK(taker.pipeline->applied() == frozen->head().record.applied);
    check_equal_behind(taker, stream);
  }
}

TEST_CASE("state: one that is given up leaves nothing, and another may come", "[stream]") {
  Stream stream(6);
  RandomLog log(6);
  fill(stream, log, 40);
  stream.checkpoint();
  const auto frozen = freeze(stream);
  Taker taker(1);
  const auto keys_before = taker.keys();
  auto begun = taker.rebuilder->begin_arrival(frozen->head());
  REQUIRE(begun);
  for (int i = 0; i < 12 && !(*begun)->complete(); ++i) {
    const auto piece = read(*frozen, (*begun)->next());
    REQUIRE(piece);
    REQUIRE((*begun)->take(*piece));
  }
  REQUIRE((*begun)->abandon());
  CHECK(taker.keys() == keys_before);
  CHECK(taker.file_count() == 0);
  // One that was begun and forgotten is removed by the next.
  begun = taker.rebuilder->begin_arrival(frozen->head());
  REQUIRE(begun);
  REQUIRE(taker.take(*frozen));
  REQUIRE(taker.go_on());
  check_equal_behind(taker, stream);
}

TEST_CASE("state: what is rotten there, or on its way, doesn't come to be here", "[stream]") {
  Stream stream(7);
  RandomLog log(7);
  fill(stream, log, 60);
  stream.checkpoint();
  const auto frozen = freeze(stream);
  REQUIRE_FALSE(frozen->head().record.parts.empty());

  SECTION("a piece of which any bit is another") {
    const auto piece = read(*frozen, encode_state_cursor({}));
    REQUIRE(piece);
    REQUIRE(decode_state_piece(*piece));
    for (size_t bit = 0; bit < piece->size() * 8; bit += 7) {
      std::string other = *piece;
      other[bit / 8] = static_cast<char>(other[bit / 8] ^ 1 << bit % 8);
      CHECK_FALSE(decode_state_piece(other));
    }
  }
  SECTION("a part file of the source") {
    const auto part = stream.pipeline().part_metas().front();
    stream.files().flip_bit("/store/" + part.name, part.position + part.bytes / 3);
    Taker taker(1);
    const auto taken = taker.take(*frozen);
    REQUIRE_FALSE(taken);
    CHECK(taken.error().code() == Errc::corrupt);
    REQUIRE(taker.arriving->abandon());
  }
  SECTION("a store that has lost what it took") {
    Taker taker(1);
    auto begun = taker.rebuilder->begin_arrival(frozen->head());
    REQUIRE(begun);
    while (!(*begun)->complete()) {
      const auto piece = read(*frozen, (*begun)->next());
      REQUIRE(piece);
      REQUIRE((*begun)->take(*piece));
    }
    // As after a failed disk, while the process goes on.
    taker.store.crash();
    Result<bool> all = false;
    while (all && !*all) all = (*begun)->check_some(kPieceBytes);
    CHECK_FALSE(all);
  }
  SECTION("places and pieces that are none") {
    StateCursor nowhere;
    nowhere.stage = StateCursor::Stage::parts;
    nowhere.part = 1'000;
    CHECK_FALSE(frozen->read(nowhere, kPieceBytes));
    nowhere.part = 0;
    nowhere.position = UINT64_MAX;
    CHECK_FALSE(frozen->read(nowhere, kPieceBytes));
    CHECK_FALSE(decode_state_cursor("\x09"));
    Taker taker(1);
    auto begun = taker.rebuilder->begin_arrival(frozen->head());
    REQUIRE(begun);
    StatePieceWriter writer;
    writer.begin_keys("slots");
    writer.add("key", "value");
    CHECK_FALSE((*begun)->take(writer.finish(nullptr)));
    StatePieceWriter parts;
    parts.add({1, 0, "x"});
    CHECK_FALSE((*begun)->take(parts.finish(nullptr)));
  }
}

TEST_CASE("state: there is none to give before the first checkpoint", "[stream]") {
  Stream stream(8);
  const auto none = FrozenState::freeze(kPartition, stream.store(), stream.files(), "/store");
  REQUIRE_FALSE(none);
  CHECK(none.error().code() == Errc::busy);
}

}  // namespace
}  // namespace clickmill::stream
