#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "state/slots.h"
#include "state/store.h"
#include "stream/state_pieces.h"

namespace clickmill::stream {

/// A state that comes from another node, into a fresh slot beside what there is. It counts once
/// the slots say so (state::take_slot); what a kill leaves half done is removed by the next
/// start, files before keys.
///
/// Pieces must come in order, each once. Errors: the disk's, and Errc::corrupt or invalid for
/// bytes that are no state; then abandon() it.
/// Thread: one at a time.
class ArrivingState {
 public:
  /// Errc::no_space: it doesn't fit. Errc::busy: what there is, is being rebuilt.
  static Result<std::unique_ptr<ArrivingState>> begin(PartitionId partition, state::Store& store,
                                                      FileSystem& files, std::string directory,
                                                      StateHead head);
  /// Of the piece that take() wants.
  const std::string& next() const { return next_; }
  Status take(std::string_view piece);
  bool complete() const { return complete_; }
  /// After the last piece: reads some of it once more, about so much; true when that was all,
  /// and it is as it came.
  Result<bool> check_some(size_t bytes_most);
  /// Then: makes it durable, and says in the slots that it is whole.
  Status finish();
  /// Leaves nothing of it.
  Status abandon();

  const StateHead& head() const { return head_; }
  Offset upto() const { return head_.record.applied; }

 private:
  ArrivingState(PartitionId partition, state::Store& store, FileSystem& files,
                std::string directory, StateHead head)
      : partition_(partition),
        store_(store),
        files_(files),
        directory_(std::move(directory)),
        head_(std::move(head)) {}
  Status take_keys(const StatePiece::Keys& keys);
  Status take_bytes(const StatePiece::PartBytes& bytes);
  Status end_part();
  std::string path_of(const std::string& name) const { return directory_ + "/" + name; }

  const PartitionId partition_;
  state::Store& store_;
  FileSystem& files_;
  const std::string directory_;
  StateHead head_;
  state::Standing standing_{PartitionId(0), std::nullopt, std::nullopt, {}};
  std::string next_;
  bool complete_ = false;
  uint64_t key_sum_ = 0;  ///< of all keys and values, in any order
  size_t part_ = 0;       ///< that is being written
  std::unique_ptr<File> file_;
  uint64_t written_ = 0;
  uint64_t checked_sum_ = 0;   ///< of what check_some() has read
  std::string checked_space_;  ///< it goes on there,
  std::string checked_key_;    ///< at this key, which lacks the slot
  bool checked_ = false;
};

/// Removes the part files of a slot: those that can't be are left to the next start.
void remove_parts_of(state::Slot slot, FileSystem& files, const std::string& directory);

}  // namespace clickmill::stream
