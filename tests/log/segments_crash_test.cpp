// Goal: whatever a crash, a failing disk or a flipped bit does, what seal() promised
// is there, and what is read is right or an error that names file and byte.
// Method: a script of seals and drops is interrupted at each of its disk operations in
// turn, with several seeds for what the simulated disk then keeps.

#include <catch2/catch.hpp>

#include "log/segments_fixture.h"

namespace clickmill::log {
namespace {

constexpr LogMs kAnyTime(INT64_MAX);
constexpr size_t kBlocks = 14;
constexpr Segments::Options kOptions{3000, Compression::lz4};

/// Seals everything in uneven steps, over several segments, and drops the older half.
Status run_script(SealedLog& log) {
  for (size_t step = 1; log.sealed < log.blocks.size(); ++step) {
    TRY(log.try_seal(1 + step % 3));
    if (step % 3 != 0) continue;
    TRY(log.segments->drop(log.blocks[log.sealed / 2].front().first, kAnyTime));
    log.accept_what_is_there();
  }
  return {};
}

/// The files that an undisturbed run leaves when nothing is dropped.
std::map<std::string, std::string> undisturbed(uint64_t seed) {
  SealedLog log(seed, kBlocks, kOptions);
  log.open();
  log.seal(kBlocks);
  return log.contents();
}

void check_against(const std::map<std::string, std::string>& expected, SealedLog& log) {
  const auto contents = log.contents();
  REQUIRE_FALSE(contents.empty());
  for (const auto& [name, content] : contents) {
    CAPTURE(name);
    const auto same = expected.find(name);
    REQUIRE(same != expected.end());
    REQUIRE(same->second == content);
  }
}

TEST_CASE("segments: a crash at any operation keeps what seal promised", "[log]") {
  uint64_t points = 0;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    const auto expected = undisturbed(seed);
    for (uint64_t operation = 1;; ++operation) {
      CAPTURE(seed, operation);
      SealedLog log(seed * 1000 + operation, 0, kOptions);
      log.blocks = SealedLog(seed, kBlocks, kOptions).blocks;
      log.open();
      log.files.crash_at_operation(operation);
      const auto done = run_script(log);
      if (done) break;
      REQUIRE(log.files.crashed());
      log.segments.reset();
      log.files.restart();
      log.open();
      log.accept_what_is_there();
      log.check_all();
      log.check_clean();
      log.seal(2);
      log.open();
      log.check_all();
      log.seal(kBlocks);
      log.check_all();
      log.check_clean();
      check_against(expected, log);
      ++points;
    }
  }
  CHECK(points > 300);
}

TEST_CASE("segments: a crash while opening for the first time leaves an empty log", "[log]") {
  for (uint64_t operation = 1; operation < 10; ++operation) {
    SealedLog log(operation, 2, kOptions);
    log.files.crash_at_operation(operation);
    ignore(log.try_open(), "it may crash before its end");
    log.crash();
    log.open();
    log.check_all();
    log.seal(2);
    log.check_clean();
  }
}

/// Fails the n-th operation of a kind once, for each n in turn, and seals on.
void seal_despite(void (simulation::SimFileSystem::*fail)(uint64_t), uint64_t& failures) {
  for (uint64_t seed = 0; seed < 6; ++seed) {
    const auto expected = undisturbed(seed);
    for (uint64_t n = 1;; ++n) {
      CAPTURE(seed, n);
      SealedLog log(seed * 1000 + n, 0, kOptions);
      log.blocks = SealedLog(seed, kBlocks, kOptions).blocks;
      log.open();
      (log.files.*fail)(n);
      if (run_script(log)) break;
      ++failures;
      log.accept_what_is_there();
      log.check_all();
      const bool reopened = n % 2 == 0;
      if (reopened) log.files.kill();
      if (reopened) log.open();
      log.accept_what_is_there();
      REQUIRE(run_script(log));
      log.crash();
      log.open();
      log.accept_what_is_there();
      log.check_all();
      log.check_clean();
      check_against(expected, log);
    }
  }
}

TEST_CASE("segments: a seal whose sync failed is written again", "[log]") {
  uint64_t failures = 0;
  seal_despite(&simulation::SimFileSystem::fail_sync_after, failures);
  CHECK(failures > 60);
}

TEST_CASE("segments: a seal whose write failed is written again", "[log]") {
  uint64_t failures = 0;
  seal_despite(&simulation::SimFileSystem::fail_write_after, failures);
  CHECK(failures > 60);
}

TEST_CASE("segments: a crash while a failed seal is retried loses nothing listed", "[log]") {
  // The edits of the failed seal may be on disk, and list what the retry writes again.
  for (uint64_t operation = 1; operation < 30; ++operation) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      CAPTURE(seed, operation);
      SealedLog log(seed, 6, kOptions);
      log.open();
      log.seal(2);
      log.files.fail_sync_after(2);
      REQUIRE_FALSE(log.try_seal(4));
      log.files.crash_at_operation(operation);
      ignore(log.try_seal(4), "it may crash before its end");
      log.crash();
      log.open();
      log.accept_what_is_there();
      log.check_all();
      log.check_clean();
    }
  }
}

TEST_CASE("segments: a crash at any operation of a reset leaves the old log or the new one",
          "[log]") {
  bool done = false;
  for (uint64_t at = 1; !done; ++at) {
    CAPTURE(at);
    SealedLog log(at, 12, {4000, Compression::none});
    log.open();
    log.seal(8);
    const Offset behind = log.last_entry(9).last();
    const LogMs time = log.last_entry(9).append_ms;
    log.files.crash_at_operation(at);
    done = log.segments->reset_to(behind, Term(9), time).has_value() && !log.files.crashed();
    log.files.crash_at_operation(0);
    log.crash();
    log.open();
    if (log.segments->last() == log.last_entry(7).last()) {
      REQUIRE_FALSE(done);
      log.check_all();
      REQUIRE(log.segments->reset_to(behind, Term(9), time));
    }
    CHECK(log.segments->first() == behind + 1);
    CHECK(log.segments->last() == behind);
    CHECK(log.segments->last_term() == Term(9));
    CHECK(log.segments->last_append_ms() == time);
    CHECK(log.segments->read_block(Offset(1)).error().code() == Errc::not_found);
    CHECK(log.segments->bytes() == 0);
    log.open();
    CHECK(log.segments->last_append_ms() == time);
    CHECK(log.segment_names().empty());
    // It goes on as any log does.
    log.sealed = log.dropped = 10;
    log.seal(2);
    log.check_all();
    log.open();
    log.check_all();
    log.check_clean();
  }
}

TEST_CASE("segments: a reset goes forward only, and a failed one can be made again", "[log]") {
  SealedLog log(1, 12, {4000, Compression::none});
  log.open();
  log.seal(8);
  CHECK_FALSE(log.segments->reset_to(log.segments->last(), Term(9), LogMs(0)));
  log.check_all();
  for (uint64_t sync = 1; sync <= 2; ++sync) {
    log.files.fail_sync_after(sync);
    const auto failed = log.segments->reset_to(log.last_entry(9).last(), Term(9), LogMs(5));
    log.files.fail_sync_after(0);
    if (failed) break;
    log.check_all();
  }
  if (log.segments->last() != log.last_entry(9).last())
    REQUIRE(log.segments->reset_to(log.last_entry(9).last(), Term(9), LogMs(5)));
  log.sealed = log.dropped = 10;
  log.seal(2);
  log.open();
  log.check_all();
}

TEST_CASE("segments: what a failed seal left behind is cut off", "[log]") {
  SealedLog log(1, 6, {});
  log.open();
  log.seal(1);
  log.files.fail_sync_after(1);
  REQUIRE_FALSE(log.try_seal(5));
  log.seal(1);
  SealedLog fresh(1, 6, {});
  fresh.open();
  fresh.seal(2);
  CHECK(log.contents() == fresh.contents());
  log.check_clean();
}

TEST_CASE("segments: a full disk stops sealing until there is room", "[log]") {
  SealedLog log(3, kBlocks, kOptions);
  log.open();
  log.seal(3);
  log.files.set_capacity_bytes(log.segments->bytes() + 1000);
  const auto full = log.try_seal(kBlocks);
  REQUIRE_FALSE(full);
  CHECK(full.error().code() == Errc::no_space);
  log.check_all();
  log.files.set_capacity_bytes(1'000'000);
  log.seal(kBlocks);
  log.check_all();
  log.check_clean();
  CHECK(log.contents() == undisturbed(3));
}

TEST_CASE("segments: a misdirected write is found, never read as something else", "[log]") {
  for (uint64_t n = 1; n < 25; ++n) {
    CAPTURE(n);
    SealedLog log(n, kBlocks, kOptions);
    log.open();
    log.files.misdirect_write_after(n);
    while (log.sealed < log.blocks.size()) log.seal(2);
    // The manifest itself may be what was hit.
    if (!log.try_open()) continue;
    bool damaged = false;
    const size_t there = log.blocks_upto(log.segments->last());
    for (size_t i = 0; i < there; ++i) {
      const auto read = log.segments->read_block(log.blocks[i].front().first);
      damaged |= !read;
      if (read) REQUIRE(text_of(*read) == text_of(log.blocks[i]));
      if (!read) REQUIRE(read.error().code() == Errc::corrupt);
    }
    if (damaged) REQUIRE_FALSE(log.segments->verify().damage.empty());
  }
}

TEST_CASE("segments: a flipped bit anywhere is found with file and byte", "[log]") {
  const auto compression = GENERATE(Compression::none, Compression::lz4, Compression::zstd);
  SealedLog log(6, 5, {400, compression});
  for (auto& block : log.blocks) {
    for (auto& entry : block) entry.payload.resize(std::min<size_t>(entry.payload.size(), 30));
  }
  log.open();
  log.seal(5);
  REQUIRE(log.segment_names().size() >= 2);
  for (const auto& [name, content] : log.contents()) {
    const std::string path = kDirectory + "/" + name;
    for (size_t i = 0; i < content.size(); ++i) {
      CAPTURE(name, i);
      std::string flipped = content;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
      log.overwrite(name, flipped);
      log.open();
      const auto report = log.segments->verify();
      REQUIRE(report.damage.size() == 1);
      REQUIRE(report.damage[0].rfind(path + ": byte ", 0) == 0);
      for (const auto& block : log.blocks) {
        const auto read = log.segments->read_block(block.front().first);
        if (read) REQUIRE(text_of(*read) == text_of(block));
        if (read) continue;
        REQUIRE(read.error().code() == Errc::corrupt);
        REQUIRE(read.error().path() == path);
        REQUIRE(read.error().position() <= i);
      }
    }
    log.overwrite(name, content);
  }
}

TEST_CASE("segments: a file cut short is found with file and byte", "[log]") {
  SealedLog log(6, 8, {1200, Compression::lz4});
  log.open();
  log.seal(8);
  for (const auto& [name, content] : log.contents()) {
    for (size_t length = 0; length < content.size(); length += 29) {
      CAPTURE(name, length);
      log.overwrite(name, content.substr(0, length));
      log.open();
      REQUIRE_FALSE(log.segments->verify().damage.empty());
      for (const auto& block : log.blocks) {
        const auto read = log.segments->read_block(block.front().first);
        if (read) REQUIRE(text_of(*read) == text_of(block));
        if (!read) REQUIRE(read.error().code() == Errc::corrupt);
      }
    }
    log.overwrite(name, content);
  }
}

TEST_CASE("segments: bytes rotten in memory are not taken for entries", "[log]") {
  SealedLog log(8, 8, {1200, Compression::lz4});
  log.open();
  log.seal(8);
  for (int i = 0; i < 300; ++i) {
    log.files.flip_read_after(1 + static_cast<uint64_t>(i % 3));
    for (const auto& block : log.blocks) {
      const auto read = log.segments->read_block(block.front().first);
      if (read) REQUIRE(text_of(*read) == text_of(block));
    }
  }
}

}  // namespace
}  // namespace clickmill::log
