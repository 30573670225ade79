#include "state/overlay.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "state/memory_store.h"

namespace clickmill::state {
namespace {

const Space kSpace{"letters"};
using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs pairs_in(const Overlay& overlay, std::string_view from, std::string_view to,
               size_t most = SIZE_MAX) {
  Pairs pairs;
  REQUIRE(overlay.scan(from, to, [&](std::string_view key, std::string_view value) {
    pairs.emplace_back(key, value);
    return pairs.size() < most;
  }));
  return pairs;
}

TEST_CASE("overlay: what is written shows at once, and reaches the store with the checkpoint",
          "[state]") {
  MemoryStore store;
  Overlay overlay(store, kSpace);
  overlay.put("a", "1");
  overlay.put("b", "2");
  CHECK(pairs_in(overlay, "a", "z") == Pairs{{"a", "1"}, {"b", "2"}});
  CHECK(store.snapshot().empty());
  Batch batch;
  overlay.checkpoint(batch);
  // These two belong to the next checkpoint.
  overlay.put("a", "3");
  overlay.remove("b");
  REQUIRE(store.commit(batch, true));
  overlay.checkpoint_committed();
  CHECK(pairs_in(Overlay(store, kSpace), "a", "z") == Pairs{{"a", "1"}, {"b", "2"}});
  CHECK(pairs_in(overlay, "a", "z") == Pairs{{"a", "3"}});
  CHECK(overlay.pending() == 2);
  Batch next;
  overlay.checkpoint(next);
  REQUIRE(store.commit(next, true));
  overlay.checkpoint_committed();
  CHECK(overlay.pending() == 0);
  CHECK(pairs_in(overlay, "a", "z") == Pairs{{"a", "3"}});
}

TEST_CASE("overlay: reads equal a map's over random writes and checkpoints", "[state]") {
  const auto seed = GENERATE(range(1, 21));
  CAPTURE(seed);
  Random random(static_cast<uint64_t>(seed));
  MemoryStore store;
  Overlay overlay(store, kSpace);
  std::map<std::string, std::string> model;
  const auto key = [&] { return "k" + std::to_string(10 + random.below(60)); };
  Batch batch;
  bool in_flight = false;
  for (int step = 0; step < 400; ++step) {
    const auto dice = random.below(12);
    const std::string at = key();
    if (dice < 5) {
      model[at] = std::to_string(step);
      overlay.put(at, std::to_string(step));
    } else if (dice < 8) {
      model.erase(at);
      overlay.remove(at);
    } else if (dice < 9 && !in_flight) {
      batch = {};
      overlay.checkpoint(batch);
      in_flight = true;
    } else if (dice < 10 && in_flight) {
      REQUIRE(store.commit(batch, true));
      overlay.checkpoint_committed();
      in_flight = false;
    } else if (dice < 11) {
      const auto limit = 1 + random.below(10);
      Pairs want(model.lower_bound(at), model.end());
      want.resize(std::min<size_t>(want.size(), limit));
      CHECK(pairs_in(overlay, at, "l", limit) == want);
      Pairs range(model.lower_bound("k20"), model.lower_bound("k40"));
      CHECK(pairs_in(overlay, "k20", "k40") == range);
    } else {
      const std::vector<std::string> keys{at, key(), key()};
      std::vector<std::optional<std::string>> want;
      for (const auto& each : keys) {
        want.push_back(model.count(each) != 0 ? std::optional(model[each]) : std::nullopt);
      }
      const auto values = overlay.get_all(keys);
      REQUIRE(values);
      CHECK(*values == want);
      const auto value = overlay.get(at);
      REQUIRE(value);
      CHECK(*value == want[0]);
    }
  }
}

}  // namespace
}  // namespace clickmill::state
