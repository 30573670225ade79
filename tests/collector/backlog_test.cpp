#include "collector/backlog.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>

#include "base/random.h"

namespace clickmill::collector {
namespace {

using Run = Backlog::Run;

std::vector<Run> all_of(const Backlog& backlog) {
  std::vector<Run> runs;
  backlog.for_each([&](const Run& run) {
    runs.push_back(run);
    return true;
  });
  return runs;
}

TEST_CASE("backlog: equals a plain queue of runs", "[collector]") {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Backlog backlog;
    std::deque<Run> model;
    JournalPos position(4096);
    int64_t time = 1'782'295'200'000;
    for (int step = 0; step < 3000; ++step) {
      if (random.below(100) < 60) {
        if (random.one_in(2)) position = position + 4096 * (1 + random.below(300));
        time += static_cast<int64_t>(random.below(50));
        const auto back = static_cast<int64_t>(random.one_in(20) ? random.below(100'000) : 0);
        const Run run{position, ArrivalMs(time - back), 1 + static_cast<uint32_t>(random.below(3)),
                      random.one_in(2), random.one_in(5)};
        backlog.add(run);
        const auto same = std::find_if(model.begin(), model.end(), [&](const Run& one) {
          return one.position == run.position && one.copied == run.copied;
        });
        if (same == model.end()) {
          model.push_back(run);
        } else {
          same->clicks += run.clicks;
          same->oldest = std::min(same->oldest, run.oldest);
        }
      } else if (!model.empty() && (step < 1500 || random.one_in(2))) {
        backlog.pop_front();
        model.pop_front();
      }
      REQUIRE(backlog.empty() == model.empty());
      if (model.empty()) continue;
      REQUIRE(backlog.front() == model.front());
      const auto oldest =
          std::min_element(model.begin(), model.end(),
                           [](const Run& a, const Run& b) { return a.oldest < b.oldest; });
      REQUIRE(backlog.oldest() == oldest->oldest);
    }
    CHECK(all_of(backlog) == std::vector<Run>(model.begin(), model.end()));
  }
}

TEST_CASE("backlog: a long one takes a few bytes a run", "[collector]") {
  constexpr uint64_t kRuns = 100'000;
  Backlog backlog;
  for (uint64_t i = 0; i < kRuns; ++i) {
    backlog.add({JournalPos(4096 * 21 * (i + 1)),
                 ArrivalMs(1'782'295'200'000 + static_cast<int64_t>(i) * 6), 1, false, false});
  }
  CHECK(backlog.memory_bytes() < 8 * kRuns);
}

}  // namespace
}  // namespace clickmill::collector
