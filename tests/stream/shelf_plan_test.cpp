#include "stream/shelf_plan.h"

#include <catch2/catch.hpp>
#include <limits>
#include <set>

#include "base/random.h"
#include "store/shelf.h"

namespace clickmill::stream {
namespace {

constexpr int64_t kAlways = std::numeric_limits<int64_t>::min();
constexpr int64_t kEver = std::numeric_limits<int64_t>::max();
constexpr int64_t kJune24 = 1'782'259'200'000;  // 2026-06-24
constexpr int64_t kJune1 = kJune24 - 23 * kDayMs;
constexpr int64_t kMay1 = kJune1 - 31 * kDayMs;

/// A plan looks at what is told of parts alone.
std::shared_ptr<const store::Part> part(const std::string& name, int64_t min_ms, int64_t max_ms,
                                        uint64_t rows = 100, uint64_t bytes = 1'000,
                                        uint64_t position = 0) {
  return store::Part::damaged(
      {name, store::Table::minute, min_ms, max_ms, rows, bytes, 1, position},
      Error(Errc::corrupt, "there is no such file"));
}
std::string shelf_name(uint64_t number, int64_t period_ms, bool closed, uint32_t level = 0) {
  return store::ShelfName{number, store::Table::minute, period_ms, closed, level}.text();
}

/// Minute parts of some partitions on 24 June.
class Views {
 public:
  void add(uint32_t partition, std::shared_ptr<const store::Part> part) {
    while (views.size() <= partition) {
      const PartitionId id(static_cast<uint32_t>(views.size()));
      views.push_back({id, id, LogMs(kJune24), {}});
    }
    views[partition].parts[0].push_back(std::move(part));
  }
  std::optional<ShelfPlan> plan() const { return plan_shelving(views, rules); }
  ShelfRules rules;
  std::vector<ShelfView> views;
};

/// Whatever is done, every row has one place to go.
void check_whole(const ShelfPlan& plan) {
  int64_t upto = kAlways;
  for (const auto& piece : plan.pieces) {
    CHECK(piece.range.from_ms == upto);
    CHECK(piece.range.to_ms > piece.range.from_ms);
    CHECK(piece.file < plan.files.size());
    upto = piece.range.to_ms;
  }
  CHECK(upto == kEver);
}

size_t parts_in(const ShelfPlan& plan) {
  size_t parts = 0;
  for (const auto& share : plan.shares) parts += share.parts->size();
  return parts;
}

TEST_CASE("shelf: a period is a calendar's, and a quarter of what is kept at most", "[stream]") {
  CHECK(period_begin(Period::month, kJune24) == kJune1);
  CHECK(period_end(Period::month, kMay1) == kJune1);
  CHECK(period_begin(Period::day, kJune24 + 5) == kJune24);
  CHECK(period_end(Period::day, kJune24 + 5) == kJune24 + kDayMs);
  // 2028 is a leap year: 29 February is in February, and its year has 366 days.
  constexpr int64_t kFebruary29 = 1'835'395'200'000;
  CHECK(period_begin(Period::month, kFebruary29) == kFebruary29 - 28 * kDayMs);
  CHECK(period_end(Period::month, kFebruary29) == kFebruary29 + kDayMs);
  CHECK(period_end(Period::year, kFebruary29) - period_begin(Period::year, kFebruary29) ==
        366 * kDayMs);
  CHECK(period_begin(Period::month, -1) == -31 * kDayMs);

  using Periods = std::array<Period, store::kTables>;
  CHECK(ShelfRules::of_days({1826, 1826, 1826}).periods ==
        Periods{Period::month, Period::year, Period::year});
  CHECK(ShelfRules::of_days({124, 1464, 1463}).periods ==
        Periods{Period::month, Period::year, Period::month});
  CHECK(ShelfRules::of_days({123, 7, 1}).periods == Periods{Period::day, Period::day, Period::day});
}

TEST_CASE("shelf: loose parts go together once there are many", "[stream]") {
  Views views;
  for (uint32_t i = 0; i < 127; ++i)
    views.add(i % 64, part("p" + std::to_string(i), kJune24 - kHourMs, kJune24));
  CHECK_FALSE(views.plan());
  views.add(63, part("p127", kJune24 - kHourMs, kJune24));
  const auto plan = views.plan();
  REQUIRE(plan);
  check_whole(*plan);
  CHECK(plan->shares.size() == 64);
  CHECK(parts_in(*plan) == 128);
  REQUIRE(plan->files.size() == 1);
  CHECK(plan->files[0] == store::ShelfName{0, store::Table::minute, kJune1, false, 0});
}

TEST_CASE("shelf: eight of a level become one of the next, the oldest first", "[stream]") {
  Views views;
  for (uint32_t i = 0; i < 9; ++i) {
    views.add(0, part(shelf_name(i + 1, kJune1, false, 1), kJune1, kJune24, 9, 500, 16));
    views.add(1, part(shelf_name(i + 1, kJune1, false, 1), kJune1, kJune24, 9, 500, 516));
  }
  views.add(0, part(shelf_name(99, kJune1, false, 0), kJune1, kJune24, 9, 500, 16));
  SECTION("all that fit") {
    const auto plan = views.plan();
    REQUIRE(plan);
    check_whole(*plan);
    CHECK(parts_in(*plan) == 16);
    CHECK(plan->files[0].level == 2);
    for (const auto& share : plan->shares) {
      for (const auto& part : *share.parts)
        CHECK(store::ShelfName::parse(part->meta().name)->number < 9);
    }
  }
  SECTION("as many as come to the size") {
    views.rules.bytes_most = 5'500;
    CHECK(parts_in(*views.plan()) == 10);
  }
  SECTION("a large one stays") {
    views.rules.bytes_most = 1'500;
    CHECK_FALSE(views.plan());
  }
}

TEST_CASE("shelf: when a period is over its files become one, and others get what is theirs",
          "[stream]") {
  Views views;
  const auto add = [&](uint64_t number, int64_t min_ms, int64_t max_ms, uint64_t rows) {
    views.add(0, part(shelf_name(number, kMay1, false, 3), min_ms, max_ms, rows, 500, 16));
  };
  add(1, kMay1, kJune1, 1'000'000);
  CHECK_FALSE(views.plan());  // alone it is as good as one
  add(2, kMay1 - 40 * kDayMs, kJune1 + kHourMs, 300'000);
  views.add(1, part("p1-9-minute.part", kJune1 - kHourMs, kJune1 + kHourMs, 10));
  views.add(1, part("p1-10-minute.part", kJune1 + kHourMs, kJune24, 10));
  const auto plan = views.plan();
  REQUIRE(plan);
  check_whole(*plan);
  CHECK(parts_in(*plan) == 3);
  // April had many rows, March few; June goes on.
  REQUIRE(plan->files.size() == 3);
  CHECK(plan->files[0] == store::ShelfName{0, store::Table::minute, kMay1, true, 0});
  CHECK(plan->files[1].period_ms == period_begin(Period::month, kMay1 - 1));
  CHECK(plan->files[1].closed);
  CHECK(plan->files[2] == store::ShelfName{0, store::Table::minute, kJune1, false, 3});
  CHECK(plan->pieces.front().file == 0);
  CHECK(plan->pieces.back().file == 2);
  CHECK(plan->pieces.back().range.from_ms == kJune1);
}

TEST_CASE("shelf: many old parts that came late go to their periods at once", "[stream]") {
  Views views;
  for (uint32_t i = 0; i < 16; ++i) {
    CHECK_FALSE(views.plan());
    // Loose as well, where checkpoints have flushed it together with others.
    const auto name = i % 2 == 0 ? "p" : shelf_name(i, kMay1, false, store::ShelfName::kFlushed);
    views.add(i, part(name, kMay1 - 90 * kDayMs, kMay1, 20'000));
  }
  const auto plan = views.plan();
  REQUIRE(plan);
  check_whole(*plan);
  CHECK(plan->files.back() == store::ShelfName{0, store::Table::minute, kJune1, false, 0});
  // February, March and April, the last period that is over, and the present one.
  CHECK(plan->files.size() == 5);
}

TEST_CASE("shelf: files of a period that is over are merged where the result is twice the largest",
          "[stream]") {
  Views views;
  const auto add = [&](uint64_t number, uint64_t bytes) {
    views.add(number % 2, part(shelf_name(number, kMay1, true), kMay1, kJune1 - 1, 9, bytes, 16));
  };
  add(1, 100'000);
  add(2, 5'000);
  add(3, 8'000);
  CHECK_FALSE(views.plan());
  SECTION("the small ones by themselves") {
    add(4, 6'000);
    CHECK_FALSE(views.plan());
    add(5, 7'000);
    const auto plan = views.plan();
    REQUIRE(plan);
    check_whole(*plan);
    CHECK(parts_in(*plan) == 4);
    CHECK(plan->files[0] == store::ShelfName{0, store::Table::minute, kMay1, true, 0});
  }
  SECTION("all of them") {
    add(4, 90'000);
    CHECK(parts_in(views.plan().value()) == 4);
    views.rules.bytes_most = 200'000;
    CHECK_FALSE(views.plan());
  }
}

TEST_CASE("shelf: whatever parts there are, a plan is whole, and of what there is", "[stream]") {
  Random random(3);
  for (int round = 0; round < 400; ++round) {
    CAPTURE(round);
    Views views;
    views.rules.loose_most = 1 + random.below(20);
    views.rules.late_most = 1 + random.below(5);
    views.rules.rows_apart = 1 + random.below(1'000);
    views.rules.periods[0] = static_cast<Period>(random.below(3));
    std::set<const store::Part*> known;
    for (uint64_t n = 1 + random.below(40); n > 0; --n) {
      const int64_t begin =
          random.one_in(20) ? 0 : kJune24 - static_cast<int64_t>(random.below(500)) * kDayMs / 3;
      const int64_t end = random.one_in(20)
                              ? 253'402'300'740'000
                              : begin + static_cast<int64_t>(random.below(90)) * kDayMs / 2;
      std::string name = "p";
      if (random.one_in(2)) {
        // Of this rule, or of one before it.
        const int64_t period = period_begin(static_cast<Period>(random.below(3)), begin);
        name = shelf_name(random.below(9), period, random.one_in(2), 0);
      }
      auto made = part(name, begin, end, 1 + random.below(2'000), 1 + random.below(900), 16);
      known.insert(made.get());
      views.add(static_cast<uint32_t>(random.below(4)), std::move(made));
    }
    const auto plan = views.plan();
    if (!plan) continue;
    check_whole(*plan);
    CHECK_FALSE(plan->shares.empty());
    for (const auto& share : plan->shares) {
      CHECK_FALSE(share.parts->empty());
      for (const auto& part : *share.parts) CHECK(known.count(part.get()) == 1);
    }
  }
}

}  // namespace
}  // namespace clickmill::stream
