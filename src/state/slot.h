#pragma once

#include <cstdint>

#include "base/strong.h"

namespace clickmill::state {

/// The number that a partition's state is filed under: its keys, part files and table
/// images begin with it. A partition's first slot has the partition's own number. What
/// is rebuilt gets the next one, so that it can stand beside what was until it is whole.
class Slot {
 public:
  // Implicit: a partition that was never rebuilt is its own slot.
  Slot(PartitionId partition) : value_(partition.value()) {}
  static Slot of_number(uint32_t value) { return Slot(PartitionId(value)); }

  uint32_t value() const { return value_; }
  PartitionId partition() const { return PartitionId(value_ % kStep); }
  Slot next() const { return of_number(value_ + kStep); }
  auto operator<=>(const Slot&) const = default;

 private:
  static constexpr uint32_t kStep = 1 << 16;  // more than there are partitions
  uint32_t value_;
};

}  // namespace clickmill::state
