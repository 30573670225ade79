#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "base/hard_links.h"
#include "base/temporary_directory.h"
#include "state/memory_store.h"
#include "state/store.h"

namespace clickmill::state {
namespace {

constexpr uint64_t kCacheBytes = 1 << 20;

void put(Store& store, const std::string& space, const std::string& key, const std::string& value) {
  Batch batch;
  batch.put({space}, key, value);
  REQUIRE(store.commit(batch, true));
}

std::string value_of(Store& store, const std::string& space, const std::string& key) {
  return store.get({space}, key).value().value_or("none");
}

/// A folder made of what a freeze said.
void copy(const std::vector<FrozenFile>& frozen, const std::string& from, const std::string& to) {
  PosixFileSystem files;
  REQUIRE(files.create_directories(to));
  for (const FrozenFile& file : frozen) {
    const std::string bytes = read_file(files, from + "/" + file.name).value();
    REQUIRE(bytes.size() >= file.bytes);
    if (file.immutable) CHECK(bytes.size() == file.bytes);
    REQUIRE(write_file_atomically(files, to + "/" + file.name, bytes.substr(0, file.bytes)));
  }
}

TEST_CASE("state store: what is frozen stays, whatever the store does afterwards", "[state]") {
  const TemporaryDirectory directory;
  PosixFileSystem files;
  const std::string home = directory.path() + "/state";
  const std::string frozen_in = directory.path() + "/frozen";
  const std::string copied_to = directory.path() + "/copy";
  REQUIRE(files.create_directories(home));
  REQUIRE(files.create_directories(frozen_in));
  std::shared_ptr<Store> store = open_rocks_store(home, kCacheBytes).value();
  put(*store, "meta", "a", "1");
  put(*store, "ids-7", "id", "of the hour");
  // Opened again it has table files, and a log behind them.
  store.reset();
  store = open_rocks_store(home, kCacheBytes).value();
  put(*store, "meta", "a", "2");
  put(*store, "rows", "r", "not in a table yet");

  const auto frozen = store->freeze_files(frozen_in).value();
  put(*store, "meta", "a", "3");
  put(*store, "later", "l", "a space that was made later");
  REQUIRE(store->drop_space({"ids-7"}));
  store.reset();
  store = open_rocks_store(home, kCacheBytes).value();
  store.reset();

  copy(frozen, frozen_in, copied_to);
  const std::shared_ptr<Store> read = open_rocks_store_read_only(copied_to, kCacheBytes).value();
  CHECK(value_of(*read, "meta", "a") == "2");
  CHECK(value_of(*read, "rows", "r") == "not in a table yet");
  CHECK(value_of(*read, "ids-7", "id") == "of the hour");
  CHECK(value_of(*read, "later", "l") == "none");
  const std::shared_ptr<Store> again = open_rocks_store(copied_to, kCacheBytes).value();
  CHECK(value_of(*again, "rows", "r") == "not in a table yet");
}

TEST_CASE("state store: what never changes is told apart and shared", "[state]") {
  const TemporaryDirectory directory;
  PosixFileSystem files;
  const std::string home = directory.path() + "/state";
  REQUIRE(files.create_directories(home));
  std::shared_ptr<Store> store = open_rocks_store(home, kCacheBytes).value();
  put(*store, "meta", "a", "1");
  store.reset();
  store = open_rocks_store(home, kCacheBytes).value();
  size_t shared = 0;
  for (const char* name : {"/one", "/other"}) {
    const std::string into = directory.path() + name;
    REQUIRE(files.create_directories(into));
    const auto frozen = store->freeze_files(into).value();
    for (const FrozenFile& file : frozen) {
      CHECK(file.immutable == file.name.ends_with(".sst"));
      if (!file.immutable) continue;
      CHECK(has_other_names(into + "/" + file.name));
      ++shared;
    }
  }
  CHECK(shared >= 2);
  // A folder that isn't there.
  CHECK_FALSE(store->freeze_files(directory.path() + "/none"));
  put(*store, "meta", "b", "2");
  CHECK(value_of(*store, "meta", "b") == "2");
}

TEST_CASE("state store: memory has no files to freeze", "[state]") {
  MemoryStore store;
  CHECK_FALSE(store.freeze_files("anywhere"));
}

}  // namespace
}  // namespace clickmill::state
