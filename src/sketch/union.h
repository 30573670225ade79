#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sketch/dense.h"
#include "sketch/hll.h"
#include "sketch/sparse.h"

namespace clickmill::sketch {

/// The union of many sketches, each for what its own entries cost: Hll::merge walks all that it
/// has for each one. The estimate is the one that an Hll of the same sketches gives.
/// 20 KiB, so one is used for many unions: clear() takes less than a microsecond.
/// Thread: one at a time.
class Union {
 public:
  void clear();
  void add(std::span<const Entry> entries);
  void add(const Registers& registers);
  uint64_t estimate() const;
  /// As Hll::serialize() gives it.
  std::string serialize() const;
  bool is_dense() const { return dense_ || size_ > kEntriesMax; }
  /// What it holds, of one that is not dense: sorted entries.
  void entries(std::vector<Entry>& out) const;
  const Registers& registers() const { return registers_; }

 private:
  std::array<uint64_t, (size_t{1} << kPrefixBits) / 64> prefixes_{};
  Registers registers_{};
  size_t size_ = 0;  ///< distinct prefixes
  bool dense_ = false;
};

/// A union that is still growing, beside thousands of others: entries as they come, which are
/// put in order now and then. At most 12 KiB. Thread: one at a time.
class Gathering {
 public:
  /// `scratch` is anybody's, and cleared.
  void add(const Hll& sketch, Union& scratch);
  /// Errc::corrupt for anything that Hll::serialize() can't have written; it is as it was then.
  Status add_serialized(std::string_view bytes, Union& scratch);
  void add_to(Union& all) const;

 private:
  static constexpr size_t kEntriesHeld = 2 * kEntriesMax;
  void take(std::span<const Entry> entries, Union& scratch);
  void take(const Registers& registers);
  std::vector<Entry> entries_;  ///< in any order, several of one prefix
  std::unique_ptr<Registers> dense_;
};

}  // namespace clickmill::sketch
