#include "log/manifest.h"

#include <catch2/catch.hpp>

#include "simulation/sim_file_system.h"

namespace clickmill::log {
namespace {

const std::string kPath = "/log/manifest";

BlockInfo block_after(const Contents& contents) {
  BlockInfo block;
  block.first = contents.last() + 1;
  block.last = block.first + 9;
  block.position = contents.open.empty() ? kSegmentHeaderBytes : contents.open.back().end();
  block.size = 100;
  block.last_term = Term(block.last.value() / 50 + 1);
  block.checksum = block.first.value() * 77;
  return block;
}

Edit next_block(const Contents& contents) {
  const BlockInfo block = block_after(contents);
  return Edit::add(contents.open.empty() ? block.first : contents.open.front().first, block);
}

Edit next_close(const Contents& contents) {
  SegmentInfo info;
  info.first = contents.open.front().first;
  info.last = contents.open.back().last;
  info.last_term = contents.open.back().last_term;
  info.footer_position = contents.open.back().end();
  info.bytes = info.footer_position + 1000;
  info.blocks = contents.open.size();
  return Edit::close(info);
}

/// A manifest on a simulated disk, and what it must list.
struct Fixture {
  explicit Fixture(uint64_t seed = 1) : files(seed) {
    REQUIRE(files.create_directories("/log"));
    REQUIRE(Manifest::create(files, kPath, {}));
    reopen();
  }
  void reopen() {
    manifest.reset();
    auto opened = Manifest::open(files, kPath);
    REQUIRE(opened);
    manifest = *std::move(opened);
  }
  /// Adds three blocks, closes the segment, adds another and drops what it can.
  void some_edits() {
    for (int i = 0; i < 3; ++i) append({next_block(manifest->contents())});
    append({next_close(manifest->contents())});
    append({next_block(manifest->contents())});
    append({Edit::drop(manifest->contents().closed.front().first)});
  }
  void append(std::vector<Edit> edits) { REQUIRE(manifest->append(edits)); }
  /// Makes the manifest write its file as a whole.
  void rewrite() {
    files.fail_write_after(1);
    REQUIRE_FALSE(manifest->append({}));
    REQUIRE(manifest->prepare());
  }
  std::string bytes() { return read_file(files, kPath).value(); }
  void write(const std::string& bytes) {
    auto file = files.open(kPath, FileSystem::Open::truncate);
    REQUIRE(file);
    REQUIRE((*file)->write_at(0, bytes));
  }

  simulation::SimFileSystem files;
  std::unique_ptr<Manifest> manifest;
};

TEST_CASE("manifest: lists after reopening what was appended", "[log]") {
  Fixture fixture;
  CHECK(fixture.manifest->contents() == Contents{});
  CHECK(fixture.manifest->contents().first() == Offset(1));
  fixture.some_edits();
  const Contents contents = fixture.manifest->contents();
  CHECK(contents.first() == Offset(31));
  CHECK(contents.last() == Offset(40));
  fixture.reopen();
  CHECK(fixture.manifest->contents() == contents);
}

TEST_CASE("manifest: remembers last offset and term when all is dropped", "[log]") {
  Fixture fixture;
  fixture.append({next_block({})});
  fixture.append({next_close(fixture.manifest->contents())});
  fixture.append({Edit::drop(Offset(1))});
  for (int i = 0; i < 2; ++i) {
    const Contents& contents = fixture.manifest->contents();
    CHECK(contents.empty());
    CHECK(contents.first() == Offset(11));
    CHECK(contents.last() == Offset(10));
    CHECK(contents.last_term() == Term(1));
    fixture.rewrite();
    fixture.reopen();
  }
}

TEST_CASE("manifest: a torn tail is cut after the last whole edit", "[log]") {
  Fixture fixture;
  fixture.append({next_block(fixture.manifest->contents())});
  const Contents before = fixture.manifest->contents();
  const size_t kept = fixture.bytes().size();
  fixture.append({next_block(before)});
  const std::string bytes = fixture.bytes();
  for (size_t length = kept + 1; length < bytes.size(); ++length) {
    CAPTURE(length);
    fixture.write(bytes.substr(0, length));
    REQUIRE(parse_manifest(fixture.bytes(), kPath).value().cut);
    fixture.reopen();
    REQUIRE(fixture.manifest->contents() == before);
  }
  fixture.append({next_block(before)});
  const Contents after = fixture.manifest->contents();
  fixture.reopen();
  CHECK(fixture.manifest->contents() == after);
}

TEST_CASE("manifest: a group torn in its middle counts up to there", "[log]") {
  Fixture fixture;
  Contents contents;
  std::vector<Edit> edits;
  for (int i = 0; i < 3; ++i) {
    edits.push_back(next_block(contents));
    REQUIRE(apply(contents, edits.back()));
  }
  REQUIRE(fixture.manifest->prepare());
  const size_t start = fixture.bytes().size();
  fixture.append(edits);
  std::string bytes = fixture.bytes();
  const size_t edit_bytes = (bytes.size() - start) / 3;
  bytes[start + edit_bytes + 20] ^= 1;
  fixture.write(bytes);
  fixture.reopen();
  CHECK(fixture.manifest->contents().last() == Offset(10));
}

TEST_CASE("manifest: a flipped bit is damage with its byte, or cuts the last append", "[log]") {
  Fixture fixture;
  fixture.some_edits();
  const std::string bytes = fixture.bytes();
  Contents before_last = fixture.manifest->contents();
  fixture.append({next_block(fixture.manifest->contents())});
  const std::string whole = fixture.bytes();
  for (size_t i = 0; i < whole.size(); ++i) {
    CAPTURE(i);
    std::string flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
    const auto parsed = parse_manifest(flipped, kPath);
    if (i < bytes.size()) {
      REQUIRE_FALSE(parsed);
      REQUIRE(parsed.error().code() == Errc::corrupt);
      REQUIRE(parsed.error().path() == kPath);
      REQUIRE(parsed.error().position() <= i);
      REQUIRE(parsed.error().position() + 104 > i);
    } else {
      REQUIRE(parsed);
      REQUIRE(parsed->contents == before_last);
    }
  }
}

TEST_CASE("manifest: one written as a whole can't lose its end unnoticed", "[log]") {
  Fixture fixture;
  fixture.some_edits();
  fixture.rewrite();
  const std::string bytes = fixture.bytes();
  for (size_t length = 0; length < bytes.size(); ++length) {
    CAPTURE(length);
    const auto parsed = parse_manifest(bytes.substr(0, length), kPath);
    REQUIRE_FALSE(parsed);
    REQUIRE(parsed.error().code() == Errc::corrupt);
  }
}

TEST_CASE("manifest: stays small however many edits there are", "[log]") {
  Fixture fixture;
  size_t largest = 0;
  for (int i = 0; i < 600; ++i) {
    fixture.append({next_block(fixture.manifest->contents())});
    fixture.append({next_close(fixture.manifest->contents())});
    if (i > 3) fixture.append({Edit::drop(fixture.manifest->contents().closed.front().first)});
    largest = std::max(largest, fixture.bytes().size());
  }
  CHECK(largest < 66 * 1024);
  const Contents contents = fixture.manifest->contents();
  fixture.reopen();
  CHECK(fixture.manifest->contents() == contents);
}

TEST_CASE("manifest: after a failed sync the file is written anew", "[log]") {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    Fixture fixture(seed);
    fixture.some_edits();
    const Contents before = fixture.manifest->contents();
    const Edit edit = next_block(before);
    fixture.files.fail_sync_after(1);
    REQUIRE_FALSE(fixture.manifest->append(std::vector{edit}));
    REQUIRE(fixture.manifest->contents() == before);
    fixture.append({edit});
    const Contents after = fixture.manifest->contents();
    fixture.files.crash();
    fixture.files.restart();
    fixture.reopen();
    REQUIRE(fixture.manifest->contents() == after);
  }
}

TEST_CASE("manifest: what open lists is durable, whatever sync failed before", "[log]") {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    Fixture fixture(seed);
    fixture.some_edits();
    const Edit edit = next_block(fixture.manifest->contents());
    fixture.files.fail_sync_after(1);
    REQUIRE_FALSE(fixture.manifest->append(std::vector{edit}));
    fixture.files.kill();
    fixture.reopen();
    const Contents listed = fixture.manifest->contents();
    fixture.files.crash();
    fixture.files.restart();
    fixture.reopen();
    REQUIRE(fixture.manifest->contents() == listed);
  }
}

TEST_CASE("manifest: a name that open found is durable before anything is appended", "[log]") {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    Fixture fixture(seed);
    fixture.some_edits();
    fixture.files.fail_sync_after(1);
    REQUIRE_FALSE(fixture.manifest->append(std::vector{next_block(fixture.manifest->contents())}));
    // The file is renamed into its place, the sync of its folder fails.
    fixture.files.fail_sync_after(2);
    REQUIRE_FALSE(fixture.manifest->prepare());
    fixture.files.kill();
    fixture.reopen();
    fixture.append({next_block(fixture.manifest->contents())});
    const Contents listed = fixture.manifest->contents();
    fixture.files.crash();
    fixture.files.restart();
    fixture.reopen();
    REQUIRE(fixture.manifest->contents() == listed);
  }
}

TEST_CASE("manifest: edits behind a torn one don't come back", "[log]") {
  Fixture fixture;
  Contents contents;
  std::vector<Edit> edits;
  for (int i = 0; i < 2; ++i) {
    edits.push_back(next_block(contents));
    REQUIRE(apply(contents, edits.back()));
  }
  const size_t start = fixture.bytes().size();
  fixture.append(edits);
  std::string bytes = fixture.bytes();
  bytes[start] ^= 1;
  fixture.write(bytes);
  fixture.reopen();
  fixture.append({edits[0]});
  fixture.reopen();
  CHECK(fixture.manifest->contents().last() == Offset(10));
}

TEST_CASE("manifest: refuses edits that can't follow", "[log]") {
  Contents contents;
  REQUIRE(apply(contents, next_block(contents)));
  const Contents before = contents;
  Edit gap = next_block(contents);
  gap.block.first = gap.block.first + 1;
  Edit moved = next_block(contents);
  moved.block.position += 1;
  Edit other = next_block(contents);
  other.segment = Offset(2);
  Edit closed = next_close(contents);
  closed.closed.blocks = 2;
  for (const auto& edit : {gap, moved, other, closed, Edit::drop(Offset(1)), Edit{}}) {
    CHECK_FALSE(apply(contents, edit));
    CHECK(contents == before);
  }
}

}  // namespace
}  // namespace clickmill::log
