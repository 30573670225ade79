#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "log/sealed_model.h"
#include "log/segments.h"
#include "simulation/sim_file_system.h"

namespace clickmill::log {

inline const std::string kDirectory = "/log/7";

/// Segments on a simulated disk beside the blocks that they should hold.
/// Blocks are numbered from 0; [dropped, sealed) are to be there.
struct SealedLog {
  SealedLog(uint64_t seed, size_t block_count, Segments::Options settings)
      : files(seed), options(settings) {
    Random random(seed);
    blocks = random_blocks(random, block_count);
  }

  Status try_open() {
    segments.reset();
    auto opened = Segments::open(files, kDirectory, codec, options);
    if (!opened) return std::move(opened).error();
    segments = *std::move(opened);
    return {};
  }
  void open() {
    const auto opened = try_open();
    if (!opened) FAIL(opened.error().text());
  }
  /// Seals the next `count` blocks; remembers those that are promised.
  Status try_seal(size_t count) {
    const size_t to = std::min(blocks.size(), sealed + count);
    TRY(segments->seal(joined(blocks, sealed, to)));
    sealed = to;
    return {};
  }
  void seal(size_t count) {
    const auto done = try_seal(count);
    if (!done) FAIL(done.error().text());
  }
  void crash() {
    segments.reset();
    files.crash();
    files.restart();
  }
  const Entry& last_entry(size_t block) const { return blocks[block].back(); }

  /// Number of blocks up to an offset that ends one.
  size_t blocks_upto(Offset last) const {
    size_t count = 0;
    while (count < blocks.size() && blocks[count].back().last() <= last) ++count;
    REQUIRE(last == (count == 0 ? Offset(0) : blocks[count - 1].back().last()));
    return count;
  }
  /// Takes over how far a crash has let seal and drop come.
  void accept_what_is_there() {
    const size_t there = blocks_upto(segments->last());
    REQUIRE(there >= sealed);
    sealed = there;
    const size_t gone = blocks_upto(segments->first() - 1);
    REQUIRE(gone >= dropped);
    dropped = gone;
  }
  /// Every block that should be there is, with equal entries; nothing else is.
  void check_all() const {
    REQUIRE(segments->last() == (sealed == 0 ? Offset(0) : last_entry(sealed - 1).last()));
    REQUIRE(segments->last_term() == (sealed == 0 ? Term(0) : last_entry(sealed - 1).term));
    REQUIRE(segments->first() == (dropped == 0 ? Offset(1) : last_entry(dropped - 1).last() + 1));
    for (size_t i = dropped; i < sealed; ++i) {
      const auto read = segments->read_block(blocks[i].front().first);
      if (!read) FAIL(read.error().text());
      REQUIRE(text_of(*read) == text_of(blocks[i]));
    }
    REQUIRE(segments->read_block(segments->last() + 1).error().code() == Errc::not_found);
  }
  void check_clean() const {
    const auto report = segments->verify();
    REQUIRE(report.damage.empty());
    REQUIRE(report.blocks == sealed - dropped);
    REQUIRE(report.entries == joined(blocks, dropped, sealed).size());
  }
  std::vector<std::string> segment_names() {
    std::vector<std::string> out;
    const auto names = files.list(kDirectory);
    for (const auto& name : *names) {
      if (name.find(".segment") != std::string::npos) out.push_back(name);
    }
    return out;
  }
  /// Segment files by name.
  std::map<std::string, std::string> contents() {
    std::map<std::string, std::string> out;
    for (const auto& name : segment_names()) {
      out[name] = read_file(files, kDirectory + "/" + name).value();
    }
    return out;
  }
  void overwrite(const std::string& name, const std::string& bytes) {
    auto file = files.open(kDirectory + "/" + name, FileSystem::Open::truncate);
    REQUIRE(file);
    REQUIRE((*file)->write_at(0, bytes));
  }

  simulation::SimFileSystem files;
  RowCodec codec;
  Segments::Options options;
  std::vector<Block> blocks;
  size_t sealed = 0;
  size_t dropped = 0;
  std::unique_ptr<Segments> segments;  ///< borrows files and codec: goes first
};

}  // namespace clickmill::log
