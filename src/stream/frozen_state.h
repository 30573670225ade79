#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "state/slots.h"
#include "state/store.h"
#include "stream/state_pieces.h"

namespace clickmill::stream {

/// One partition's state as its last durable checkpoint left it, to be read piece by piece
/// while the partition goes on. It holds the disk space of what is replaced meanwhile.
/// Nothing is asked of the partition's worker: a checkpoint is one atomic batch, so a snapshot
/// of the store holds one, and the files that it names are open from then on.
/// Thread: any.
class FrozenState {
 public:
  /// Errc::busy: there is no checkpoint yet, or its parts change too fast just now. Errc::corrupt:
  /// the partition is lost, or being rebuilt.
  static Result<std::shared_ptr<FrozenState>> freeze(PartitionId partition, state::Store& store,
                                                     FileSystem& files,
                                                     const std::string& directory);
  const StateHead& head() const { return head_; }
  /// The piece that begins there: about `bytes_most`, more only with a value that is larger.
  /// Errors: the disk's, and Errc::invalid for a place that this state doesn't have.
  Result<std::string> read(const StateCursor& from, size_t bytes_most) const;

 private:
  FrozenState(state::Slot slot, std::shared_ptr<state::Frozen> view)
      : slot_(slot), view_(std::move(view)) {}
  Status open_parts(FileSystem& files, const std::string& directory);
  void name_parts();
  uint64_t key_bytes() const;
  Result<bool> add_keys(StateCursor& at, size_t bytes_most, StatePieceWriter& piece) const;
  Status add_part_bytes(StateCursor& at, size_t bytes_most, StatePieceWriter& piece) const;
  bool goes_along(const state::Space& space, std::string_view key) const;

  const state::Slot slot_;
  const std::shared_ptr<state::Frozen> view_;
  StateHead head_;
  mutable std::mutex mutex_;  ///< a file is read by one at a time; innermost
  struct Place {
    std::shared_ptr<File> file;
    uint64_t begin;
  };
  std::vector<Place> parts_;  ///< of those that the record names
};

}  // namespace clickmill::stream
