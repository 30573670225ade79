#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/strong.h"

namespace clickmill::raft {

/// One life of a data directory. A node that may have forgotten a promise (damage, a wiped
/// disk, an old image) comes back under a new one; 0 is none.
using StorageId = Strong<struct StorageTag, uint64_t>;

/// Who votes and acknowledges: the storage, not the node, since it is the disk that remembers.
struct Member {
  std::string node;
  StorageId storage;
  friend bool operator==(const Member&, const Member&) = default;
};

/// The members of one group. It counts from the moment that its entry is appended, and is
/// taken back with that entry (Raft dissertation, 4.1 and 4.3).
struct Membership {
  std::vector<Member> voters;
  std::vector<Member> leaving;   ///< the old voters, while two sets decide together
  std::vector<Member> learners;  ///< get everything, decide nothing

  bool joint() const { return !leaving.empty(); }
  /// Of either set.
  bool is_voter(StorageId storage) const;
  bool contains(StorageId storage) const;
  /// Each once, voters first.
  std::vector<Member> all() const;
  /// Calls it with each of them in that order, without a copy; it must not change them.
  template <typename Do>
  void each(const Do& act) const {
    for (const Member& member : voters) act(member);
    for (const Member& member : leaving) {
      if (!holds(voters, member.storage)) act(member);
    }
    for (const Member& member : learners) {
      if (!is_voter(member.storage)) act(member);
    }
  }
  /// The first of all() that has this storage; null: none.
  const Member* find(StorageId storage) const;
  friend bool operator==(const Membership&, const Membership&) = default;

 private:
  static bool holds(const std::vector<Member>& members, StorageId storage);
};

/// Every count of heads goes through these three, so that only they know of two sets.

/// True when a majority of each set satisfies `does`.
bool has_quorum(const Membership& membership, const std::function<bool(StorageId)>& does);

enum class Outcome : uint8_t { open, won, lost };
/// Of a vote: `answer` is what a voter said, or nothing yet.
Outcome outcome_of(const Membership& membership,
                   const std::function<std::optional<bool>(StorageId)>& answer);

/// The highest offset that a majority of each set has reached.
Offset agreed_offset(const Membership& membership, const std::function<Offset(StorageId)>& reached);

}  // namespace clickmill::raft
