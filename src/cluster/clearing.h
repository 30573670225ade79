#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/strong.h"
#include "raft/membership.h"

namespace clickmill::cluster {

/// Whether this disk remembers all that it promised: an old image of it (a snapshot put back, a
/// copy of a folder) doesn't, and nothing on it shows that.
///
/// Each node tells the others, about once a second, up to where its journal is durable, and they
/// keep the highest of each disk. A start claims the end that it has recovered, and neither votes,
/// acknowledges nor leads in a group before enough of its other voters have said that they have
/// seen no more to make a majority with this one. A disk of which one has seen more must come back
/// under a new id.
/// What is claimed is the end of the oldest start that was not cleared since: an image that runs
/// by itself for a while writes an end of its own, above what the others saw.
/// Not noticed: an image that is younger than the last telling.
/// Thread: any; the mutex guards all.
class Clearing {
 public:
  explicit Clearing(raft::StorageId own) : own_(own) {}

  /// Before anything is told. 0: this disk has no past.
  void claim(JournalPos end);
  /// Highest positions of disks, as a file keeps them.
  using Seen = std::map<raft::StorageId, JournalPos>;
  void restore(const Seen& seen);
  Seen seen() const;

  /// What a node is told.
  struct Told {
    raft::StorageId storage;  ///< of who tells
    JournalPos durable;       ///< its journal is, up to there; 0: it doesn't say
    raft::StorageId of;       ///< the receiver's disk, as far as the sender knows it
    JournalPos seen;          ///< the highest that it said
    friend bool operator==(const Told&, const Told&) = default;
  };
  /// `durable`: of the own journal, since the start.
  Told told_to(raft::StorageId receiver, JournalPos durable) const;
  void heard(const Told& told);

  /// Among these voters nobody can be missed who knows better.
  bool cleared_in(const raft::Membership& members) const;
  /// All groups are: from here on the own end is told. No file may claim an older one any more,
  /// not even after a power loss: a start that did would find itself an old image.
  void clear() { cleared_ = true; }
  bool cleared() const { return cleared_; }
  /// Somebody has seen more of this disk than it has.
  bool outdated() const { return outdated_; }

 private:
  const raft::StorageId own_;
  mutable std::mutex mutex_;
  JournalPos claimed_;
  Seen seen_;
  std::set<raft::StorageId> answered_;  ///< disks whose nodes have seen no more of this one
  std::atomic<bool> cleared_{false};
  std::atomic<bool> outdated_{false};
};

/// Formats: top of clearing.cpp. Errc::corrupt for anything that no encode() gave.
std::string encode_seen(const Clearing::Seen& seen);
Result<Clearing::Seen> decode_seen(std::string_view bytes);
/// What a disk claimed at a start and is not cleared of.
struct Claim {
  raft::StorageId storage;
  JournalPos end;
};
std::string encode_claim(const Claim& claim);
Result<Claim> decode_claim(std::string_view bytes);

}  // namespace clickmill::cluster
