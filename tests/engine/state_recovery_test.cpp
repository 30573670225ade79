#include "engine/state_recovery.h"

#include <catch2/catch.hpp>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/temporary_directory.h"
#include "click/batch.h"
#include "log/segments.h"

namespace clickmill::engine {
namespace {

/// A data directory of two partitions with something in state/, store/ and the log.
struct Fixture {
  Fixture() {
    dir = DataDir::open(files, directory.path() + "/data", "n1", 2).value();
    write(dir->state() + "/CURRENT", "state");
    write(dir->store() + "/p0-1-minute.part", "part");
    for (uint32_t i = 0; i < 2; ++i) seal(i);
  }
  void write(const std::string& path, const std::string& bytes) {
    REQUIRE(files.create_directories(path.substr(0, path.rfind('/'))));
    REQUIRE(write_file_atomically(files, path, bytes));
  }
  std::unique_ptr<log::Segments> open_segments(uint32_t partition) {
    log::Segments::Options options;
    options.segment_bytes = 1;  // each block ends its segment
    return log::Segments::open(files, dir->log(partition), codec, options).value();
  }
  void seal(uint32_t partition) {
    const auto segments = open_segments(partition);
    for (uint64_t block = 0; block < 3; ++block) {
      log::Entry entry;
      entry.first = segments->last() + 1;
      entry.kind = static_cast<uint8_t>(click::EntryKind::noop);
      entry.term = Term(1);
      entry.append_ms = LogMs(static_cast<int64_t>(block) * log::kBlockMs);
      REQUIRE(segments->seal({&entry, 1}));
    }
  }
  Status set_aside() { return set_state_aside(*dir, files, Error(Errc::corrupt, "a bit flipped")); }
  std::string read(const std::string& path) { return read_file(files, path).value(); }

  TemporaryDirectory directory;
  PosixFileSystem files;
  const click::ColumnCodec codec;
  std::unique_ptr<DataDir> dir;
};

}  // namespace

TEST_CASE("state recovery: state and store are kept under another name", "[engine]") {
  Fixture node;
  REQUIRE(node.set_aside());
  REQUIRE(!node.files.exists(node.dir->state()));
  REQUIRE(!node.files.exists(node.dir->store()));
  REQUIRE(node.read(node.dir->state() + ".damaged-1/CURRENT") == "state");
  REQUIRE(node.read(node.dir->store() + ".damaged-1/p0-1-minute.part") == "part");
}

TEST_CASE("state recovery: a second damage doesn't replace what was kept of the first",
          "[engine]") {
  Fixture node;
  REQUIRE(node.set_aside());
  node.write(node.dir->state() + "/CURRENT", "second");
  REQUIRE(node.set_aside());
  REQUIRE(node.read(node.dir->state() + ".damaged-1/CURRENT") == "state");
  REQUIRE(node.read(node.dir->state() + ".damaged-2/CURRENT") == "second");
}

TEST_CASE("state recovery: goes on too when a partition's log no longer reaches back", "[engine]") {
  Fixture node;
  REQUIRE(node.open_segments(1)->drop(Offset(3), LogMs(std::numeric_limits<int64_t>::max())));
  REQUIRE(node.set_aside());
  REQUIRE(node.read(node.dir->state() + ".damaged-1/CURRENT") == "state");
}

TEST_CASE("state recovery: after a crash between the two renames nothing is lost", "[engine]") {
  Fixture node;
  REQUIRE(node.files.rename(node.dir->store(), node.dir->store() + ".damaged-1"));
  REQUIRE(node.set_aside());
  REQUIRE(node.read(node.dir->store() + ".damaged-1/p0-1-minute.part") == "part");
  REQUIRE(node.read(node.dir->state() + ".damaged-2/CURRENT") == "state");
}

TEST_CASE("state recovery: a damaged log is no ground to rebuild on", "[engine]") {
  Fixture node;
  node.write(node.dir->log(0) + "/manifest", "nonsense");
  REQUIRE(node.files.remove(node.dir->log(0) + "/00000000000000000002.segment"));
  const auto refused = node.set_aside();
  REQUIRE(!refused);
  REQUIRE(node.read(node.dir->state() + "/CURRENT") == "state");
}

TEST_CASE("state recovery: only damage is healed by a replay, a failing disk is not", "[engine]") {
  REQUIRE(is_damage(Error(Errc::corrupt, "")));
  REQUIRE(is_damage(Error(Errc::not_found, "")));
  REQUIRE(!is_damage(Error(Errc::io, "")));
  REQUIRE(!is_damage(Error(Errc::no_space, "")));
}

}  // namespace clickmill::engine
