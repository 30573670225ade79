#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "state/store.h"
#include "store/shelf.h"
#include "stream/shelf_plan.h"

namespace clickmill::stream {

/// A plan being carried out: parts of several partitions are written once more, into files
/// that they share from then on.
///
/// What is written counts for a partition once it has taken its share (Parts::take_shelved) and
/// its checkpoint says so; each does that by itself, or not. A crash before leaves files that
/// nobody's checkpoint names, or not everybody's.
/// Thread: one at a time, any.
class ShelfWork {
 public:
  struct Share {
    PartitionId id;
    state::Slot slot;
    std::shared_ptr<const store::PartList> parts;  ///< null: nothing is done to them
    store::PartList written;                       ///< after finish()
    std::optional<Error> damage;                   ///< why there is nothing written
  };
  /// `files` and `shelf` are borrowed and outlive it.
  ShelfWork(ShelfPlan plan, FileSystem& files, std::string directory, store::Shelf& shelf);
  ~ShelfWork();
  ShelfWork(const ShelfWork&) = delete;
  ShelfWork& operator=(const ShelfWork&) = delete;

  std::vector<Share>& shares() { return shares_; }
  /// Whether every share has had its turn.
  bool written() const { return next_ == shares_.size(); }
  /// The next share. That one is damaged is no error, and not the others' trouble; after an
  /// error nothing will come of it all, and the files go with it.
  Status write_next();
  /// Makes the files durable. From then on each share's slot needs what was written of it,
  /// until it is released.
  Status finish();
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }

 private:
  struct Target {
    store::ShelfName name;
    std::unique_ptr<store::ShelfWriter> writer;  // null: no row has come for it yet
  };
  Status write(Share& share, std::vector<store::PartMeta>& metas);
  Result<store::ShelfWriter*> writer_of(Target& target);
  Status finish_files();
  Status open_written();

  FileSystem& disk_;
  const std::string directory_;
  store::Shelf& shelf_;
  const std::vector<ShelfPlan::Piece> pieces_;
  std::vector<Share> shares_;
  std::vector<std::vector<store::PartMeta>> metas_;  // of each share
  std::vector<Target> targets_;
  size_t next_ = 0;
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
  bool finished_ = false;
};

/// At the start: the partition's checkpoints need what they name. One that can't be read may
/// need anything.
void hold_named(PartitionId partition, state::View& store, store::Shelf& shelf);

}  // namespace clickmill::stream
