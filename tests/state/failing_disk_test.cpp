#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/logging.h"
#include "base/random.h"
#include "base/temporary_directory.h"
#include "state/store.h"

namespace clickmill::state {
namespace {

/// A state store on a disk that refuses each write after the first `writes_left`.
class Fixture {
 public:
  Fixture() { set_logging(LogLevel::off, LogFormat::text); }
  ~Fixture() { set_logging(LogLevel::info, LogFormat::text); }

  bool open() {
    store_.reset();
    Disk disk;
    disk.reserve_bytes = reserve_bytes;
    disk.retry_ms = 1;
    disk.before_write = [this](const std::string&) -> Status {
      if (writes_left.fetch_sub(1) > 0) return {};
      return Error(why, "as told");
    };
    auto opened = open_rocks_store(directory_.path(), 1 << 20, std::move(disk));
    if (opened) store_ = *std::move(opened);
    return store_ != nullptr;
  }
  void fail_after(int64_t writes) { writes_left = writes; }
  void mend() { writes_left = int64_t{1} << 60; }
  Status put(const Space& space, const std::string& key, const std::string& value) {
    Batch batch;
    batch.put(space, key, value);
    return store_->commit(batch, true);
  }
  void put_until_done(const Space& space, const std::string& key, const std::string& value) {
    while (!put(space, key, value)) std::this_thread::yield();
  }
  std::string get(const Space& space, const std::string& key) {
    auto value = store_->get(space, key);
    return value ? value->value_or("nothing") : value.error().text();
  }
  Store& store() { return *store_; }

  uint64_t reserve_bytes = 0;
  Errc why = Errc::no_space;
  std::atomic<int64_t> writes_left{int64_t{1} << 60};

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
};

}  // namespace

TEST_CASE("state store: a disk that fails refuses commits, is read, and passes by itself",
          "[state]") {
  Fixture f;
  f.why = GENERATE(Errc::no_space, Errc::io);
  REQUIRE(f.open());
  REQUIRE(f.put(kRowsSpace, "a", "1"));
  f.fail_after(0);
  const auto refused = f.put(kRowsSpace, "b", "2");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == f.why);
  CHECK(refused.error().text().find("as told") != std::string::npos);
  CHECK_FALSE(f.put(kMetaSpace, "in a space that must be made", "2"));
  CHECK_FALSE(f.store().drop_space(kRowsSpace));
  CHECK_FALSE(f.store().settle_space(kRowsSpace));
  CHECK(f.get(kRowsSpace, "a") == "1");
  f.mend();
  f.put_until_done(kRowsSpace, "b", "2");
  f.put_until_done(kMetaSpace, "c", "3");
  CHECK(f.get(kRowsSpace, "a") == "1");
  CHECK(f.get(kRowsSpace, "b") == "2");
  REQUIRE(f.open());
  CHECK(f.get(kRowsSpace, "a") == "1");
  CHECK(f.get(kRowsSpace, "b") == "2");
  CHECK(f.get(kMetaSpace, "c") == "3");
}

TEST_CASE("state store: below the reserve a commit is refused and nothing is written", "[state]") {
  Fixture f;
  REQUIRE(f.open());
  REQUIRE(f.put(kRowsSpace, "a", "1"));
  f.reserve_bytes = uint64_t{1} << 62;
  REQUIRE(f.open());
  CHECK(f.get(kRowsSpace, "a") == "1");
  const int64_t left = f.writes_left;
  const auto refused = f.put(kRowsSpace, "b", "2");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Errc::no_space);
  CHECK(f.writes_left == left);
}

TEST_CASE("state store: a start on a disk that can't be written reads what is there", "[state]") {
  Fixture f;
  const bool used_before = GENERATE(true, false);
  if (used_before) {
    REQUIRE(f.open());
    REQUIRE(f.put(kRowsSpace, "a", "1"));
  }
  // However far an open gets.
  for (int64_t writes = 0; writes < 12; ++writes) {
    INFO("after " << writes << " writes");
    f.fail_after(writes);
    REQUIRE(f.open());
    CHECK(f.get(kRowsSpace, "a") == (used_before ? "1" : "nothing"));
    CHECK_FALSE(f.put(kRowsSpace, "b", "2"));
  }
  f.mend();
  f.put_until_done(kRowsSpace, "b", "2");
  REQUIRE(f.open());
  CHECK(f.get(kRowsSpace, "a") == (used_before ? "1" : "nothing"));
  CHECK(f.get(kRowsSpace, "b") == "2");
}

TEST_CASE("state store: whichever write fails, what was committed stays and nothing is half done",
          "[state]") {
  const uint64_t seed = GENERATE(range<uint64_t>(1, 3));
  CAPTURE(seed);
  Random random(seed);
  Fixture f;
  REQUIRE(f.open());
  const std::vector<Space> spaces{kRowsSpace, kMetaSpace, ids_space(LogHour(5)),
                                  ids_space(LogHour(6))};
  constexpr auto kMayFail = "only what was committed is asked for";
  std::string committed;
  for (int round = 0; round < 12; ++round) {
    f.why = random.one_in(2) ? Errc::no_space : Errc::io;
    f.fail_after(static_cast<int64_t>(random.below(60)));
    for (int number = 0; f.writes_left > 0; ++number) {
      const std::string value = std::to_string(round) + "." + std::to_string(number);
      Batch batch;
      for (const Space& space : spaces) {
        batch.put(space, "same", value);
        batch.put(space, value, std::string(random.below(20'000), 'x'));
      }
      if (f.store().commit(batch, random.one_in(2))) committed = value;
      if (random.one_in(8)) ignore(f.store().settle_space(spaces[random.below(4)]), kMayFail);
      if (random.one_in(16)) ignore(f.store().drop_space(ids_space(LogHour(7))), kMayFail);
    }
    f.mend();
    if (random.one_in(3)) REQUIRE(f.open());
    f.put_until_done(kChangesSpace, "round", std::to_string(round));
    const std::string found = f.get(kRowsSpace, "same");
    // A commit that was told to have failed may be there, but then as a whole.
    for (const Space& space : spaces) REQUIRE(f.get(space, "same") == found);
    for (const Space& space : spaces) {
      if (found != "nothing") REQUIRE(f.get(space, found).find("nothing") == std::string::npos);
      if (!committed.empty()) REQUIRE(f.get(space, committed).find("nothing") == std::string::npos);
    }
  }
}

}  // namespace clickmill::state
