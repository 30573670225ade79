#include "cluster/clearing.h"

#include <catch2/catch.hpp>

namespace clickmill::cluster {
namespace {

constexpr raft::StorageId kOwn{1}, kSecond{2}, kThird{3};
const raft::Membership kThree{
    .voters = {{"n1", kOwn}, {"n2", kSecond}, {"n3", kThird}}, .leaving = {}, .learners = {}};

Clearing::Told says(raft::StorageId who, uint64_t seen_of_us) {
  return {who, JournalPos(0), kOwn, JournalPos(seen_of_us)};
}

TEST_CASE("clearing: a start votes once enough others have seen no more of it", "[cluster]") {
  Clearing clearing(kOwn);
  clearing.claim(JournalPos(1'000));
  CHECK_FALSE(clearing.cleared_in(kThree));
  clearing.heard(says(kSecond, 900));
  CHECK(clearing.cleared_in(kThree));
  CHECK_FALSE(clearing.outdated());
}

TEST_CASE("clearing: a disk of which one has seen more never votes again", "[cluster]") {
  Clearing clearing(kOwn);
  clearing.claim(JournalPos(1'000));
  // A group that begins where the claim ends was there.
  clearing.heard(says(kSecond, 1'000));
  CHECK(clearing.outdated());
  clearing.heard(says(kThird, 900));
  CHECK_FALSE(clearing.cleared_in(kThree));
}

TEST_CASE("clearing: a first life, and an only voter, need nobody", "[cluster]") {
  Clearing first(kOwn);
  first.claim(JournalPos(0));
  CHECK(first.cleared_in(kThree));
  Clearing alone(kOwn);
  alone.claim(JournalPos(1'000));
  CHECK(alone.cleared_in({.voters = {{"n1", kOwn}}, .leaving = {}, .learners = {}}));
  // Not by one who has no vote.
  raft::Membership two = kThree;
  two.voters.pop_back();
  two.learners = {{"n3", kThird}};
  alone.heard(says(kThird, 0));
  CHECK_FALSE(alone.cleared_in(two));
}

TEST_CASE("clearing: what is said of another disk says nothing of this one", "[cluster]") {
  Clearing clearing(kOwn);
  clearing.claim(JournalPos(1'000));
  clearing.heard({kSecond, JournalPos(0), raft::StorageId(99), JournalPos(5'000)});
  CHECK_FALSE(clearing.outdated());
  CHECK_FALSE(clearing.cleared_in(kThree));
}

TEST_CASE("clearing: the own end is told once it is cleared, and the highest is kept",
          "[cluster]") {
  Clearing own(kOwn);
  Clearing other(kSecond);
  own.claim(JournalPos(1'000));
  other.heard(own.told_to(kSecond, JournalPos(3'000)));
  CHECK(other.seen().empty());
  own.clear();
  other.heard(own.told_to(kSecond, JournalPos(3'000)));
  other.heard(own.told_to(kSecond, JournalPos(2'000)));
  CHECK(other.seen() == Clearing::Seen{{kOwn, JournalPos(3'000)}});
  CHECK(other.told_to(kOwn, JournalPos(0)).seen == JournalPos(3'000));
  CHECK(other.told_to(kThird, JournalPos(0)).seen == JournalPos(0));
}

TEST_CASE("clearing: its files survive their bytes, and nothing else is one", "[cluster]") {
  const Clearing::Seen seen{{kSecond, JournalPos(1ULL << 40)}, {kThird, JournalPos(7)}};
  const std::string bytes = encode_seen(seen);
  CHECK(*decode_seen(bytes) == seen);
  const std::string claim = encode_claim({kOwn, JournalPos(77)});
  CHECK(decode_claim(claim)->storage == kOwn);
  CHECK(decode_claim(claim)->end == JournalPos(77));
  for (size_t i = 0; i < bytes.size(); ++i) {
    CHECK_FALSE(decode_seen(bytes.substr(0, i)));
    std::string wrong = bytes;
    wrong[i] ^= 4;
    CHECK_FALSE(decode_seen(wrong));
  }
  CHECK_FALSE(decode_claim(bytes));
  CHECK_FALSE(decode_claim(""));
}

}  // namespace
}  // namespace clickmill::cluster
