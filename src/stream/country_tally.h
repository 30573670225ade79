#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "click/click.h"

namespace clickmill::stream {

/// Clicks by country of one open row: 24 bytes, and no allocation for the many
/// rows that see one country only; 8 bytes a country beyond that.
class CountryTally {
 public:
  void add(click::Country country, uint64_t clicks = 1);
  /// Sorted by code, as store::Counts has them.
  std::vector<std::pair<click::Country, uint64_t>> counts() const;
  /// Appends them.
  void counts(std::vector<std::pair<click::Country, uint64_t>>& out) const;
  /// Says that it will be added to soon.
  void prefetch() const { __builtin_prefetch(many_.get(), 1); }
  /// On the heap.
  size_t memory_bytes() const { return capacity_ * sizeof(uint64_t); }

 private:
  std::span<const uint64_t> entries() const { return {many_ ? many_.get() : &one_, size_}; }
  void insert(size_t at, uint64_t entry);

  // An entry is the code above 48 bits of clicks, so entries sort by code, and
  // no row ever sees 2^48 clicks.
  uint64_t one_ = 0;
  std::unique_ptr<uint64_t[]> many_;  // holds all of them once there are two
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
};

}  // namespace clickmill::stream
