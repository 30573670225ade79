#include "base/file_system.h"

#include <catch2/catch.hpp>

#include "base/temporary_directory.h"

namespace clickmill {
namespace {

struct Fixture {
  TemporaryDirectory directory;
  PosixFileSystem files;
  std::string path(const std::string& name) const { return directory.path() + "/" + name; }
};

}  // namespace

TEST_CASE("files: are written and read at positions, and read short only at the end", "[base]") {
  Fixture on;
  auto file = on.files.open(on.path("a"), FileSystem::Open::create).value();
  REQUIRE(file->write_at(4, "5678"));
  REQUIRE(file->write_at(0, "1234"));
  REQUIRE(file->sync());
  std::string read;
  REQUIRE(file->read_at(2, 100, read));
  CHECK(read == "345678");
  REQUIRE(file->read_at(100, 10, read));
  CHECK(read.empty());
  CHECK(file->size().value() == 8);
  REQUIRE(file->truncate(3));
  CHECK(read_file(on.files, on.path("a")).value() == "123");
}

TEST_CASE("files: open modes make, need or empty a file as they say", "[base]") {
  Fixture on;
  CHECK(on.files.open(on.path("a"), FileSystem::Open::read).error().code() == Errc::not_found);
  CHECK(on.files.open(on.path("a"), FileSystem::Open::write).error().code() == Errc::not_found);
  REQUIRE(on.files.open(on.path("a"), FileSystem::Open::create).value()->write_at(0, "x"));
  CHECK_FALSE(on.files.open(on.path("a"), FileSystem::Open::create));
  CHECK(on.files.open(on.path("a"), FileSystem::Open::truncate).value()->size().value() == 0);
}

TEST_CASE("files: errors name the path and the reason", "[base]") {
  Fixture on;
  const auto error = on.files.open(on.path("none/a"), FileSystem::Open::create);
  REQUIRE_FALSE(error);
  CHECK(error.error().path() == on.path("none/a"));
  CHECK(error.error().text().find("No such file") != std::string::npos);
}

TEST_CASE("files: list, rename, remove, directories", "[base]") {
  Fixture on;
  REQUIRE(on.files.create_directories(on.path("d/e")));
  REQUIRE(on.files.create_directories(on.path("d/e")));
  REQUIRE(write_file_atomically(on.files, on.path("d/b"), "b"));
  REQUIRE(write_file_atomically(on.files, on.path("d/a"), "a"));
  REQUIRE(write_file_atomically(on.files, on.path("d/a"), "again"));
  CHECK(read_file(on.files, on.path("d/a")).value() == "again");
  const auto names = on.files.list(on.path("d")).value();
  CHECK(names == std::vector<std::string>{"a", "b", "e"});
  REQUIRE(on.files.rename(on.path("d/a"), on.path("d/b")));
  CHECK(read_file(on.files, on.path("d/b")).value() == "again");
  REQUIRE(on.files.remove(on.path("d/b")));
  CHECK_FALSE(on.files.exists(on.path("d/b")));
  CHECK(on.files.remove(on.path("d/b")).error().code() == Errc::not_found);
}

TEST_CASE("files: a lock is held once, and freed with its holder", "[base]") {
  Fixture on;
  {
    const auto lock = on.files.lock(on.path("LOCK"));
    REQUIRE(lock);
    CHECK(on.files.lock(on.path("LOCK")).error().code() == Errc::busy);
  }
  CHECK(on.files.lock(on.path("LOCK")));
}

TEST_CASE("files: the disk tells its space", "[base]") {
  Fixture on;
  const auto space = on.files.space(on.directory.path()).value();
  CHECK(space.total_bytes > 0);
  CHECK(space.free_bytes <= space.total_bytes);
}

}  // namespace clickmill
