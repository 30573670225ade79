#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/file_system.h"
#include "state/slots.h"
#include "stream/arriving_state.h"
#include "stream/pipeline.h"

namespace clickmill::stream {

/// Opens the stream of one partition, and begins it anew when what it has stored is
/// damaged: under a fresh slot, filled from the log beside the old one, which stays
/// untouched until finish(). A damaged partition is nobody else's trouble.
///
/// Where the log no longer reaches back to its first offset, a damaged part is kept in
/// the list and answers nothing but its damage; damage of the state itself makes the
/// partition lost: that is remembered, and what there is stays as it is.
/// A state of another node can take the place of what there is, whole or lost: it arrives in a
/// fresh slot too, and counts from take_arrived() on, or from the start after its log was set to
/// go on behind it.
/// Borrows store and files. Thread: one at a time, the owner's.
class Rebuilder {
 public:
  Rebuilder(PartitionId partition, state::Store& store, FileSystem& files,
            Pipeline::Options options);

  /// The stream as it was left, or begun anew. `log_first`: the first offset that the
  /// log still has; `sealed`: up to where it is sealed. When the partition is lost, a stand-in
  /// that nothing may be asked of.
  Result<std::unique_ptr<Pipeline>> open(Offset log_first, Offset sealed = Offset(0));
  /// The same after damage was met that open() need not meet. No other stream of the
  /// partition may be open.
  Result<std::unique_ptr<Pipeline>> rebuild(const Error& why, Offset log_first);
  /// The stream has caught up with the log: it takes the place of the old one.
  Status finish();
  /// Errors: ArrivingState's. Thread: any, as of what it gives.
  Result<std::unique_ptr<ArrivingState>> begin_arrival(StateHead head) const;
  /// What has arrived, whole, is the partition's state, and opened. May be called again after an
  /// error. Thread: any one, and no other slot is begun meanwhile.
  Result<std::unique_ptr<Pipeline>> take_arrived(Offset log_first) const;
  /// That is the owner's now.
  void arrived() {
    lost_.reset();
    rebuilding_ = false;
  }

  /// The partition is not wanted here any more: nothing of it stays, and it is lost until another
  /// node's state arrives. May be called again after an error; threads as take_arrived().
  Result<std::unique_ptr<Pipeline>> give_away(const std::string& why) const;
  /// That is the owner's now.
  void gave_away(const std::string& why) {
    lost_ = Error(Errc::corrupt, why);
    rebuilding_ = false;
  }

  bool rebuilding() const { return rebuilding_; }
  /// Why the partition can't be used, nor be rebuilt.
  const std::optional<Error>& lost() const { return lost_; }
  /// An empty stream, which reads and writes nothing.
  std::unique_ptr<Pipeline> stand_in() const;

 private:
  Result<std::unique_ptr<Pipeline>> open_slot(state::Slot slot, bool damaged_parts) const;
  Result<std::unique_ptr<Pipeline>> open_whole(Offset log_first, Offset sealed);
  Result<state::Standing> settle_arrival(state::Standing standing, Offset sealed) const;
  Status take_over() const;
  std::unique_ptr<Pipeline> give_up(std::string why);
  void clean_up(state::Slot slot) const;

  const PartitionId partition_;
  state::Store& store_;
  FileSystem& files_;
  const Pipeline::Options options_;
  bool rebuilding_ = false;
  std::optional<Error> lost_;
};

}  // namespace clickmill::stream
