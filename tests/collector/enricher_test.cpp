// Clicks whose ad must still be asked for: through a real journal on a simulated
// disk, so that what survives a crash is seen too.
#include "collector/enricher.h"

#include <catch2/catch.hpp>
#include <deque>
#include <utility>

#include "base/bytes.h"
#include "catalog/service.h"
#include "click/click.h"
#include "collector/spool.h"
#include "simulation/sim_file_system.h"

namespace clickmill::collector {
namespace {

using catalog::SourceAnswer;

constexpr uint32_t kPartitions = 2;

class ManualSource final : public catalog::Source {
 public:
  void fetch(const std::string& ad_id, std::function<void(SourceAnswer)> done) override {
    open.emplace_back(ad_id, std::move(done));
  }
  void answer(SourceAnswer::Kind kind) {
    auto [ad_id, done] = std::move(open.front());
    open.pop_front();
    done({kind, {ad_id, "adv_" + ad_id, "video", "https://a.example/"}, "broken"});
  }
  std::deque<std::pair<std::string, std::function<void(SourceAnswer)>>> open;
};

std::string record_of(const std::string& click_id, const std::string& ad_id, uint8_t flags) {
  click::ClickView click;
  click.click_id = click_id;
  click.ad_id = ad_id;
  click.flags = flags;
  if (flags == 0) click.advertiser_id = "adv_known";
  std::string record;
  click::encode_record(click, record);
  return record;
}

/// "c1:adv_a" for a click of a known ad, "c1:unknown" for one of an unknown ad.
std::string shown(const std::string& record) {
  ByteCursor cursor(record);
  click::RecordScratch scratch;
  const auto click = click::decode_record(cursor, scratch).value();
  REQUIRE((click.flags & click::kAdPending) == 0);
  const bool unknown = (click.flags & click::kUnknownAd) != 0;
  return std::string(click.click_id) + ":" +
         (unknown ? "unknown" : std::string(click.advertiser_id));
}

/// A node's collector without sockets and workers; crash() loses all but the disk.
struct Fixture {
  Fixture() {
    REQUIRE(files.create_directories("/data"));
    REQUIRE(files.create_directories("/journal"));
    copy = catalog::Catalog::open(files, "/data").value();
    start();
  }
  void start() {
    RecoveredSpool recovered;
    journal = log::Journal::open(files, "/journal", node_clock, {},
                                 [&](JournalPos position, const log::RecordView& record) {
                                   return recovered.replay(position, record);
                                 })
                  .value();
    service = std::make_unique<catalog::Service>(
        source, *copy, clock,
        catalog::Service::Options{.in_background = [](const auto&) { return true; }}, metrics);
    enricher =
        std::make_unique<Enricher>(*service, clock, Enricher::Options{60'000, 500, 2, 4}, metrics);
    Spool::Options options;
    options.partitions = kPartitions;
    options.ask_for_ad = [this](const std::string& ad_id, Enricher::Done told) {
      enricher->find(ad_id, std::move(told));
    };
    spool = std::make_unique<Spool>(*journal, node_clock, options, [](PartitionId) {});
    spool->recover(std::move(recovered));
  }
  void crash() {
    spool.reset();
    enricher.reset();
    service.reset();
    journal.reset();
    source.open.clear();
    start();
  }
  void append(const std::string& click_id, const std::string& ad_id,
              uint8_t flags = click::kAdPending, log::Lane lane = log::Lane::redirects) {
    REQUIRE(spool->append(PartitionId(0), record_of(click_id, ad_id, flags), true, lane, nullptr));
    while (journal->pump()) {
    }
    collect();
  }
  void pass(int64_t ms) {
    clock.advance_ms(ms);
    enricher->tick();
    service->tick();
  }
  /// What was sent since the last call, all committed.
  std::vector<std::string> send() {
    collect();
    return std::exchange(sent_, {});
  }
  using Sent = std::vector<std::string>;

  simulation::SimFileSystem files{1};
  ManualClock clock{1'000'000};
  NodeClock node_clock{clock};
  Metrics metrics;
  ManualSource source;
  std::unique_ptr<catalog::Catalog> copy;
  std::unique_ptr<log::Journal> journal;
  std::unique_ptr<catalog::Service> service;
  std::unique_ptr<Enricher> enricher;
  std::unique_ptr<Spool> spool;
  bool again = false;  ///< of the batch sent last

 private:
  void collect() {
    auto reader = spool->reader();
    while (const auto taken = spool->take(PartitionId(0), 100, 1 << 20, reader)) {
      for (const auto& record : taken->records) sent_.push_back(shown(record));
      again = taken->again;
      spool->committed(PartitionId(0), *taken);
    }
  }
  std::vector<std::string> sent_;
};

}  // namespace

TEST_CASE("enricher: a click waits in the spool for its ad, its neighbours don't", "[collector]") {
  Fixture fixture;
  fixture.append("c1", "a");
  const ArrivalMs first = fixture.node_clock.now();
  fixture.clock.advance_ms(5);
  fixture.append("c2", "known", 0);
  fixture.append("c3", "b", click::kAdPending, log::Lane::bulk);
  CHECK(fixture.send() == Fixture::Sent{"c2:adv_known"});
  CHECK(fixture.spool->held_clicks() == 2);
  CHECK(fixture.spool->pending_clicks() == 2);
  // It still holds the low-water back: it is to be counted.
  CHECK(fixture.spool->low_water(PartitionId(0)) == first);
  fixture.pass(1);
  REQUIRE(fixture.source.open.size() == 2);
  std::swap(fixture.source.open[0], fixture.source.open[1]);
  fixture.source.answer(SourceAnswer::Kind::ad);
  CHECK(fixture.send() == Fixture::Sent{"c3:adv_b"});
  CHECK_FALSE(fixture.again);
  fixture.source.answer(SourceAnswer::Kind::no_ad);
  CHECK(fixture.send() == Fixture::Sent{"c1:unknown"});
  CHECK(fixture.spool->held_clicks() == 0);
  CHECK(fixture.spool->low_water(PartitionId(0)) > first);
}

TEST_CASE("enricher: one question serves all clicks of an ad, and is asked until it is answered",
          "[collector]") {
  Fixture fixture;
  fixture.append("c1", "a");
  fixture.append("c2", "a");
  for (int round = 0; round < 3; ++round) {
    fixture.pass(500);
    REQUIRE(fixture.source.open.size() == 1);
    fixture.source.answer(SourceAnswer::Kind::failed);
    fixture.pass(20);
    REQUIRE(fixture.source.open.size() == 1);
    fixture.source.answer(SourceAnswer::Kind::failed);
    CHECK(fixture.send().empty());
  }
  fixture.append("c3", "a");
  fixture.pass(500);
  fixture.source.answer(SourceAnswer::Kind::ad);
  CHECK(fixture.send() == Fixture::Sent{"c1:adv_a", "c2:adv_a", "c3:adv_a"});
}

TEST_CASE("enricher: after a bounded time a click goes on as one of an unknown ad", "[collector]") {
  Fixture fixture;
  fixture.append("c1", "a");
  fixture.pass(30'000);
  fixture.append("c2", "a");
  fixture.pass(29'999);
  CHECK(fixture.send().empty());
  fixture.pass(1);
  CHECK(fixture.send() == Fixture::Sent{"c1:unknown"});
  fixture.pass(29'999);
  CHECK(fixture.send().empty());
  fixture.pass(1);
  CHECK(fixture.send() == Fixture::Sent{"c2:unknown"});
  CHECK(fixture.spool->held_clicks() == 0);
}

TEST_CASE("enricher: more clicks than may wait go on at once", "[collector]") {
  Fixture fixture;
  for (const char* click_id : {"c1", "c2", "c3", "c4", "c5"}) fixture.append(click_id, "a");
  CHECK(fixture.send() == Fixture::Sent{"c5:unknown"});
  CHECK(fixture.spool->pending_clicks() == 4);
}

TEST_CASE("enricher: a crash loses no click that waits, and what was committed stays away",
          "[collector]") {
  Fixture fixture;
  fixture.append("c1", "a");
  fixture.append("c2", "b");
  fixture.append("c3", "known", 0);
  fixture.pass(1);
  fixture.source.answer(SourceAnswer::Kind::ad);
  CHECK(fixture.send() == Fixture::Sent{"c3:adv_known", "c1:adv_a"});
  fixture.spool->write_trims();
  while (fixture.journal->pump()) {
  }
  fixture.crash();
  // The trim stands at the oldest click that was held, so nothing before it comes back.
  CHECK(fixture.send() == Fixture::Sent{"c3:adv_known"});
  CHECK(fixture.again);
  CHECK(fixture.spool->pending_clicks() == 1);
  fixture.pass(1);
  while (!fixture.source.open.empty()) fixture.source.answer(SourceAnswer::Kind::ad);
  CHECK(fixture.send() == Fixture::Sent{"c2:adv_b"});
  CHECK(fixture.again);
  CHECK(fixture.spool->held_clicks() == 0);
}

}  // namespace clickmill::collector
