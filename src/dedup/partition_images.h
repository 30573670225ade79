#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/result.h"
#include "base/strong.h"
#include "dedup/id_table.h"
#include "dedup/table_image.h"
#include "state/slot.h"
#include "state/store.h"

namespace clickmill::dedup {

/// When one partition's table goes to an image, and which image is its last.
///
/// An image begins at a committed checkpoint, which is what it covers. What is
/// filed while its shards are copied is in some of them, and is read from the
/// state store again: a second slot for a few ids. It is named by the first
/// checkpoint after it is durable; its predecessor is removed when that is
/// committed. So at every instant the record names a whole file, or none.
/// Thread: worker.
class PartitionImages {
 public:
  /// `images` may be null: then nothing is read or written.
  PartitionImages(state::Slot slot, TableImages* images) : slot_(slot), images_(images) {}

  /// Reads the record, and removes what it doesn't name.
  Status load(state::Store& store);
  /// Replaces `table` by the image's and answers what that covers; leaves it
  /// empty if there is none that can be used.
  std::optional<ImageCover> read(int64_t hours_per_band, int64_t forgotten_before,
                                 std::optional<IdTable>& table);
  /// So many ids went to the table that the last image has not.
  void filed(uint64_t ids) { new_ids_ += ids; }
  void maintain(const IdTable& table, int64_t newest_band);
  /// The table is about to be another one, or its newest band is another: no
  /// image before the next checkpoint.
  void give_up();
  /// Sequences of the state store that the last image speaks of are below it.
  uint32_t sequence_end() const { return named_ ? named_->cover.sequence : 0; }
  /// `cover`: what the table holds at this checkpoint.
  void checkpoint(state::Batch& batch, const ImageCover& cover);
  void checkpoint_committed();
  void checkpoint_failed();
  uint64_t written() const { return written_; }

 private:
  void begin(const IdTable& table);

  const state::Slot slot_;
  TableImages* const images_;
  std::optional<ImageRecord> named_;      // by the last committed checkpoint
  std::optional<ImageRecord> in_flight_;  // by one that is not yet committed
  std::optional<ImageRecord> durable_;    // to be named by the next
  std::unique_ptr<ImageWriter> writer_;
  std::optional<ImageCover> in_flight_cover_;
  std::optional<ImageCover> cover_;  // of the last committed checkpoint
  uint64_t new_ids_ = 0;
  uint64_t new_ids_at_begin_ = 0;
  uint64_t next_number_ = 1;
  uint64_t written_ = 0;
};

}  // namespace clickmill::dedup
