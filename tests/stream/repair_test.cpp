// Goal: a repair makes minutes, and the hours and days over them, what it says, no
// more and no less, wherever their rows stand, and leaves a row alone that isn't what
// the recount saw. Method: the model of stream_model.h under random histories with
// checkpoints, merges, power losses and replays.
#include "stream/repair.h"

#include <catch2/catch.hpp>

#include "stream/stream_fixture.h"

namespace clickmill::stream {
namespace {

const RowKey kKey{kStart, "adv_1", "ad_1"};

TestEntry repair_of(int64_t append_ms, std::vector<TestRepair> repairs) {
  TestEntry entry;
  entry.kind = click::EntryKind::repair;
  entry.append_ms = append_ms;
  entry.repairs = std::move(repairs);
  return entry;
}

TestClick click_of(const std::string& id, int64_t at_ms) {
  TestClick click;
  click.click_id = id;
  click.timestamp_ms = click.received_ms = at_ms;
  click.user_id = "user_" + id;
  return click;
}

void check(Stream& stream) {
  if (auto text = stream.wrong(); !text.empty()) FAIL(text);
}

/// Two clicks in one minute, an hour ago.
void fill(Stream& stream) {
  stream.clicks(kStart + 1'000, {click_of("a", kStart), click_of("b", kStart + 500)});
  stream.tick(kStart + kHourMs);
}

ModelRow row_now(const Stream& stream) { return stream.model().minutes().at(kKey); }

}  // namespace

TEST_CASE("repair: a minute gets fewer clicks and other visitors, and hour and day with it",
          "[stream]") {
  Stream stream(1);
  fill(stream);
  SECTION("in the head") {}
  SECTION("in a part") {
    stream.checkpoint();
    REQUIRE(stream.pipeline().head_rows() == 0);
  }
  SECTION("in a part, and a straggler in the head") {
    stream.checkpoint();
    TestClick late = click_of("c", kStart);
    late.flags |= click::kBackfill;
    stream.clicks(kStart + kHourMs + 1'000, {late});
    REQUIRE(stream.pipeline().head_rows() == 1);
  }
  TestRepair repair{kKey, row_now(stream), {}};
  repair.row.clicks = 1;
  repair.row.devices[static_cast<size_t>(click::Device::tablet)] = 1;
  repair.row.countries = {{click::country_of('D', 'E'), 1}};
  repair.row.visitors = {77};
  stream.apply(repair_of(kStart + kHourMs + 2'000, {repair}));
  CHECK(stream.model().replaced() == 1);
  CHECK(stream.count_of(kKey) == 1);
  CHECK(stream.count_of({floor_to(kStart, kDayMs), "adv_1", "ad_1"}, store::Table::day) == 1);
  check(stream);
  stream.checkpoint();
  stream.crash();
  stream.open();
  check(stream);
}

TEST_CASE("repair: a row goes, and one comes that was missing", "[stream]") {
  Stream stream(1);
  fill(stream);
  stream.checkpoint();
  ModelRow missing;
  missing.clicks = missing.devices[0] = 3;
  stream.apply(repair_of(kStart + kHourMs + 1,
                         {{kKey, row_now(stream), {}}, {{kStart, "adv_1", "ad_2"}, {}, missing}}));
  CHECK(stream.model().minutes().size() == 1);
  check(stream);
  stream.apply(repair_of(kStart + kHourMs + 2, {{{kStart, "adv_1", "ad_2"}, missing, {}}}));
  CHECK(stream.model().minutes().empty());
  check(stream);
  // The parts of what is gone are empty, and so not there.
  CHECK(stream.pipeline().part_metas().empty());
}

TEST_CASE("repair: leaves a row alone that has changed since, and one that is open", "[stream]") {
  Stream stream(1);
  fill(stream);
  const TestRepair repair{kKey, row_now(stream), {}};
  TestClick straggler = click_of("c", kStart);
  straggler.flags |= click::kBackfill;
  stream.clicks(kStart + kHourMs + 1'000, {straggler});
  stream.apply(repair_of(kStart + kHourMs + 2'000, {repair}));
  CHECK(stream.count_of(kKey) == 3);
  const int64_t now = kStart + 2 * kHourMs;
  stream.clicks(now, {click_of("d", now)});
  const RowKey open{now, "adv_1", "ad_1"};
  stream.apply(repair_of(now + 1, {{open, stream.model().minutes().at(open), {}}}));
  CHECK(stream.count_of(open) == 1);
  CHECK(stream.model().replaced() == 0);
  check(stream);
  const auto changes = stream.pipeline().changes().list({}, LogMs(INT64_MAX), 10,
                                                        stream.pipeline().horizon().age_ms());
  REQUIRE(changes);
  CHECK(changes->empty());
}

TEST_CASE("repair: stands among the changes made by hand", "[stream]") {
  Stream stream(1);
  fill(stream);
  const Offset record = stream.log().back().last() + 1;
  stream.apply(repair_of(kStart + kHourMs + 1, {{kKey, row_now(stream), {}}}));
  const auto changes = stream.pipeline().changes().list({}, LogMs(INT64_MAX), 10,
                                                        stream.pipeline().horizon().age_ms());
  REQUIRE(changes);
  REQUIRE(changes->size() == 1);
  const Change& change = changes->front().change;
  CHECK(change.kind == Change::Kind::repair);
  CHECK(change.subject == record);
  CHECK(change.by == "auditor");
  CHECK(change.ad_id == "ad_1");
  CHECK(change.minute_ms == kStart);
  CHECK(change.clicks == -2);
}

TEST_CASE("repair: a merge under way doesn't bring back what was repaired", "[stream]") {
  Stream stream(1);
  int64_t now = kStart;
  std::shared_ptr<Parts::Merge> merge;
  for (int i = 0; merge == nullptr; ++i) {
    REQUIRE(i < 1000);
    stream.clicks(now, {click_of(std::to_string(i), now)});
    now += kHourMs;
    stream.tick(now);
    stream.checkpoint();
    merge = stream.pipeline().due_merge(store::kAllTime);
  }
  REQUIRE(merge->run());
  stream.apply(repair_of(now + 1, {{kKey, row_now(stream), {}}}));
  stream.pipeline().take_merge(*merge);
  check(stream);
  stream.checkpoint();
  stream.merge();
  check(stream);
  stream.checkpoint();
  std::set<std::string> named;
  for (const auto& meta : stream.pipeline().part_metas()) named.insert(meta.name);
  const auto there = stream.files().list("/store");
  REQUIRE(there);
  CHECK(std::set<std::string>(there->begin(), there->end()) == named);
}

TEST_CASE("repair: random repairs, checkpoints, merges and power losses give the model's rows",
          "[stream]") {
  uint64_t replaced = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    Stream stream(seed);
    RandomLog log(seed);
    Random& random = log.random();
    for (int step = 0; step < 120; ++step) {
      TestEntry entry = log.next();
      entry.append_ms = std::max(entry.append_ms, stream.model().log_time());
      stream.apply(entry);
      if (random.one_in(5)) stream.apply(random_repair(stream.model(), random));
      if (random.one_in(4)) stream.checkpoint();
      if (random.one_in(4)) stream.merge();
      if (random.one_in(10)) {
        stream.crash();
        stream.replay();
      }
      if (random.one_in(4)) check(stream);
    }
    check(stream);
    replaced += stream.model().replaced();
  }
  CHECK(replaced > 40);
}

TEST_CASE("repair: records come back as they were, in pieces when there are many rows",
          "[stream]") {
  Random random(5);
  Repair repair;
  repair.by = "auditor";
  for (int i = 0; i < 400; ++i) {
    store::Row row;
    row.advertiser_id = "adv";
    row.ad_id = "ad_" + std::to_string(1000 + i);
    row.bucket_ms = kStart;
    row.counts.clicks = row.counts.devices[1] = static_cast<uint64_t>(i);
    for (int visitor = 0; visitor < i; ++visitor) row.visitors.add(random.next());
    repair.items.push_back({row, {random.next(), random.next()}});
  }
  const auto pieces = encode_repair(repair);
  CHECK(pieces.size() > 1);
  std::vector<Repair::Item> back;
  for (const auto& piece : pieces) {
    CHECK(piece.size() < 2 * kRepairBytesMost);
    auto decoded = decode_repair(piece);
    REQUIRE(decoded);
    CHECK(decoded->by == "auditor");
    for (auto& item : decoded->items) back.push_back(std::move(item));
    // No byte less, none more, and no other byte makes it crash.
    CHECK_FALSE(decode_repair(piece.substr(0, piece.size() - 1)));
    CHECK_FALSE(decode_repair(piece + "x"));
    for (int i = 0; i < 50; ++i) {
      std::string broken = piece;
      broken[random.below(broken.size())] = static_cast<char>(random.below(256));
      ignore(decode_repair(broken), "it must only come to an end");
    }
  }
  REQUIRE(back.size() == repair.items.size());
  for (size_t i = 0; i < back.size(); ++i) {
    CHECK(back[i].instead_of == repair.items[i].instead_of);
    CHECK(fingerprint_of(back[i].row) == fingerprint_of(repair.items[i].row));
  }
  CHECK(encode_repair({}).empty());
}

}  // namespace clickmill::stream
