#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/strong.h"
#include "state/slot.h"
#include "state/store.h"
#include "store/part_meta.h"
#include "stream/horizon.h"
#include "stream/review.h"
#include "stream/settings.h"

namespace clickmill::stream {

/// What became of the clicks read from the log; each ends in exactly one.
/// received = counted + duplicate + all reviews; resent is apart.
struct Tally {
  uint64_t received = 0;
  uint64_t counted = 0;
  uint64_t duplicate = 0;
  uint64_t resent = 0;
  std::array<uint64_t, kReasons> review{};  ///< by Reason
  // What an operator decided later; the verdicts above stay as they were first.
  uint64_t accepted = 0;
  uint64_t rejected = 0;
  uint64_t review_total() const;
  friend bool operator==(const Tally&, const Tally&) = default;
};

struct Digest {
  Offset offset;
  uint64_t value = 0;
  friend bool operator==(const Digest&, const Digest&) = default;
};

/// The record that names a partition's state at one offset (invariant 5). Ids,
/// head rows and review entries stand beside it in the same atomic batch.
struct Checkpoint {
  Offset applied;
  Settings settings;
  Horizon horizon;
  Tally tally;
  uint64_t running_digest = 0;
  Digest digest;  ///< at the last multiple of 4,096 offsets
  uint64_t next_part = 1;
  std::vector<store::PartMeta> parts;
};
void put_checkpoint(state::Slot slot, const Checkpoint& checkpoint, state::Batch& batch);
/// Empty for a partition that has none yet.
Result<std::optional<Checkpoint>> read_checkpoint(state::Slot slot, state::View& store);
/// The key of the record in the meta space, and what stands under it.
std::string checkpoint_key(state::Slot slot);
std::string encode_checkpoint(const Checkpoint& checkpoint);
Result<Checkpoint> decode_checkpoint(std::string_view bytes);

}  // namespace clickmill::stream
