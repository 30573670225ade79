// The stream against a model that follows DESIGN §5 word by word (stream_model.h).

#include "stream/pipeline.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "stream/stream_fixture.h"

namespace clickmill::stream {
namespace {

/// A click of the minute that begins at kStart, 20 s into it.
TestClick click_at_start(std::string click_id = "c1") {
  TestClick click;
  click.click_id = std::move(click_id);
  click.timestamp_ms = kStart + 20'000;
  click.received_ms = kStart + 20'100;
  click.user_id = "u1";
  return click;
}

const RowKey kFirstMinute{kStart, "adv_1", "ad_1"};

}  // namespace

TEST_CASE("pipeline: random logs give the model's counts, wherever checkpoints and crashes are",
          "[stream]") {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    Stream stream(seed);
    RandomLog log(seed);
    Random other(seed + 1'000'000);
    const uint64_t checkpoint_one_in = 1 + other.below(20);
    for (int step = 0; step < 120; ++step) {
      stream.apply(log.next());
      if (other.one_in(checkpoint_one_in)) stream.checkpoint();
      if (other.one_in(10)) stream.merge();
      if (other.one_in(40)) {
        stream.crash();
        stream.replay();
      }
      if (other.one_in(30)) {
        if (auto text = stream.wrong(); !text.empty()) FAIL("step " << step << ": " << text);
      }
    }
    stream.checkpoint();
    if (auto text = stream.wrong(); !text.empty()) FAIL(text);
    REQUIRE(stream.stored_reviews() == stream.model().reviews());
    const Tally& tally = stream.pipeline().tally();
    REQUIRE(tally.received == tally.counted + tally.duplicate + tally.review_total());
  }
}

TEST_CASE("pipeline: random logs give the model's counts while checkpoints are under way, and fail",
          "[stream]") {
  uint64_t failed = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    Stream stream(seed);
    RandomLog log(seed);
    Random other(seed + 2'000'000);
    const uint64_t trouble_one_in = 8 + other.below(40);
    const auto trouble = [&](state::MemoryStore::Call) -> std::optional<Error> {
      if (!other.one_in(trouble_one_in)) return std::nullopt;
      return Error(Errc::io, "trouble");
    };
    stream.store().set_fail(trouble);
    for (int step = 0; step < 150; ++step) {
      stream.apply(log.next());
      if (other.one_in(6)) stream.apply(random_repair(stream.model(), other));
      if (other.one_in(20)) stream.files().fail_write_after(1 + other.below(6));
      if (other.one_in(20)) stream.files().fail_sync_after(1 + other.below(4));
      if (other.one_in(2)) failed += stream.checkpoint_step() ? 0 : 1;
      if (other.one_in(10)) stream.merge();
      if (other.one_in(40)) {
        stream.crash();
        stream.store().set_fail({});
        stream.replay();
        stream.store().set_fail(trouble);
      }
      if (other.one_in(10)) {
        if (auto text = stream.wrong(); !text.empty()) FAIL("step " << step << ": " << text);
      }
    }
    stream.store().set_fail({});
    stream.files().fail_write_after(0);
    stream.files().fail_sync_after(0);
    stream.checkpoint();
    if (auto text = stream.wrong(); !text.empty()) FAIL(text);
    REQUIRE(stream.stored_reviews() == stream.model().reviews());
    stream.crash();
    stream.open();
    if (auto text = stream.wrong(); !text.empty()) FAIL("from disk: " << text);
  }
  REQUIRE(failed > 300);
}

TEST_CASE("pipeline: the digest depends on the log only, not on checkpoints and restarts",
          "[stream]") {
  // Batches that end at multiples of 4,096 offsets, as a leader cuts them.
  const auto run = [](uint64_t checkpoint_one_in, uint64_t crash_one_in) {
    Stream stream(5);
    Random other(checkpoint_one_in);
    uint64_t n = 0;
    for (int batch = 0; batch < 24; ++batch) {
      std::vector<TestClick> clicks(512);
      for (auto& click : clicks) {
        click = click_at_start("c" + std::to_string(++n % 9'000));
        click.ad_id = "ad_" + std::to_string(n % 7);
      }
      if (batch == 0) clicks.pop_back();  // offset 0 is none
      stream.clicks(kStart + 21'000 + batch * kMinuteMs, std::move(clicks));
      if (other.one_in(checkpoint_one_in)) stream.checkpoint();
      if (other.one_in(checkpoint_one_in)) stream.checkpoint_step();
      if (other.one_in(crash_one_in)) {
        stream.crash();
        stream.replay();
      }
    }
    return stream.pipeline().digest();
  };
  const Digest digest = run(100, 100);
  REQUIRE(digest.offset == Offset(3 * 4096 - 1));
  REQUIRE(digest.value != 0);
  REQUIRE(run(1, 100) == digest);
  REQUIRE(run(2, 3) == digest);
}

TEST_CASE("pipeline: a click is on time until exactly the grace after its minute's end",
          "[stream]") {
  const auto [received, want] = GENERATE(table<int64_t, Fate>({
      {kStart + 60'000 + 29'999, Fate::counted},
      {kStart + 60'000 + 30'000, Fate::counted},
      {kStart + 60'000 + 30'001, Fate::late},
  }));
  Stream stream(1);
  TestClick click = click_at_start();
  click.received_ms = received;
  REQUIRE(stream.click(received, click) == want);
  REQUIRE(stream.wrong() == "");
}

TEST_CASE("pipeline: lateness is judged by arrival, however long our spool held the click",
          "[stream]") {
  Stream stream(1);
  TestClick click = click_at_start();
  REQUIRE(stream.click(click.received_ms + 50 * kHourMs, click) == Fate::counted);
  REQUIRE(stream.count_of(kFirstMinute) == 1);
  REQUIRE(stream.wrong() == "");
}

TEST_CASE("pipeline: a timestamp may be ahead of arrival by the allowed clock error", "[stream]") {
  const auto [ahead, want] = GENERATE(table<int64_t, Fate>({
      {29'999, Fate::counted},
      {30'000, Fate::counted},
      {30'001, Fate::clock_ahead},
  }));
  Stream stream(1);
  TestClick click = click_at_start();
  click.timestamp_ms = click.received_ms + ahead;
  REQUIRE(stream.click(click.received_ms, click) == want);
  REQUIRE(stream.wrong() == "");
}

TEST_CASE("pipeline: backfill is on time whatever its timestamp, its copies are duplicates",
          "[stream]") {
  Stream stream(1);
  TestClick click = click_at_start();
  click.timestamp_ms = kStart - 400 * kDayMs;
  click.flags = click::kBackfill;
  REQUIRE(stream.click(click.received_ms, click) == Fate::counted);
  REQUIRE(stream.click(click.received_ms + 5, click) == Fate::duplicate);
  click.flags = 0;
  click.click_id = "c2";
  REQUIRE(stream.click(click.received_ms + 10, click) == Fate::late);
  REQUIRE(stream.wrong() == "");
}

TEST_CASE("pipeline: a click of an unknown ad waits in review, and its copy is a duplicate",
          "[stream]") {
  Stream stream(1);
  TestClick click = click_at_start();
  click.flags = click::kUnknownAd;
  REQUIRE(stream.click(click.received_ms, click) == Fate::unknown_ad);
  click.flags = 0;
  REQUIRE(stream.click(click.received_ms + 5, click) == Fate::duplicate);
  REQUIRE(stream.wrong() == "");
  stream.checkpoint();
  REQUIRE(stream.stored_reviews() == std::map<uint64_t, Reason>{{1, Reason::unknown_ad}});
}

TEST_CASE("pipeline: a copy in a batch sent again is resent, from a client it is a duplicate",
          "[stream]") {
  Stream stream(1);
  TestEntry entry;
  entry.kind = click::EntryKind::clicks;
  entry.append_ms = kStart + 21'000;
  entry.sender = "n1";
  entry.low_water = kStart + 20'000;
  entry.clicks = {click_at_start(), click_at_start()};
  REQUIRE(stream.apply(entry) == std::vector{Fate::counted, Fate::duplicate});
  entry.again = true;
  entry.clicks = {click_at_start(), click_at_start("c2")};
  REQUIRE(stream.apply(entry) == std::vector{Fate::resent, Fate::counted});
  REQUIRE(stream.pipeline().tally().received == 3);
  REQUIRE(stream.wrong() == "");
}

TEST_CASE("pipeline: a click older than what is remembered goes to review as stale", "[stream]") {
  Stream stream(1);
  stream.tick(kStart + 2 * kHourMs + 10 * kMinuteMs);  // T is two hours after kStart
  TestClick click = click_at_start();
  click.flags = click::kBackfill;  // stale comes before all else
  click.received_ms = kStart + 2 * kHourMs - 1;
  REQUIRE(stream.click(kStart + 3 * kHourMs, click) == Fate::stale);
  click.click_id = "c2";
  click.received_ms = kStart + 2 * kHourMs;
  REQUIRE(stream.click(kStart + 3 * kHourMs, click) == Fate::counted);
  REQUIRE(stream.wrong() == "");
}

TEST_CASE("pipeline: a straggler for a minute that stands in a part is added to it", "[stream]") {
  Stream stream(1);
  stream.click(kStart + 21'000, click_at_start());
  stream.tick(kStart + 2 * kHourMs, kStart);  // an hour after the last flush: a part is due
  stream.checkpoint();
  REQUIRE(stream.pipeline().head_rows() == 0);
  TestClick late_spool = click_at_start("c2");
  late_spool.user_id = "u2";
  late_spool.country = click::country_of('D', 'E');
  REQUIRE(stream.click(kStart + 2 * kHourMs + 5, late_spool) == Fate::counted);
  REQUIRE(stream.wrong() == "");
  stream.tick(kStart + 4 * kHourMs);
  stream.checkpoint();
  REQUIRE(stream.pipeline().head_rows() == 0);
  REQUIRE(stream.wrong() == "");
  REQUIRE(stream.count_of(kFirstMinute) == 2);
  REQUIRE(stream.count_of({floor_to(kStart, kHourMs), "adv_1", "ad_1"}, store::Table::hour) == 2);
}

TEST_CASE("pipeline: an ad that moves to another advertiser has a row for each", "[stream]") {
  Stream stream(1);
  TestClick moved = click_at_start("c2");
  moved.advertiser_id = "adv_2";
  stream.clicks(kStart + 21'000, {click_at_start(), moved, click_at_start("c3")});
  REQUIRE(stream.count_of(kFirstMinute) == 2);
  REQUIRE(stream.count_of({kStart, "adv_2", "ad_1"}) == 1);
  stream.checkpoint();
  stream.crash();
  stream.replay();
  REQUIRE(stream.wrong() == "");
}

TEST_CASE("pipeline: open windows stay in the head, closed ones leave it for a part", "[stream]") {
  Stream stream(1);
  std::vector<TestClick> clicks;
  for (int i = 0; i < 9; ++i) {
    clicks.push_back(click_at_start("c" + std::to_string(i)));
    clicks.back().ad_id = "ad_" + std::to_string(i);
  }
  stream.clicks(kStart + 21'000, clicks);
  stream.tick(kStart + 89'999);
  stream.checkpoint();
  REQUIRE(stream.pipeline().head_rows() == 9);
  REQUIRE(stream.pipeline().part_metas().empty());
  stream.tick(kStart + 90'000);
  stream.checkpoint();
  REQUIRE(stream.pipeline().head_rows() == 0);
  REQUIRE(stream.pipeline().part_metas().size() == store::kTables);
  REQUIRE(stream.wrong() == "");
}

TEST_CASE("pipeline: what a query sees of a bucket never falls while rows move to parts",
          "[stream]") {
  Stream stream(3);
  RandomLog log(3);
  StoredRows before;
  for (int step = 0; step < 400; ++step) {
    stream.apply(log.next());
    if (log.random().one_in(2)) stream.checkpoint_step();
    if (log.random().one_in(3)) stream.merge();
    const auto now = rows_of(stream.pipeline().version(Stream::everything()), store::Table::minute);
    for (const auto& [key, row] : before) {
      const auto found = now.find(key);
      if (found == now.end() || found->second.counts.clicks < row.counts.clicks) {
        FAIL("a bucket's count fell at step " << step);
      }
    }
    before = now;
  }
}

TEST_CASE("pipeline: flushes and checkpoints go on while a merge is under way", "[stream]") {
  Stream stream(4);
  RandomLog log(4);
  std::shared_ptr<Parts::Merge> merge;
  size_t taken = 0;
  for (int step = 0; step < 600; ++step) {
    stream.apply(log.next());
    stream.checkpoint();
    if (!merge) {
      merge = stream.pipeline().due_merge(store::kAllTime);
    } else if (log.random().one_in(10)) {
      REQUIRE(merge->run());
      stream.pipeline().take_merge(*merge);
      merge.reset();
      ++taken;
      if (auto text = stream.wrong(); !text.empty()) FAIL(text);
    }
  }
  REQUIRE(taken > 3);
  stream.apply(log.next());  // or there is nothing to be put in a checkpoint
  stream.checkpoint();
  const auto parts = stream.pipeline().part_metas().size();
  const auto files = stream.files().list("/store");
  REQUIRE(files);
  REQUIRE(files->size() <= parts + 1);  // the merge that was never run has no file
}

TEST_CASE(
    "pipeline: after a failure of the state store the log tells what the last checkpoint lacks",
    "[stream]") {
  Stream stream(1);
  stream.click(kStart + 21'000, click_at_start());
  SECTION("at a checkpoint") {
    stream.store().set_fail([](auto) { return Error(Errc::io, "disk gone"); });
    const auto done = stream.pipeline().checkpoint();
    REQUIRE(!done);
    REQUIRE(done.error().code() == Errc::io);
    stream.store().set_fail({});
  }
  SECTION("at a look-up of an id") {
    stream.checkpoint();
    stream.store().set_fail([](auto) { return Error(Errc::corrupt, "bad block"); });
    TestEntry copy;
    copy.kind = click::EntryKind::clicks;
    copy.append_ms = kStart + 22'000;
    copy.sender = "n1";
    copy.low_water = kStart + 20'000;
    copy.clicks = {click_at_start()};
    const auto done = stream.pipeline().apply(copy.encoded(Offset(2)));
    REQUIRE(!done);
    REQUIRE(done.error().code() == Errc::corrupt);
    REQUIRE(stream.pipeline().tally().received == 1);
    stream.store().set_fail({});
  }
  stream.crash();
  stream.replay();
  REQUIRE(stream.wrong() == "");
}

TEST_CASE("pipeline: an entry that is not what it says is refused as damage", "[stream]") {
  Stream stream(1);
  TestEntry entry;
  entry.kind = click::EntryKind::clicks;
  entry.append_ms = kStart;
  entry.sender = "n1";
  entry.clicks = {click_at_start(), click_at_start("c2")};
  log::Entry encoded = entry.encoded(Offset(1));
  SECTION("fewer clicks than its count") { encoded.count = 3; }
  SECTION("more clicks than its count") { encoded.count = 1; }
  SECTION("cut short") { encoded.payload.pop_back(); }
  SECTION("no header") { encoded.payload.clear(); }
  const auto done = stream.pipeline().apply(encoded);
  REQUIRE(!done);
  REQUIRE(done.error().code() == Errc::corrupt);
}

}  // namespace clickmill::stream
