// A table file of the state rots: whoever reads the bytes is told, and nobody else feels it.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/pipe_as_stderr.h"
#include "base/random.h"
#include "base/temporary_directory.h"
#include "state/store.h"

namespace clickmill::state {
namespace {

std::unique_ptr<Store> open(const std::string& directory) {
  auto store = open_rocks_store(directory, 1 << 20);
  if (!store) FAIL(store.error().text());
  return *std::move(store);
}

void put(Store& store, const Space& space, const std::string& key, const std::string& value) {
  Batch batch;
  batch.put(space, key, value);
  if (auto done = store.commit(batch, true); !done) FAIL(done.error().text());
}

/// Rows of this round under keys that every round has.
void fill(Store& store, uint64_t round) {
  Random random(round);
  for (int i = 0; i < 400; ++i) {
    std::string value;
    while (value.size() < 2'000) value += std::to_string(random.next());
    put(store, kRowsSpace, std::to_string(1'000 + i), value);
  }
}

void damage_tables(const std::string& directory) {
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    if (file.path().extension() != ".sst" || file.file_size() < 100'000) continue;
    std::fstream bytes(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(static_cast<std::streamoff>(file.file_size() / 2));
    bytes.write("damage", 6);
  }
}

}  // namespace

TEST_CASE("state store: a damaged table fails its own readers, and all writes go on", "[state]") {
  TemporaryDirectory directory;
  fill(*open(directory.path()), 1);
  // What stood in the write-ahead log is a table file after this.
  open(directory.path());
  damage_tables(directory.path());
  auto store = open(directory.path());
  const PipeAsStderr log;
  fill(*store, 2);
  REQUIRE(store->settle_space(kRowsSpace));
  // The compaction of both rounds has met the damage.
  log.read_until("the space is not compacted any more");
  put(*store, kMetaSpace, "another", "partition's");
  CHECK(store->get(kMetaSpace, "another").value() == "partition's");
  put(*store, kRowsSpace, "1001", "written over");
  CHECK(store->get(kRowsSpace, "1001").value() == "written over");
  CHECK(store->maintain());
  fill(*store, 3);
  REQUIRE(store->settle_space(kRowsSpace));
  put(*store, kMetaSpace, "another", "again");
  store.reset();
  CHECK(open(directory.path())->get(kMetaSpace, "another").value() == "again");
}

}  // namespace clickmill::state
