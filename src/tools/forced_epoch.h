#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/node_clock.h"
#include "cluster/founded.h"
#include "engine/data_dir.h"
#include "log/journal.h"
#include "raft/membership.h"
#include "state/store.h"

namespace clickmill::tools {

/// What a forced recovery, and the way back of those that it left behind, do to the groups in a
/// data directory. The node doesn't run. Thread: one.

/// One group as this disk has it.
struct ForcedGroup {
  Offset last;
  Term last_term;
  Term term;         ///< the highest that this disk has heard of
  Offset committed;  ///< for sure: sealed, or in a checkpoint
  LogMs newest;      ///< of its last entry
  raft::Membership members;
  bool usable = true;  ///< what was counted of it is here too
  friend bool operator==(const ForcedGroup&, const ForcedGroup&) = default;
};

/// What becomes of a group by force.
struct GroupOrder {
  raft::Membership members;
  Term term;  ///< of the entry that says so
  /// Not 0: nothing is left of it, and it begins empty behind this offset.
  Offset empty_at;
  /// The log goes on behind more offsets than can have been given away since its last entry.
  bool leaves_out = false;
};

struct ForcedEpoch {
  engine::DataPaths paths;
  uint32_t partitions = 0;
  raft::Member self;
  cluster::Founded founded;  ///< its voters are in force in a group whose log says nothing else
  log::Journal::Options journal{};
  state::Store* state = nullptr;  ///< borrowed; null: nothing was ever counted
};
/// What this disk has, by group: the partitions, then the ads. Writes through `files`, so give it
/// an OverlayFileSystem. Errc::corrupt: a log is damaged.
Result<std::vector<ForcedGroup>> survey_all_groups(FileSystem& files, NodeClock& clock,
                                                   const ForcedEpoch& forced);
/// Elections that the others may have held meanwhile, many times over.
inline constexpr uint64_t kTermsAhead = 1'000;
/// Makes `self` the only voter of every group, by an entry of a term far above all that the
/// others may have seen; durable when it returns. A group without any entry has no need of one:
/// its founders say who votes. What it found. Errc::corrupt: a log is damaged.
Result<std::vector<ForcedGroup>> take_all_groups(FileSystem& files, NodeClock& clock,
                                                 const ForcedEpoch& forced);
/// Does what is ordered, by group; nothing: the group stays as it is. What was done by an earlier
/// call, which was interrupted, is left.
Status take_ordered_groups(FileSystem& files, NodeClock& clock, const ForcedEpoch& forced,
                           const std::vector<std::optional<GroupOrder>>& orders);

/// Visits every click that a node which was left behind may have and the others lack: what its
/// spool holds, and its log behind `common`, which is by partition what they surely share.
/// Changes nothing over an OverlayFileSystem. Errc::corrupt: journal or log are damaged.
using VisitClick = std::function<Status(PartitionId, std::string_view record)>;
Status visit_left_clicks(FileSystem& files, NodeClock& clock, const engine::DataPaths& paths,
                         const log::Journal::Options& journal, const std::vector<Offset>& common,
                         const VisitClick& visit);

/// A journal that holds nothing but clicks of a spool, which a start sends again.
class SpoolWriter {
 public:
  static Result<SpoolWriter> open(FileSystem& files, const std::string& directory, NodeClock& clock,
                                  const log::Journal::Options& options);
  Status add(PartitionId partition, std::string_view record);
  /// All is durable.
  Status finish();
  uint64_t clicks() const { return clicks_; }

 private:
  explicit SpoolWriter(std::unique_ptr<log::Journal> journal) : journal_(std::move(journal)) {}
  std::unique_ptr<log::Journal> journal_;
  uint64_t clicks_ = 0;
};

}  // namespace clickmill::tools
