#include "base/hard_links.h"

#include <catch2/catch.hpp>
#include <string>

#include "base/file_system.h"
#include "base/temporary_directory.h"

namespace clickmill {
namespace {

TEST_CASE("hard links: what another name shares is not written over", "[base]") {
  const TemporaryDirectory directory;
  PosixFileSystem files;
  const std::string one = directory.path() + "/one";
  const std::string other = directory.path() + "/other";
  REQUIRE(write_file_atomically(files, one, "shared"));
  CHECK_FALSE(has_other_names(one));
  REQUIRE(add_name(one, other));
  CHECK(has_other_names(one));

  SECTION("by truncating it") {
    auto file = files.open(one, FileSystem::Open::truncate).value();
    REQUIRE(file->write_at(0, "own"));
    CHECK(read_file(files, one).value() == "own");
  }
  SECTION("nor after the link was broken") {
    REQUIRE(break_link(one));
    CHECK(read_file(files, one).value() == "shared");
    auto file = files.open(one, FileSystem::Open::write).value();
    REQUIRE(file->write_at(0, "own"));
  }
  CHECK_FALSE(has_other_names(one));
  CHECK(read_file(files, other).value() == "shared");
  // With one name there is nothing to break.
  CHECK(break_link(one));
  CHECK(break_link(directory.path() + "/none"));
}

TEST_CASE("hard links: a file that is gone is not found, a folder can't have two names", "[base]") {
  const TemporaryDirectory directory;
  const std::string path = directory.path();
  CHECK(add_name(path + "/none", path + "/other").error().code() == Errc::not_found);
  CHECK(add_name(path, path + "/other").error().code() == Errc::invalid);
  CHECK(on_one_disk(path, path));
  CHECK_FALSE(on_one_disk(path, "/proc"));
  CHECK_FALSE(on_one_disk(path, path + "/none"));
}

}  // namespace
}  // namespace clickmill
