// Files written by the first version must stay readable. They were made by the hidden
// test below: clickmill-tests "[write-golden-segments]".

#include <catch2/catch.hpp>

#include "log/segments_fixture.h"
#include "source_dir.h"

namespace clickmill::log {
namespace {

const std::string kGolden = std::string(kSourceDir) + "/tests/data/segment_v1";
constexpr uint64_t kSegmentBytes = 400;

/// Written out here so that no other test's generator can change it.
std::vector<Entry> golden_entries() {
  std::vector<Entry> out;
  Offset next(1);
  for (int i = 0; i < 30; ++i) {
    const int64_t time = 1'782'295'200'000 + i * 61'000;
    Entry entry{next,
                static_cast<uint32_t>(1 + i % 4 * 300),
                static_cast<uint8_t>(i % 3),
                Term(static_cast<uint64_t>(1 + i / 11)),
                LogMs(time),
                "entry " + std::to_string(i)};
    entry.payload += std::string(static_cast<size_t>(i), 'x');
    next = entry.last() + 1;
    out.push_back(std::move(entry));
  }
  return out;
}

std::string name_of(Compression compression) {
  if (compression == Compression::none) return "none";
  return compression == Compression::lz4 ? "lz4" : "zstd";
}

TEST_CASE("segments: write the golden files", "[.write-golden-segments]") {
  for (const auto compression : {Compression::none, Compression::lz4, Compression::zstd}) {
    PosixFileSystem files;
    const RowCodec codec;
    auto segments = Segments::open(files, kGolden + "/" + name_of(compression), codec,
                                   {kSegmentBytes, compression});
    REQUIRE(segments);
    REQUIRE((*segments)->last() == Offset(0));
    REQUIRE((*segments)->seal(golden_entries()));
  }
}

TEST_CASE("segments: reads the files of version 1", "[log]") {
  const auto compression = GENERATE(Compression::none, Compression::lz4, Compression::zstd);
  const std::string source = kGolden + "/" + name_of(compression);
  CAPTURE(source);
  PosixFileSystem disk;
  // A copy, since opening may tidy up.
  SealedLog log(1, 0, {kSegmentBytes, compression});
  REQUIRE(log.files.create_directories(kDirectory));
  const auto names = disk.list(source);
  REQUIRE(names);
  REQUIRE(names->size() >= 3);
  for (const auto& name : *names) {
    log.overwrite(name, read_file(disk, source + "/" + name).value());
  }
  log.open();
  CHECK(log.segments->verify().damage.empty());
  std::vector<Entry> read;
  for (Offset offset(1); offset <= log.segments->last();) {
    const auto block = log.segments->read_block(offset);
    REQUIRE(block);
    read.insert(read.end(), block->begin(), block->end());
    offset = block->back().last() + 1;
  }
  CHECK(text_of(read) == text_of(golden_entries()));
}

}  // namespace
}  // namespace clickmill::log
