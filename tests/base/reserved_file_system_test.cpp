#include "base/reserved_file_system.h"

#include <catch2/catch.hpp>
#include <string>

#include "simulation/sim_file_system.h"

namespace clickmill {

TEST_CASE("reserved file system: what needs more of the disk is refused below the reserve",
          "[base]") {
  using Open = FileSystem::Open;
  simulation::SimFileSystem below{1};
  REQUIRE(below.create_directories("data/journal"));
  ReservedFileSystem disk(below, "data/journal");
  const std::string page(4096, 'x');
  auto file = disk.open("data/part", Open::create).value();
  REQUIRE(file->write_at(0, page));

  disk.set_reserve(uint64_t{1} << 62);
  const auto refused = file->write_at(page.size(), page);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Errc::no_space);
  CHECK(file->size().value() == page.size());
  CHECK(disk.open("data/other", Open::truncate).error().code() == Errc::no_space);
  CHECK_FALSE(disk.exists("data/other"));
  CHECK_FALSE(write_file_atomically(disk, "data/part", page));
  // What takes no room goes on.
  CHECK(file->write_at(0, page));
  CHECK(file->truncate(100));
  CHECK(file->sync());
  CHECK(disk.rename("data/part", "data/part2"));
  CHECK(disk.open("data/part2", Open::write));
  CHECK(read_file(disk, "data/part2").value() == page.substr(0, 100));
  // The journal keeps its own.
  auto journal = disk.open("data/journal/1", Open::create).value();
  CHECK(journal->write_at(0, page));

  disk.set_reserve(0);
  CHECK(file->write_at(100, page));
  CHECK(disk.remove("data/part2"));
}

TEST_CASE("reserved file system: removals can be held back", "[base]") {
  using Open = FileSystem::Open;
  simulation::SimFileSystem below{1};
  REQUIRE(below.create_directories("data/journal"));
  ReservedFileSystem disk(below, "data/journal");
  for (const char* path : {"data/a", "data/b", "data/c", "data/journal/1"})
    REQUIRE(disk.open(path, Open::create));
  auto hold = disk.hold_removals();
  {
    const auto another = disk.hold_removals();
    for (const char* path : {"data/a", "data/b", "data/c", "data/journal/1"})
      REQUIRE(disk.remove(path));
  }
  CHECK(below.exists("data/a"));
  CHECK_FALSE(below.exists("data/journal/1"));
  CHECK(disk.remove("data/none").error().code() == Errc::not_found);
  // These two are wanted again.
  REQUIRE(disk.open("data/b", Open::truncate));
  REQUIRE(disk.open("data/new", Open::create));
  REQUIRE(disk.rename("data/new", "data/c"));
  hold.reset();
  CHECK_FALSE(below.exists("data/a"));
  CHECK(below.exists("data/b"));
  CHECK(below.exists("data/c"));
  CHECK(disk.remove("data/b"));
  CHECK_FALSE(below.exists("data/b"));
}

}  // namespace clickmill
