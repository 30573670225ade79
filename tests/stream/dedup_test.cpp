#include "stream/dedup.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "stream/memory_state_store.h"

namespace clickmill::stream {
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

/// One partition's dedup over a store that can crash, with the log since the
/// last committed checkpoint.
class Fixture {
 public:
  explicit Fixture(int64_t dedup_hours, StateStore& store) : store_(store) {
    checkpointed_.dedup_hours = current_.dedup_hours = dedup_hours;
    open();
  }
  void open() {
    dedup_.reset();
    auto opened = Dedup::open(kPartition, store_, {checkpointed_.dedup_hours},
                              checkpointed_.first_hour);
    REQUIRE(opened);
    dedup_ = std::move(*opened);
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
      dedup_->forget_before(step.hours);
      current_.first_hour = step.hours;
    } else {
      dedup_->set_dedup_hours(step.hours);
      current_.dedup_hours = step.hours;
    }
  }

  StateStore& store_;
  std::unique_ptr<Dedup> dedup_;
  Settings checkpointed_;  // what the committed checkpoint says
  Settings in_flight_;
  Settings current_;
  std::optional<StateBatch> batch_;
  size_t in_flight_steps_ = 0;
  std::deque<Step> log_;
};

/// A random history in log time: ids that come back soon, late and very late.
class History {
 public:
  explicit History(uint64_t seed) : random_(seed) {
    append_ms_ = static_cast<int64_t>(400'000 * kHourMs + random_.below(kHourMs));
    pool_ = 1 + random_.below(2'000);
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
    std::vector<Identity> batch(random_.below(12));
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
    const int64_t ahead = random_.one_in(50) ? static_cast<int64_t>(random_.below(40 * kHourMs)) : 0;
    return ArrivalMs(append_ms_ - static_cast<int64_t>(age) + ahead);
  }
  Random random_;
  int64_t append_ms_;
  uint64_t pool_;
};

void run_history(uint64_t seed, uint64_t checkpoint_one_in, std::vector<uint8_t>* verdicts) {
  MemoryStateStore store;
  History history(seed);
  Random other(seed + checkpoint_one_in);
  Fixture fixture(24, store);
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
    if (other.one_in(15)) {
      store.crash();
      if (!fixture.crash_and_replay()) FAIL("a replay gave other verdicts");
    }
    const auto append_ms = history.next_append();
    const auto batch = history.next_batch();
    const auto got = fixture.classify(append_ms, batch);
    if (got != model.classify(append_ms, batch)) FAIL("wrong verdict at step " << step);
    verdicts->insert(verdicts->end(), got.begin(), got.end());
  }
}

}  // namespace

TEST_CASE("dedup: random histories give the model's verdicts, wherever checkpoints and crashes are",
          "[stream]") {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    std::vector<uint8_t> often;
    std::vector<uint8_t> seldom;
    run_history(seed, 3, &often);
    run_history(seed, 40, &seldom);
    if (often != seldom) FAIL("verdicts depend on the checkpoints");
  }
}

}  // namespace clickmill::stream
