#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/file_system.h"
#include "state/slots.h"
#include "stream/pipeline.h"

namespace clickmill::stream {

/// Opens the stream of one partition, and begins it anew when what it has stored is
/// damaged: under a fresh slot, filled from the log beside the old one, which stays
/// untouched until finish(). A damaged partition is nobody else's trouble.
///
/// Where the log no longer reaches back to its first offset, a damaged part is kept in
/// the list and answers nothing but its damage; damage of the state itself makes the
/// partition lost: that is remembered, and what there is stays as it is.
/// Borrows store and files. Thread: one at a time, the owner's.
class Rebuilder {
 public:
  Rebuilder(PartitionId partition, state::Store& store, FileSystem& files,
            Pipeline::Options options);

  /// The stream as it was left, or begun anew. `log_first`: the first offset that the
  /// log still has. When the partition is lost, a stand-in that nothing may be asked of.
  Result<std::unique_ptr<Pipeline>> open(Offset log_first);
  /// The same after damage was met that open() need not meet. No other stream of the
  /// partition may be open.
  Result<std::unique_ptr<Pipeline>> rebuild(const Error& why, Offset log_first);
  /// The stream has caught up with the log: it takes the place of the old one.
  Status finish();

  bool rebuilding() const { return rebuilding_; }
  /// Why the partition can't be used, nor be rebuilt.
  const std::optional<Error>& lost() const { return lost_; }
  /// An empty stream, which reads and writes nothing.
  std::unique_ptr<Pipeline> stand_in() const;

 private:
  Result<std::unique_ptr<Pipeline>> open_slot(state::Slot slot, bool damaged_parts) const;
  Result<std::unique_ptr<Pipeline>> open_whole(Offset log_first);
  std::unique_ptr<Pipeline> give_up(std::string why);
  void remove_parts_of(state::Slot slot) const;

  const PartitionId partition_;
  state::Store& store_;
  FileSystem& files_;
  const Pipeline::Options options_;
  bool rebuilding_ = false;
  std::optional<Error> lost_;
};

}  // namespace clickmill::stream
