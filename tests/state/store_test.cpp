#include "state/store.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/temporary_directory.h"
#include "state/memory_store.h"

namespace clickmill::state {
namespace {

/// Either implementation, which can be closed and opened again.
class Fixture {
 public:
  explicit Fixture(bool rocks) : rocks_(rocks) { reopen(); }
  Store& store() { return *store_; }
  void reopen() {
    if (!rocks_) {
      auto next = std::make_unique<MemoryStore>();
      if (store_) next->restore(static_cast<MemoryStore&>(*store_).snapshot());
      store_ = std::move(next);
      return;
    }
    store_.reset();
    auto opened = open_rocks_store(directory_.path(), 8 << 20);
    if (!opened) FAIL(opened.error().text());
    store_ = std::move(*opened);
  }
  void put(const Space& space, const std::string& key, const std::string& value) {
    Batch batch;
    batch.put(space, key, value);
    commit(batch);
  }
  void commit(const Batch& batch) {
    const auto done = store_->commit(batch, false);
    if (!done) FAIL(done.error().text());
  }
  std::string get(const Space& space, const std::string& key) {
    auto value = store_->get(space, key);
    if (!value) FAIL(value.error().text());
    return value->value_or("nothing");
  }
  std::string keys(const Space& space, const std::string& from, const std::string& to) {
    std::string keys;
    const auto done = store_->scan(space, from, to, [&](std::string_view key, std::string_view) {
      keys.append(key).push_back(' ');
      return true;
    });
    if (!done) FAIL(done.error().text());
    return keys;
  }
  bool has(const Space& space) {
    const auto spaces = store_->spaces();
    return std::find(spaces.begin(), spaces.end(), space) != spaces.end();
  }

 private:
  bool rocks_;
  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
};

using Model = std::map<Space, std::map<std::string, std::string>>;

std::string random_key(Random& random) {
  return std::string(1 + random.below(2), static_cast<char>('a' + random.below(12)));
}

Batch random_batch(Random& random, Model& model) {
  Batch batch;
  for (uint64_t i = random.below(8); i > 0; --i) {
    const Space space =
        random.one_in(3) ? kMetaSpace : ids_space(LogHour(static_cast<int64_t>(random.below(3))));
    auto key = random_key(random);
    auto& keys = model[space];
    const auto kind = random.below(6);
    if (kind == 0) {
      auto end = random_key(random);
      if (key < end) keys.erase(keys.lower_bound(key), keys.lower_bound(end));
      batch.remove_range(space, key, end);
    } else if (kind == 1) {
      keys.erase(key);
      batch.remove(space, key);
    } else {
      auto value = std::to_string(random.below(1'000));
      keys[key] = value;
      batch.put(space, key, value);
    }
  }
  return batch;
}

Model read_all(Store& store) {
  Model all;
  for (const auto& space : store.spaces()) {
    const auto done = store.scan(space, "", "~", [&](std::string_view key, std::string_view value) {
      all[space].emplace(key, value);
      return true;
    });
    if (!done) FAIL(done.error().text());
  }
  return all;
}

void drop_empty(Model& model) {
  std::erase_if(model, [](const auto& space) { return space.second.empty(); });
}

}  // namespace

TEST_CASE("state store: a batch reaches all its spaces", "[state]") {
  Fixture fixture(GENERATE(false, true));
  Batch batch;
  batch.put(kMetaSpace, "a", "1");
  batch.put(kRowsSpace, "a", "2");
  batch.put(ids_space(LogHour(-3)), "b", std::string("\0x", 2));
  fixture.commit(batch);
  CHECK(fixture.get(kMetaSpace, "a") == "1");
  CHECK(fixture.get(kRowsSpace, "a") == "2");
  CHECK(fixture.get(ids_space(LogHour(-3)), "b") == std::string("\0x", 2));
  CHECK(fixture.get(kMetaSpace, "b") == "nothing");
  CHECK(fixture.get(kReviewSpace, "a") == "nothing");
  CHECK(fixture.has(ids_space(LogHour(-3))));
  CHECK_FALSE(fixture.has(kReviewSpace));
  CHECK(ids_space(LogHour(-3)).name == "ids--3");
}

TEST_CASE("state store: operations of a batch apply in their order", "[state]") {
  Fixture fixture(GENERATE(false, true));
  fixture.put(kMetaSpace, "b", "old");
  Batch batch;
  batch.put(kMetaSpace, "a", "1");
  batch.remove_range(kMetaSpace, "a", "c");
  batch.put(kMetaSpace, "b", "new");
  batch.put(kMetaSpace, "c", "3");
  batch.remove(kMetaSpace, "c");
  batch.remove_range(kMetaSpace, "z", "b");  // an empty range removes nothing
  fixture.commit(batch);
  CHECK(fixture.get(kMetaSpace, "a") == "nothing");
  CHECK(fixture.get(kMetaSpace, "b") == "new");
  CHECK(fixture.get(kMetaSpace, "c") == "nothing");
}

TEST_CASE("state store: multi_get answers in the order asked, gaps and repeats included",
          "[state]") {
  Fixture fixture(GENERATE(false, true));
  fixture.put(kRowsSpace, "a", "1");
  fixture.put(kRowsSpace, "c", "");
  using Values = std::vector<std::optional<std::string>>;
  auto values = fixture.store().multi_get(kRowsSpace, {"c", "b", "a", "c"});
  REQUIRE(values);
  CHECK(*values == Values{"", std::nullopt, "1", ""});
  auto none = fixture.store().multi_get(kReviewSpace, {"a", "b"});
  REQUIRE(none);
  CHECK(*none == Values(2));
  auto empty = fixture.store().multi_get(kRowsSpace, {});
  REQUIRE(empty);
  CHECK(empty->empty());
}

TEST_CASE("state store: a scan takes its start, leaves its end and can stop", "[state]") {
  Fixture fixture(GENERATE(false, true));
  for (const char* key : {"c", "a", "b", "\xff", "aa"}) fixture.put(kMetaSpace, key, "");
  CHECK(fixture.keys(kMetaSpace, "a", "c") == "a aa b ");
  CHECK(fixture.keys(kMetaSpace, "", "\xff\xff") == "a aa b c \xff ");
  CHECK(fixture.keys(kMetaSpace, "c", "a") == "");
  CHECK(fixture.keys(kMetaSpace, "c", "c") == "");
  CHECK(fixture.keys(kRowsSpace, "", "\xff") == "");
  int visited = 0;
  REQUIRE(fixture.store().scan(kMetaSpace, "", "z",
                               [&](std::string_view, std::string_view) { return ++visited < 2; }));
  CHECK(visited == 2);
}

TEST_CASE("state store: a visitor may read and commit", "[state]") {
  Fixture fixture(GENERATE(false, true));
  fixture.put(kMetaSpace, "a", "1");
  std::string seen;
  REQUIRE(fixture.store().scan(kMetaSpace, "", "z", [&](std::string_view key, std::string_view) {
    seen += fixture.get(kMetaSpace, std::string(key));
    fixture.put(kMetaSpace, "b", "2");
    return true;
  }));
  CHECK(seen == "1");
}

TEST_CASE("state store: a dropped space is empty, gone after reopening, and can come again",
          "[state]") {
  Fixture fixture(GENERATE(false, true));
  fixture.put(ids_space(LogHour(5)), "a", "1");
  fixture.put(ids_space(LogHour(6)), "a", "2");
  REQUIRE(fixture.store().drop_space(ids_space(LogHour(5))));
  REQUIRE(fixture.store().drop_space(ids_space(LogHour(7))));
  CHECK(fixture.get(ids_space(LogHour(5)), "a") == "nothing");
  fixture.reopen();
  CHECK_FALSE(fixture.has(ids_space(LogHour(5))));
  CHECK(fixture.get(ids_space(LogHour(6)), "a") == "2");
  fixture.put(ids_space(LogHour(5)), "b", "3");
  CHECK(fixture.keys(ids_space(LogHour(5)), "", "z") == "b ");
}

TEST_CASE("state store: many spaces survive reopening", "[state]") {
  Fixture fixture(GENERATE(false, true));
  Batch batch;
  for (int64_t hour = 0; hour < 30; ++hour)
    batch.put(ids_space(LogHour(hour)), "k", std::to_string(hour));
  fixture.commit(batch);
  fixture.reopen();
  CHECK(fixture.store().spaces().size() == 30);
  for (int64_t hour = 0; hour < 30; ++hour) {
    CHECK(fixture.get(ids_space(LogHour(hour)), "k") == std::to_string(hour));
  }
  CHECK(fixture.store().memory_bytes() < (64u << 20));
}

TEST_CASE("state store: blocks that were read and what is yet to be written share one bound",
          "[state][memory]") {
  constexpr uint64_t kMost = 24 << 20;
  const TemporaryDirectory directory;
  auto store = open_rocks_store(directory.path(), kMost);
  REQUIRE(store);
  Random random(1);
  // 96 MB of what doesn't shrink, over several spaces, read again meanwhile.
  for (uint64_t i = 0; i < 96; ++i) {
    Batch batch;
    for (uint64_t k = 0; k < 1000; ++k) {
      std::string value(1000, '\0');
      for (size_t at = 0; at < value.size(); at += 8) {
        const uint64_t bytes = random.next();
        std::memcpy(value.data() + at, &bytes, 8);
      }
      batch.put(ids_space(LogHour(static_cast<int64_t>(k % 6))), std::to_string(i * 1000 + k),
                std::move(value));
    }
    REQUIRE((*store)->commit(batch, false));
    if (i % 8 != 7) continue;
    for (int64_t hour = 0; hour < 6; ++hour) {
      REQUIRE((*store)->scan(ids_space(LogHour(hour)), "", "~",
                             [](std::string_view, std::string_view) { return true; }));
    }
    // What is being written to the disk goes once that is done.
    const auto begun = std::chrono::steady_clock::now();
    while ((*store)->memory_bytes() > kMost + kMost / 8) {
      REQUIRE(std::chrono::steady_clock::now() - begun < std::chrono::seconds(60));
      std::this_thread::yield();
    }
  }
}

TEST_CASE("state store: random batches, drops and reopenings agree with a map of maps", "[state]") {
  const bool rocks = GENERATE(false, true);
  for (uint64_t seed = 1; seed <= (rocks ? 6 : 100); ++seed) {
    CAPTURE(seed, rocks);
    Fixture fixture(rocks);
    Model model;
    Random random(seed);
    for (int step = 0; step < 60; ++step) {
      fixture.commit(random_batch(random, model));
      if (random.one_in(20)) {
        model.erase(ids_space(LogHour(1)));
        REQUIRE(fixture.store().drop_space(ids_space(LogHour(1))));
      }
      if (random.one_in(rocks ? 25 : 10)) fixture.reopen();
      if (!random.one_in(6)) continue;
      drop_empty(model);
      if (read_all(fixture.store()) != model) FAIL("differs at step " << step);
    }
  }
}

TEST_CASE("state store: threads may commit, read and make spaces at once", "[state]") {
  Fixture fixture(GENERATE(false, true));
  std::vector<std::thread> threads;
  std::vector<int> failures(4);
  for (size_t thread = 0; thread < failures.size(); ++thread) {
    threads.emplace_back([&, thread] {
      for (int64_t i = 0; i < 40; ++i) {
        Batch batch;
        const auto key = std::to_string(thread);
        batch.put(ids_space(LogHour(i / 10)), key, std::to_string(i));
        if (!fixture.store().commit(batch, false)) ++failures[thread];
        auto value = fixture.store().get(ids_space(LogHour(i / 10)), key);
        if (!value || *value != std::to_string(i)) ++failures[thread];
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(failures == std::vector<int>(4));
  CHECK(fixture.store().spaces().size() == 4);
}

TEST_CASE("state store: damaged files are an error at open or at the read, never nothing",
          "[state]") {
  TemporaryDirectory directory;
  std::vector<std::string> keys;
  {
    auto store = open_rocks_store(directory.path(), 1 << 20);
    REQUIRE(store);
    Random random(1);
    for (int i = 0; i < 1'200; ++i) {
      Batch batch;
      std::string value;
      while (value.size() < 10'000) value += std::to_string(random.next());
      keys.push_back(std::to_string(i));
      batch.put(kRowsSpace, keys.back(), value);
      REQUIRE((*store)->commit(batch, false));
    }
  }
  // Recovery writes what stood in the write-ahead log to table files.
  REQUIRE(open_rocks_store(directory.path(), 1 << 20));
  int damaged = 0;
  for (const auto& file : std::filesystem::directory_iterator(directory.path())) {
    if (file.path().extension() != ".sst") continue;
    std::fstream bytes(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(5'000);
    bytes.write("damage", 6);
    ++damaged;
  }
  REQUIRE(damaged > 0);
  auto store = open_rocks_store(directory.path(), 1 << 20);
  if (!store) {
    CHECK(store.error().code() == Errc::corrupt);
    return;
  }
  int errors = 0;
  int nothing = 0;
  for (const auto& key : keys) {
    auto value = (*store)->get(kRowsSpace, key);
    if (!value) ++errors;
    if (value && !*value) ++nothing;
  }
  CHECK(errors > 0);
  CHECK(nothing == 0);
  const auto scanned = (*store)->scan(kRowsSpace, "", "~", [](auto, auto) { return true; });
  REQUIRE_FALSE(scanned);
  CHECK(scanned.error().code() == Errc::corrupt);
}

TEST_CASE("state store: a directory that does not exist or is in use is refused", "[state]") {
  TemporaryDirectory directory;
  CHECK_FALSE(open_rocks_store(directory.path() + "/no/such", 1 << 20));
  auto first = open_rocks_store(directory.path(), 1 << 20);
  REQUIRE(first);
  CHECK_FALSE(open_rocks_store(directory.path(), 1 << 20));
}

TEST_CASE("memory state store: a crash keeps what was synced, and fails when told to", "[state]") {
  MemoryStore store;
  const auto put = [&](const char* key, bool sync) {
    Batch batch;
    batch.put(kMetaSpace, key, key);
    return store.commit(batch, sync);
  };
  REQUIRE(put("a", false));
  REQUIRE(put("b", true));
  REQUIRE(put("c", false));
  store.crash();
  CHECK(*store.get(kMetaSpace, "a") == "a");
  CHECK(*store.get(kMetaSpace, "b") == "b");
  CHECK_FALSE((*store.get(kMetaSpace, "c")).has_value());
  store.set_fail([](MemoryStore::Call call) -> std::optional<Error> {
    if (call != MemoryStore::Call::commit) return {};
    return Error(Errc::no_space, "disk full");
  });
  CHECK(put("d", true).error().code() == Errc::no_space);
  CHECK_FALSE((*store.get(kMetaSpace, "d")).has_value());
  store.set_fail({});
  CHECK(put("d", true));
}

}  // namespace clickmill::state
