// Goal: what another log has and this one lacks at its beginning comes in front of it whole,
// durable, in the same blocks, or not at all; and whatever a crash leaves is the log of before or
// the longer one.
// Method: a log that was reset to its middle gets what is before from the whole one, segment by
// segment and a few entries at a time, interrupted at each disk operation in turn.

#include <catch2/catch.hpp>

#include "cluster/blocks.h"
#include "log/segments_fixture.h"

namespace clickmill::log {
namespace {

constexpr size_t kBlocks = 12;
constexpr size_t kReset = 7;  // blocks before it are not there
constexpr Segments::Options kOptions{3000, Compression::lz4};

/// The whole log, on a disk of its own.
std::unique_ptr<SealedLog> whole(uint64_t seed) {
  auto log = std::make_unique<SealedLog>(seed, kBlocks, kOptions);
  log->open();
  log->seal(kBlocks);
  return log;
}

/// One that begins behind block kReset.
void begin_late(SealedLog& log) {
  const Entry& last = log.blocks[kReset - 1].back();
  const auto reset = log.segments->reset_to(last.last(), last.term, last.append_ms);
  if (!reset) FAIL(reset.error().text());
  log.dropped = log.sealed = kReset;
}

/// What a peer that has `from` would send; false when nothing older is there.
Result<bool> take_one(const Segments& from, Segments& to) {
  const Offset before = to.first();
  const auto head = cluster::older_head(from, before);
  if (!head && head.error().code() == Errc::not_found) return false;
  if (!head) return Error(head.error().code(), head.error().message());
  const auto older = TRY(to.begin_older(head->first));
  while (older->next() < before) {
    const std::string sent = TRY(cluster::encode_blocks(from, older->next()));
    auto entries = TRY(cluster::decode_blocks(sent));
    std::erase_if(entries, [&](const Entry& entry) { return entry.last() >= before; });
    // Never more than two at a time, so that blocks come in pieces.
    for (size_t i = 0; i < entries.size(); i += 2)
      TRY(older->add(std::span(entries).subspan(i, std::min<size_t>(2, entries.size() - i))));
  }
  TRY(to.take_older(*older, head->before));
  return true;
}

Status take_all(const Segments& from, Segments& to) {
  while (TRY(take_one(from, to))) {
  }
  return {};
}

TEST_CASE("older log: a log that begins late gets all that another one has", "[log]") {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    CAPTURE(seed);
    const auto source = whole(seed);
    SealedLog log(seed, kBlocks, kOptions);
    log.open();
    begin_late(log);
    log.seal(2);
    const auto taken = take_all(*source->segments, *log.segments);
    if (!taken) FAIL(taken.error().text());
    log.dropped = 0;
    log.check_all();
    log.check_clean();
    log.seal(kBlocks);
    log.crash();
    log.open();
    log.check_all();
    log.check_clean();
    REQUIRE(log.segments->dropped_term() == Term(0));
  }
}

TEST_CASE("older log: one whose own log has lost its beginning gives what it has", "[log]") {
  const auto source = whole(3);
  const auto closed = source->segments->closed();
  REQUIRE(closed.size() > 2);
  const Offset cut = closed[1].first;
  const Term before = source->segments->read_block(cut - 1)->back().term;
  REQUIRE(source->segments->drop(cut, LogMs(INT64_MAX)));
  REQUIRE(source->segments->first() == cut);
  SealedLog log(3, kBlocks, kOptions);
  log.open();
  begin_late(log);
  REQUIRE(take_all(*source->segments, *log.segments));
  REQUIRE(log.segments->first() == cut);
  REQUIRE(log.segments->dropped_term() == before);
  REQUIRE(cluster::older_head(*source->segments, cut).error().code() == Errc::not_found);
  REQUIRE(cluster::older_head(*source->segments, Offset(1)).error().code() == Errc::not_found);
}

TEST_CASE("older log: a crash at any operation leaves the log of before or the longer one",
          "[log]") {
  uint64_t points = 0;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    const auto source = whole(seed);
    for (uint64_t operation = 1;; ++operation) {
      CAPTURE(seed, operation);
      SealedLog log(seed * 1000 + operation, 0, kOptions);
      log.blocks = source->blocks;
      log.open();
      begin_late(log);
      log.seal(1);
      log.files.crash_at_operation(operation);
      if (take_all(*source->segments, *log.segments)) break;
      REQUIRE(log.files.crashed());
      log.segments.reset();
      log.files.restart();
      log.open();
      log.dropped = log.blocks_upto(log.segments->first() - 1);
      REQUIRE(log.dropped <= kReset);
      log.check_all();
      log.check_clean();
      for (const std::string& name : log.segment_names()) REQUIRE(name.ends_with(".segment"));
      REQUIRE(take_all(*source->segments, *log.segments));
      log.dropped = 0;
      log.check_all();
      log.check_clean();
      ++points;
    }
  }
  REQUIRE(points > 60);
}

TEST_CASE("older log: one that doesn't lead up to the log is refused, and goes", "[log]") {
  const auto source = whole(5);
  SealedLog log(5, kBlocks, kOptions);
  log.open();
  begin_late(log);
  const auto head = cluster::older_head(*source->segments, log.segments->first());
  REQUIRE(head);
  {
    const auto older = log.segments->begin_older(head->first);
    REQUIRE(older);
    auto entries = *source->segments->read_block(head->first);
    REQUIRE((*older)->add(entries));
    REQUIRE((*older)->add(entries).error().code() == Errc::invalid);
    if ((*older)->next() < log.segments->first())
      REQUIRE(log.segments->take_older(**older, head->before).error().code() == Errc::invalid);
  }
  REQUIRE(log.segment_names().empty());
  log.check_all();
}

}  // namespace
}  // namespace clickmill::log
