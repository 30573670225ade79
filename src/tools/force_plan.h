#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/founded.h"
#include "tools/forced_epoch.h"

namespace clickmill::tools {

/// What one of several nodes has that are to go on without the others, by force.
/// `recover --force-quorum --survey` writes it, as JSON, and `--with` reads those of all.
struct Survey {
  raft::Member self;
  cluster::Founded founded;  ///< but for the seed, which is told to nobody
  std::vector<ForcedGroup> groups;
  bool restored = false;  ///< from a backup: it may have forgotten promises, and keeps none

  friend bool operator==(const Survey&, const Survey&) = default;
};
std::string to_json(const Survey& survey);
/// Errc::invalid: it is no survey, or of a newer version.
Result<Survey> survey_of(const std::string& json);

/// The logs of a node that was restored, or has forgotten something and begun anew, name a disk of
/// before: what that had, this one has, but for its promises. A disk that was emptied has nothing
/// of it. Says whether there is such a group.
bool take_former_disks(std::vector<ForcedGroup>& groups, const raft::Member& self,
                       const std::vector<raft::StorageId>& former);

/// What becomes of the groups of a cluster when the surveyed nodes go on without the others: the
/// same on each of them, as it follows from the surveys alone.
///
/// A group of which a majority of voters is left goes on as it is, and loses nothing. Another one
/// goes on from the copy with the newest log, whose disk becomes its only voter, and what else is
/// left of it learns anew from that: a log of a later term, or a longer one of the same, holds all
/// that the others know to be committed. One that nobody has a copy of begins empty, if at all.
/// Copies of a backup make no majority; the log of one that goes on does so behind all offsets
/// that may have been given away since.
struct ForcePlan {
  struct Group {
    enum class Fate : uint8_t { stays, forced, lost } fate = Fate::stays;
    std::string by;    ///< node that decides for it, unless it stays
    GroupOrder order;  ///< for that node
    LogMs newest;      ///< entry of the copy
    Offset uncertain;  ///< so many of its last ones may not have been committed
    /// Whose log holds more, but has no state to go on from; empty: nobody's.
    std::string longer;
    Offset given_up;  ///< so many entries it has behind the copy
  };
  cluster::Epoch epoch;  ///< drawn from the surveys: other ones make another epoch
  std::vector<Group> groups;
  std::vector<std::string> survivors;  ///< sorted
  std::vector<std::string> gone;       ///< members that no survey is of; sorted

  std::vector<uint32_t> of(Group::Fate fate) const;
  /// What a survivor has to do.
  std::vector<std::optional<GroupOrder>> orders_of(const std::string& node) const;
};
/// Errc::invalid says why the surveys don't go together.
Result<ForcePlan> plan_force(std::vector<Survey> surveys);

}  // namespace clickmill::tools
