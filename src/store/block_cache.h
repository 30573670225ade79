#pragma once

#include <cstdint>
#include <vector>

#include "base/lru_cache.h"
#include "store/block.h"

namespace clickmill::store {

/// Columns of blocks that questions have read and decoded, for the next ones: a list of the top
/// ads reads a block of every ad, and decoding them is nearly all it does. Visitors are not
/// kept: they are large, and as quick to read again. Thread: any.
class BlockCache {
 public:
  /// Numbers as a column holds them; immutable.
  using Values = std::shared_ptr<const std::vector<uint32_t>>;
  explicit BlockCache(size_t bytes_most) : values_(bytes_most) {}
  /// What all parts of this process share.
  static BlockCache& of_process();

  /// `part`: Part::number(). Null: it isn't there.
  Values find(uint64_t part, uint32_t block, Region region) {
    return values_.find(key_of(part, block, region));
  }
  /// Null is not kept.
  void put(uint64_t part, uint32_t block, Region region, Values values);
  size_t bytes() const { return values_.bytes(); }

 private:
  using Cache = LruCache<std::vector<uint32_t>>;
  static Cache::Key key_of(uint64_t part, uint32_t block, Region region) {
    return {part, uint64_t{block} << 2 | static_cast<uint64_t>(region)};
  }
  Cache values_;
};

/// The counts of a block as they are kept, read in place.
class KeptCounts {
 public:
  KeptCounts(const BlockEntry& entry, const std::vector<uint32_t>& values)
      : rows_(entry.rows), values_(values.data()) {}
  uint32_t key(size_t row) const { return values_[row]; }
  uint32_t bucket(size_t row) const { return values_[rows_ + row]; }
  uint64_t clicks(size_t row) const { return values_[2 * rows_ + row]; }
  uint64_t device(size_t d, size_t row) const { return values_[(3 + d) * rows_ + row]; }

 private:
  const size_t rows_;
  const uint32_t* const values_;
};
/// Appends the countries of a row.
void append_kept_countries(const BlockEntry& entry, const std::vector<uint32_t>& values, size_t row,
                           std::vector<CountryCount>& out);

/// The columns of a region as values; null when a number doesn't fit.
BlockCache::Values pack_region(Region region, const BlockEntry& entry, const BlockColumns& columns);
/// The other way.
void unpack_region(Region region, const BlockEntry& entry, const std::vector<uint32_t>& values,
                   BlockColumns& columns);

}  // namespace clickmill::store
