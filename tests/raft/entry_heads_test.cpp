#include "raft/entry_heads.h"

#include <catch2/catch.hpp>

#include "base/random.h"

namespace clickmill::raft {
namespace {

/// One by one.
const EntryHead* holding(const std::deque<EntryHead>& heads, Offset offset) {
  for (const EntryHead& head : heads) {
    if (head.first <= offset && offset <= head.last()) return &head;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("entry heads: the one that holds an offset is found, however many each takes", "[raft]") {
  const uint64_t seed = GENERATE(range(0, 20));
  CAPTURE(seed);
  Random random(seed);
  EntryHeads heads(Offset(100), Term(1));
  std::deque<EntryHead> all;
  for (int step = 0; step < 60; ++step) {
    if (random.below(8) == 0 && !all.empty()) {
      heads.truncate_from(all.back().first);
      all.pop_back();
    } else if (random.below(8) == 0 && !all.empty()) {
      heads.drop_upto(all.front().last());
      all.pop_front();
    } else {
      EntryHead head;
      head.first = heads.last() + 1;
      // Mostly one, as a busy cluster has them, or all that a batch may hold.
      head.count = random.below(4) != 0 ? 1 : static_cast<uint32_t>(1 + random.below(50));
      head.term = Term(2);
      heads.append(head);
      all.push_back(head);
    }
    for (uint64_t at = 95; at <= heads.last().value() + 5; ++at) {
      const EntryHead* const wanted = holding(all, Offset(at));
      const EntryHead* const found = heads.holding(Offset(at));
      if ((found == nullptr) != (wanted == nullptr) ||
          (found != nullptr && found->first != wanted->first))
        FAIL("offset " << at);
    }
  }
}

}  // namespace clickmill::raft
