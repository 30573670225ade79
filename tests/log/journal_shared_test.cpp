// What a backup shares of a journal's files is not written over by their next life.
#include <catch2/catch.hpp>
#include <deque>
#include <string>

#include "base/file_system.h"
#include "base/hard_links.h"
#include "base/temporary_directory.h"
#include "log/journal_files.h"
#include "log/journal_reader.h"

namespace clickmill::log {
namespace {

constexpr uint64_t kFile = 64 << 10;

TEST_CASE("journal files: one that has another name is not recycled", "[log]") {
  const TemporaryDirectory directory;
  PosixFileSystem disk;
  JournalFiles files(disk, directory.path(), kFile);
  REQUIRE(files.adopt(7, {}));
  REQUIRE(files.advance(JournalPos(0)));
  const uint64_t first = files.current_number();
  REQUIRE(files.file().write_at(kJournalAlign, "clicks"));
  const std::string shared = directory.path() + "/of a backup";
  REQUIRE(add_name(directory.path() + "/" + journal_file_name(first), shared));
  const std::string before = read_file(disk, shared).value();

  for (int i = 0; i < 6; ++i) {
    REQUIRE(files.advance(JournalPos(files.current_begin() + kJournalAlign)));
    REQUIRE(files.file().write_at(kJournalAlign, "others"));
    files.release_before(files.current_begin());
  }
  CHECK(read_file(disk, shared).value() == before);
  CHECK_FALSE(has_other_names(shared));
  CHECK(files.count() == 1);
}

}  // namespace
}  // namespace clickmill::log
