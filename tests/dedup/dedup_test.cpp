#include "dedup/dedup.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "dedup/id_table.h"
#include "simulation/sim_file_system.h"
#include "state/memory_store.h"

namespace clickmill::dedup {
namespace {

constexpr PartitionId kPartition{7};

/// Every hour in which each id stands, and the rule of DESIGN §5 word by word.
class Model {
 public:
  std::vector<uint8_t> classify(LogMs append_ms, const std::vector<Identity>& identities) {
    std::vector<uint8_t> duplicate;
    for (const auto& [id, received] : identities) {
      const int64_t from =
          std::max(first_hour, floor_to(received.value(), kHourMs) / kHourMs - dedup_hours);
      auto& hours = hours_[id];
      const bool stands = hours.lower_bound(from) != hours.end();
      duplicate.push_back(stands ? 1 : 0);
      if (!stands) hours.emplace(floor_to(append_ms.value(), kHourMs) / kHourMs, true);
    }
    return duplicate;
  }
  int64_t first_hour = 0;
  int64_t dedup_hours = 24;

 private:
  std::map<Hash128, std::map<int64_t, bool>> hours_;
};

/// What the log holds: enough to replay it.
struct Step {
  enum class Kind : uint8_t { classify, forget, settings } kind;
  LogMs append_ms;
  std::vector<Identity> identities;
  std::vector<uint8_t> verdicts;
  int64_t hours;
};

/// One partition's dedup over a store and a disk that can crash, with the log
/// since the last committed checkpoint. Table images are written whenever there
/// is anything new.
class Fixture {
 public:
  Fixture(int64_t dedup_hours, state::Store& store, FileSystem& files)
      : store_(store), files_(files) {
    checkpointed_.dedup_hours = current_.dedup_hours = dedup_hours;
    REQUIRE(files.create_directories("ids"));
    open();
  }
  void open() {
    dedup_.reset();
    images_.emplace(files_, TableImages::Options{"ids", {}, 1, 24});
    dedup_ = Dedup::open(kPartition, store_, {checkpointed_.dedup_hours, &*images_},
                         LogHour(checkpointed_.first_hour));
    current_ = checkpointed_;
  }
  std::vector<uint8_t> classify(LogMs append_ms, const std::vector<Identity>& identities) {
    auto verdicts = run(append_ms, identities);
    log_.push_back({Step::Kind::classify, append_ms, identities, verdicts, 0});
    return verdicts;
  }
  void forget_before(int64_t hour) {
    log_.push_back({Step::Kind::forget, {}, {}, {}, hour});
    apply(log_.back());
  }
  void set_dedup_hours(int64_t hours) {
    log_.push_back({Step::Kind::settings, {}, {}, {}, hours});
    apply(log_.back());
  }
  /// With `commit_later` the batch stays in flight until commit().
  void checkpoint(bool commit_later = false) {
    if (batch_) commit();
    batch_.emplace();
    REQUIRE(dedup_->checkpoint(*batch_));
    in_flight_ = current_;
    in_flight_steps_ = log_.size();
    if (!commit_later) commit();
  }
  void commit() {
    if (!batch_) return;
    REQUIRE(store_.commit(*batch_, true));
    dedup_->checkpoint_committed();
    batch_.reset();
    checkpointed_ = in_flight_;
    log_.erase(log_.begin(), log_.begin() + static_cast<ptrdiff_t>(in_flight_steps_));
  }
  /// Opens from the last committed checkpoint and repeats the log from there.
  /// Answers whether all verdicts were the same.
  bool crash_and_replay() {
    batch_.reset();
    open();
    bool same = true;
    for (auto& step : log_) {
      if (step.kind == Step::Kind::classify) {
        same = same && run(step.append_ms, step.identities) == step.verdicts;
      } else {
        apply(step);
      }
    }
    return same;
  }
  Dedup& dedup() { return *dedup_; }

 private:
  struct Settings {
    int64_t first_hour = 0;
    int64_t dedup_hours = 24;
  };
  std::vector<uint8_t> run(LogMs append_ms, const std::vector<Identity>& identities) {
    std::vector<uint8_t> verdicts(identities.size(), 2);
    const auto done = dedup_->classify(append_ms, identities, verdicts);
    if (!done) FAIL(done.error().text());
    return verdicts;
  }
  void apply(const Step& step) {
    if (step.kind == Step::Kind::forget) {
      dedup_->forget_before(LogHour(step.hours));
      current_.first_hour = step.hours;
    } else {
      dedup_->set_dedup_hours(step.hours);
      current_.dedup_hours = step.hours;
    }
  }

  state::Store& store_;
  FileSystem& files_;
  std::optional<TableImages> images_;
  std::unique_ptr<Dedup> dedup_;
  Settings checkpointed_;  // what the committed checkpoint says
  Settings in_flight_;
  Settings current_;
  std::optional<state::Batch> batch_;
  size_t in_flight_steps_ = 0;
  std::deque<Step> log_;
};

/// A random history in log time: ids that come back soon, late and very late.
class History {
 public:
  /// `scale`: how many times as many ids as in a small one.
  History(uint64_t seed, uint64_t scale) : random_(seed), scale_(scale) {
    append_ms_ = static_cast<int64_t>(400'000 * kHourMs + random_.below(kHourMs));
    pool_ = 1 + random_.below(2'000 * scale);
  }
  LogMs next_append() {
    const uint64_t jump = random_.below(100);
    uint64_t step = random_.below(kMinuteMs);
    if (jump < 30) step = random_.below(kHourMs);
    if (jump < 6) step = random_.below(30 * kHourMs);
    if (jump < 1) step = random_.below(10 * kDayMs);
    append_ms_ += static_cast<int64_t>(step);
    return LogMs(append_ms_);
  }
  std::vector<Identity> next_batch() {
    std::vector<Identity> batch(random_.below(12 * scale_));
    for (auto& identity : batch) identity = {next_id(), next_received()};
    return batch;
  }
  int64_t hour() const { return append_ms_ / kHourMs; }
  Random& random() { return random_; }

 private:
  Hash128 next_id() {
    if (random_.one_in(2)) return {random_.next(), random_.next()};
    Random fixed(random_.below(pool_));
    return {fixed.next(), fixed.next()};
  }
  ArrivalMs next_received() {
    const uint64_t delay = random_.below(100);
    uint64_t age = random_.below(1'000);
    if (delay < 20) age = random_.below(2 * kHourMs);
    if (delay < 5) age = random_.below(60 * kHourMs);
    const int64_t ahead =
        random_.one_in(50) ? static_cast<int64_t>(random_.below(40 * kHourMs)) : 0;
    return ArrivalMs(append_ms_ - static_cast<int64_t>(age) + ahead);
  }
  Random random_;
  const uint64_t scale_;
  int64_t append_ms_;
  uint64_t pool_;
};

/// What happened, so that a test can see that it tests something.
struct Seen {
  std::vector<uint8_t> verdicts;
  uint64_t images = 0;
  uint64_t sharpened = 0;
  uint64_t damaged = 0;
};

/// Flips a bit of one image, if there is any.
void damage_image(simulation::SimFileSystem& files, Random& random, Seen& seen) {
  const auto names = files.list("ids");
  if (!names || names->empty()) return;
  const auto path = "ids/" + (*names)[random.below(names->size())];
  files.flip_bit(path, random.below(read_file(files, path)->size()));
  ++seen.damaged;
}

void run_history(uint64_t seed, uint64_t scale, uint64_t checkpoint_one_in, Seen& seen) {
  state::MemoryStore store;
  simulation::SimFileSystem files(seed);
  History history(seed, scale);
  Random other(seed + checkpoint_one_in);
  Fixture fixture(24, store, files);
  Model model;
  for (int step = 0; step < 120; ++step) {
    auto& random = history.random();
    if (random.one_in(10)) {
      const int64_t kept = static_cast<int64_t>(random.below(60));
      const int64_t first = std::max(model.first_hour, history.hour() - kept);
      model.first_hour = first;
      fixture.forget_before(first);
    }
    if (random.one_in(60)) {
      model.dedup_hours = static_cast<int64_t>(random.below(random.one_in(2) ? 30 : 200));
      fixture.set_dedup_hours(model.dedup_hours);
    }
    if (other.one_in(checkpoint_one_in)) fixture.checkpoint(other.one_in(2));
    if (other.one_in(5)) fixture.commit();
    for (uint64_t i = other.below(60); i > 0; --i) fixture.dedup().maintain();
    seen.images = std::max(seen.images, fixture.dedup().usage().images);
    seen.sharpened = std::max(seen.sharpened, fixture.dedup().usage().sharpened);
    if (other.one_in(15)) {
      if (other.one_in(6)) damage_image(files, other, seen);
      store.crash();
      files.crash();
      files.restart();
      if (!fixture.crash_and_replay()) FAIL("a replay gave other verdicts");
    }
    const auto append_ms = history.next_append();
    const auto batch = history.next_batch();
    const auto got = fixture.classify(append_ms, batch);
    if (got != model.classify(append_ms, batch)) FAIL("wrong verdict at step " << step);
    seen.verdicts.insert(seen.verdicts.end(), got.begin(), got.end());
  }
}

}  // namespace

TEST_CASE("dedup: random histories give the model's verdicts, wherever checkpoints and crashes are",
          "[dedup]") {
  uint64_t images = 0;
  uint64_t damaged = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    Seen often;
    Seen seldom;
    run_history(seed, 1, 3, often);
    run_history(seed, 1, 40, seldom);
    if (often.verdicts != seldom.verdicts) FAIL("verdicts depend on the checkpoints");
    images += often.images;
    damaged += often.damaged;
  }
  CHECK(images > 300);
  CHECK(damaged > 30);
}

TEST_CASE("dedup: verdicts stay right while the tables grow and hours go", "[dedup]") {
  uint64_t sharpened = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    CAPTURE(seed);
    Seen seen;
    run_history(seed, 150, 4, seen);
    CHECK(seen.images > 0);
    sharpened += seen.sharpened;
  }
  CHECK(sharpened >= IdTable::kShards);
}

TEST_CASE("dedup: a table that has grown sends few new ids to the store once it is sharp",
          "[dedup]") {
  state::MemoryStore store;
  const auto dedup = Dedup::open(kPartition, store, {24, nullptr}, LogHour(0));
  Random random(9);
  std::vector<Identity> batch(1'000);
  std::vector<uint8_t> verdicts(batch.size());
  int64_t now = 400'000 * kHourMs;
  const auto feed = [&](int batches) {
    const uint64_t before = dedup->usage().store_lookups;
    for (int i = 0; i < batches; ++i) {
      now += kMinuteMs;
      for (auto& identity : batch) identity = {{random.next(), random.next()}, ArrivalMs(now)};
      REQUIRE(dedup->classify(LogMs(now), batch, verdicts));
      REQUIRE(std::count(verdicts.begin(), verdicts.end(), 1) == 0);
      if (i % 20 != 0) continue;
      state::Batch checkpoint;
      REQUIRE(dedup->checkpoint(checkpoint));
      REQUIRE(store.commit(checkpoint, true));
      dedup->checkpoint_committed();
    }
    return dedup->usage().store_lookups - before;
  };
  feed(1'000);
  const uint64_t blunt = feed(50);
  for (uint64_t before = UINT64_MAX; before != dedup->usage().sharpened;) {
    before = dedup->usage().sharpened;
    for (int i = 0; i < 2'000; ++i) dedup->maintain();
  }
  const uint64_t sharp = feed(50);
  CAPTURE(blunt, sharp);
  CHECK(dedup->usage().sharpened >= IdTable::kShards);
  CHECK(sharp * 2 < blunt);
}

namespace {

/// A store that holds 300 ids, 100 in each of three hours, all of partition 7.
class StoredFixture {
 public:
  StoredFixture() {
    const auto dedup = open();
    for (int64_t hour = 0; hour < 3; ++hour) {
      std::vector<uint8_t> verdicts(100);
      REQUIRE(dedup->classify(LogMs((kHour + hour) * kHourMs), ids(hour), verdicts));
      state::Batch batch;
      REQUIRE(dedup->checkpoint(batch));
      REQUIRE(store.commit(batch, true));
      dedup->checkpoint_committed();
    }
  }
  std::unique_ptr<Dedup> open() {
    return Dedup::open(kPartition, store, {24, nullptr}, LogHour(0));
  }
  /// Of a copy of all ids: an Error or whether all are duplicates.
  static Result<bool> all_known(Dedup& dedup) {
    for (int64_t hour = 0; hour < 3; ++hour) {
      std::vector<uint8_t> verdicts(100, 2);
      TRY(dedup.classify(LogMs((kHour + 2) * kHourMs), ids(hour), verdicts));
      if (verdicts != std::vector<uint8_t>(100, 1)) return false;
    }
    return true;
  }
  static constexpr int64_t kHour = 400'000;
  state::MemoryStore store;

 private:
  static std::vector<Identity> ids(int64_t hour) {
    std::vector<Identity> ids;
    Random random(static_cast<uint64_t>(hour));
    for (int i = 0; i < 100; ++i) {
      const Hash128 id{random.next(), random.next()};
      ids.push_back({id, ArrivalMs((kHour + 2) * kHourMs)});
    }
    return ids;
  }
};

}  // namespace

TEST_CASE("dedup: a read that fails is an error, never a verdict", "[dedup]") {
  StoredFixture fixture;
  int reads = 0;
  for (int failing = 0;; ++failing) {
    CAPTURE(failing);
    reads = 0;
    fixture.store.set_fail([&](state::MemoryStore::Call) -> std::optional<Error> {
      if (reads++ != failing) return {};
      return Error(Errc::io, "state store: disk on fire");
    });
    const auto dedup = fixture.open();
    const auto known = StoredFixture::all_known(*dedup);
    if (reads <= failing) {
      REQUIRE(known);
      CHECK(*known);
      break;
    }
    REQUIRE_FALSE(known);
    CHECK(known.error().code() == Errc::io);
  }
  CHECK(reads > 300);
}

TEST_CASE("dedup: a failed read in a checkpoint is an error", "[dedup]") {
  StoredFixture fixture;
  fixture.store.set_fail([](state::MemoryStore::Call) -> std::optional<Error> {
    return Error(Errc::corrupt, "block checksum");
  });
  state::Batch batch;
  const auto done = fixture.open()->checkpoint(batch);
  REQUIRE_FALSE(done);
  CHECK(done.error().code() == Errc::corrupt);
}

TEST_CASE("dedup: entries that are not in the format are an error that names the hour", "[dedup]") {
  StoredFixture fixture;
  const std::string partition{0, 0, 0, 7};
  using Entry = std::pair<std::string, std::string>;
  const auto [key, value] = GENERATE_COPY(values<Entry>({
      {partition + std::string("\0\0\0\0\0\0", 6), std::string(16, 'x')},      // key too short
      {partition + std::string("\0\0\0\0\0\0\1\0", 8), std::string(16, 'x')},  // key too long
      {partition + std::string("\x11\0\0\0\0\0\1", 7), std::string(16, 'x')},  // 2^17 buckets
      {partition + std::string("\0\0\0\0\0\0\1", 7), std::string(15, 'x')},    // no whole id
  }));
  state::Batch batch;
  batch.put(state::ids_space(LogHour(StoredFixture::kHour + 1)), key, value);
  REQUIRE(fixture.store.commit(batch, true));
  const auto dedup = fixture.open();
  const auto known = StoredFixture::all_known(*dedup);
  REQUIRE_FALSE(known);
  CHECK(known.error().code() == Errc::corrupt);
  CHECK(known.error().message().find("ids-400001") != std::string::npos);
}

}  // namespace clickmill::dedup
