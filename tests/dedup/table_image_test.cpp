#include "dedup/table_image.h"

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "dedup/dedup.h"
#include "simulation/sim_file_system.h"
#include "state/memory_store.h"

namespace clickmill::dedup {
namespace {

constexpr int64_t kHour = 400'000;
constexpr PartitionId kPartition{3};

Hash128 id_of(uint64_t n, uint64_t seed) {
  Random random(n ^ seed << 32);
  return {random.next(), random.next()};
}

/// A partition whose ids are numbered as they are filed.
class Fixture {
 public:
  explicit Fixture(PartitionId partition = kPartition, uint64_t seed = 0)
      : partition_(partition), seed_(seed) {
    options.directory = "ids";
    options.due_ids_min = 100;
    REQUIRE(files.create_directories("ids"));
    open();
  }
  void open(int64_t dedup_hours = 24) {
    dedup_.reset();
    images_.emplace(files, options);
    dedup_ = Dedup::open(partition_, store, {dedup_hours, &*images_}, LogHour(0));
    REQUIRE(dedup_->load());
  }
  /// New ids, in the hours that follow each other.
  void file(uint64_t ids, int64_t hour) {
    for (uint64_t i = 0; i < ids; ++i) CHECK(classify(++filed_, hour) == 0);
  }
  bool checkpoint() {
    state::Batch batch;
    if (!dedup_->checkpoint(batch) || !store.commit(batch, true)) return false;
    dedup_->checkpoint_committed();
    return true;
  }
  void maintain(int times = 40) {
    for (int i = 0; i < times; ++i) dedup_->maintain();
  }
  /// How many of the ids filed are not known, and how many others are.
  uint64_t wrong(int64_t hour) {
    uint64_t wrong = 0;
    for (uint64_t n = 1; n <= filed_; ++n) wrong += classify(n, hour) == 1 ? 0 : 1;
    for (uint64_t n = 1; n <= 200; ++n) wrong += classify(n + 1'000'000, hour) == 0 ? 0 : 1;
    return wrong;
  }
  /// 1,000 ids in three hours in an image that a checkpoint names, 60 after it.
  void with_image() {
    file(400, kHour);
    file(600, kHour + 2);
    REQUIRE(checkpoint());
    maintain();
    file(50, kHour + 2);
    REQUIRE(checkpoint());
    file(10, kHour + 3);
    REQUIRE(checkpoint());
    REQUIRE(dedup_->usage().images == 1);
    REQUIRE(names().size() == 1);
  }
  std::vector<std::string> names() { return *files.list("ids"); }
  std::string path() { return "ids/" + names().at(0); }
  void write(const std::string& name, const std::string& bytes) {
    REQUIRE(write_file_atomically(files, name, bytes));
  }
  uint64_t read_ids() const { return dedup_->usage().read_ids; }
  Dedup& dedup() { return *dedup_; }

  simulation::SimFileSystem files{1};
  state::MemoryStore store;
  TableImages::Options options;

 private:
  uint8_t classify(uint64_t n, int64_t hour) {
    const std::vector<Identity> batch{{id_of(n, seed_), ArrivalMs(hour * kHourMs)}};
    std::vector<uint8_t> verdict(1, 2);
    const auto done = dedup_->classify(LogMs(hour * kHourMs), batch, verdict);
    if (!done) FAIL(done.error().text());
    return verdict[0];
  }
  const PartitionId partition_;
  const uint64_t seed_;
  std::optional<TableImages> images_;
  std::unique_ptr<Dedup> dedup_;
  uint64_t filed_ = 0;
};

}  // namespace

TEST_CASE("table image: a start reads the image and the ids since", "[dedup]") {
  Fixture fixture;
  fixture.with_image();
  fixture.open();
  CHECK(fixture.read_ids() == 60);
  CHECK(fixture.wrong(kHour + 3) == 0);
}

TEST_CASE("table image: an image is due after its share of new ids, and replaces the last",
          "[dedup]") {
  Fixture fixture;
  fixture.with_image();
  const auto first = fixture.names();
  fixture.file(35, kHour + 3);
  REQUIRE(fixture.checkpoint());
  fixture.maintain();
  CHECK(fixture.names() == first);  // 95 are new
  fixture.file(5, kHour + 3);
  REQUIRE(fixture.checkpoint());
  fixture.maintain();
  CHECK(fixture.names().size() == 2);
  REQUIRE(fixture.checkpoint());
  CHECK(fixture.names().size() == 1);
  CHECK(fixture.names() != first);
  fixture.open();
  CHECK(fixture.read_ids() == 0);
  CHECK(fixture.wrong(kHour + 3) == 0);
}

TEST_CASE("table image: what is filed while it is written is not lost", "[dedup]") {
  Fixture fixture;
  fixture.file(1'000, kHour);
  REQUIRE(fixture.checkpoint());
  for (int i = 0; i < 40; ++i) {
    fixture.maintain(1);
    fixture.file(3, kHour);
    if (i % 10 == 5) REQUIRE(fixture.checkpoint());
  }
  REQUIRE(fixture.checkpoint());
  REQUIRE(fixture.dedup().usage().images == 1);
  fixture.open();
  CHECK(fixture.read_ids() == 120);
  CHECK(fixture.wrong(kHour) == 0);
}

TEST_CASE("table image: one that a new band overtakes is given up and comes later", "[dedup]") {
  Fixture fixture;
  fixture.file(1'000, kHour);
  REQUIRE(fixture.checkpoint());
  fixture.maintain(10);
  fixture.file(1, kHour + 1);
  fixture.maintain();
  CHECK(fixture.names().empty());
  REQUIRE(fixture.checkpoint());
  fixture.maintain();
  REQUIRE(fixture.checkpoint());
  fixture.open();
  CHECK(fixture.read_ids() == 0);
  CHECK(fixture.wrong(kHour + 1) == 0);
}

TEST_CASE("table image: a file that is not the one named only costs time", "[dedup]") {
  Fixture fixture;
  fixture.with_image();
  const auto path = fixture.path();
  const auto good = *read_file(fixture.files, path);
  Random random(GENERATE(range(1, 20)));
  SECTION("missing") { REQUIRE(fixture.files.remove(path)); }
  SECTION("torn") { fixture.write(path, good.substr(0, random.below(good.size()))); }
  SECTION("torn, of full length") {
    auto torn = good;
    torn.replace(random.below(good.size()), good.size(), "");
    torn.resize(good.size());
    if (torn == good) return;
    fixture.write(path, torn);
  }
  SECTION("longer") { fixture.write(path, good + "x"); }
  SECTION("a flipped bit") { fixture.files.flip_bit(path, random.below(good.size())); }
  SECTION("of another partition") {
    Fixture other(PartitionId(4));
    other.with_image();
    fixture.write(path, *read_file(other.files, other.path()));
  }
  SECTION("of other data") {
    Fixture other(kPartition, 77);
    other.with_image();
    fixture.write(path, *read_file(other.files, other.path()));
  }
  fixture.open();
  CHECK(fixture.read_ids() == 1'060);
  CHECK(fixture.wrong(kHour + 3) == 0);
}

TEST_CASE("table image: an older one under the name of the last is not taken for it", "[dedup]") {
  Fixture fixture;
  fixture.with_image();
  const auto older = *read_file(fixture.files, fixture.path());
  fixture.file(200, kHour + 3);
  REQUIRE(fixture.checkpoint());
  fixture.maintain();
  REQUIRE(fixture.checkpoint());
  fixture.write(fixture.path(), older);
  fixture.open();
  CHECK(fixture.read_ids() == 1'260);
  CHECK(fixture.wrong(kHour + 3) == 0);
}

TEST_CASE("table image: a damaged record is like none", "[dedup]") {
  Fixture fixture;
  fixture.with_image();
  state::Batch batch;
  std::string key;
  append_key_u32(key, kPartition.value());
  key += "ids-image";
  auto value = **fixture.store.get(state::kMetaSpace, key);
  value[GENERATE(0, 1, 20, 40, 52)] ^= 4;
  batch.put(state::kMetaSpace, key, value);
  REQUIRE(fixture.store.commit(batch, true));
  fixture.open();
  CHECK(fixture.read_ids() == 1'060);
  CHECK(fixture.names().empty());
  CHECK(fixture.wrong(kHour + 3) == 0);
}

TEST_CASE("table image: bands of other lengths are not read", "[dedup]") {
  Fixture fixture;
  fixture.with_image();
  fixture.open(100);
  CHECK(fixture.read_ids() == 1'060);
  CHECK(fixture.wrong(kHour + 3) == 0);
}

TEST_CASE("table image: a changed dedup_hours ends the image that is being written", "[dedup]") {
  Fixture fixture;
  fixture.file(1'000, kHour);
  REQUIRE(fixture.checkpoint());
  fixture.maintain(10);
  fixture.dedup().set_dedup_hours(100);
  CHECK(fixture.names().empty());
  fixture.file(1, kHour);
  fixture.maintain();
  CHECK(fixture.names().empty());  // no checkpoint has said yet what the new table holds
  REQUIRE(fixture.checkpoint());
  fixture.maintain();
  REQUIRE(fixture.checkpoint());
  fixture.open(100);
  CHECK(fixture.read_ids() == 0);
  CHECK(fixture.wrong(kHour) == 0);
}

TEST_CASE("table image: a crash at any operation leaves a whole image or none", "[dedup]") {
  uint64_t with = 0;
  uint64_t without = 0;
  for (uint64_t operation = 1;; ++operation) {
    CAPTURE(operation);
    Fixture fixture;
    fixture.with_image();
    fixture.file(300, kHour + 3);
    REQUIRE(fixture.checkpoint());
    const uint64_t before = fixture.files.operations();
    fixture.files.crash_at_operation(operation);
    fixture.maintain();
    REQUIRE(fixture.checkpoint());
    const bool over = fixture.files.operations() < before + operation;
    fixture.files.crash_at_operation(0);
    fixture.files.crash();
    fixture.files.restart();
    fixture.open();
    CHECK(fixture.wrong(kHour + 3) == 0);
    CHECK(fixture.names().size() <= 1);
    // The last one, or the one before it; never all one by one.
    ++(fixture.read_ids() == 0 ? with : without);
    CHECK((fixture.read_ids() == 0 || fixture.read_ids() == 360));
    if (over) break;
  }
  CHECK(with > 0);
  CHECK(without > 30);
}

TEST_CASE("table image: a disk that fails or a busy background only puts it off", "[dedup]") {
  Fixture fixture;
  int refused = 0;
  fixture.options.in_background = [&](const std::function<void()>& task) {
    if (++refused % 3 != 0) return false;
    task();
    return true;
  };
  fixture.open();
  fixture.file(1'000, kHour);
  REQUIRE(fixture.checkpoint());
  SECTION("a write fails") { fixture.files.fail_write_after(5); }
  SECTION("the sync fails") { fixture.files.fail_sync_after(1); }
  SECTION("nothing fails") {}
  fixture.maintain(200);
  // After a failure the next waits for as many ids as any.
  if (fixture.names().empty()) {
    fixture.file(100, kHour);
    REQUIRE(fixture.checkpoint());
    fixture.maintain(200);
  }
  REQUIRE(fixture.checkpoint());
  CHECK(fixture.dedup().usage().images == 1);
  fixture.open();
  CHECK(fixture.read_ids() == 0);
  CHECK(fixture.wrong(kHour) == 0);
}

TEST_CASE("table image: one at a time is written", "[dedup]") {
  simulation::SimFileSystem files(1);
  REQUIRE(files.create_directories("ids"));
  std::vector<std::function<void()>> tasks;
  TableImages::Options options{"ids", {}, 1, 24};
  options.in_background = [&](std::function<void()> task) {
    tasks.push_back(std::move(task));
    return true;
  };
  TableImages images(files, options);
  auto first = images.begin(PartitionId(1), 1, {});
  REQUIRE(first);
  CHECK_FALSE(images.begin(PartitionId(2), 1, {}));
  first->step(IdTable(0));
  CHECK(first->busy());
  first.reset();
  CHECK_FALSE(images.begin(PartitionId(2), 1, {}));  // its last write is still on the way
  for (const auto& task : tasks) task();
  tasks.clear();
  CHECK(files.list("ids")->empty());
  CHECK(images.begin(PartitionId(2), 1, {}));
}

}  // namespace clickmill::dedup
