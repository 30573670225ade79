#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/countries.h"
#include "store/row.h"
#include "store/scan.h"

namespace clickmill::store {

/// The column groups of a block, each with its own section of the file and its
/// own checksums, so that a scan reads only what it asks for.
enum class Region : uint8_t { counts = 0, estimates = 1, countries = 2, visitors = 3 };
inline constexpr size_t kRegions = 4;
/// No block has more rows: bounds what a reader allocates.
inline constexpr size_t kBlockRowsMax = 256;

/// What the directory says of a block. Buckets are numbers of the table's
/// bucket length since 1970; keys are indexes into the KeyDictionary.
struct BlockEntry {
  uint32_t first_key = 0;
  uint32_t last_key = 0;  ///< inclusive; every key between has rows here
  uint32_t rows = 0;
  uint32_t min_bucket = 0;
  uint32_t max_bucket = 0;  ///< inclusive
  uint64_t clicks = 0;      ///< sum over the rows, modulo 2^64; so are the devices
  std::array<uint64_t, click::kDevices> devices{};
  std::array<uint64_t, kRegions> positions{};  ///< in the file
  std::array<uint32_t, kRegions> sizes{};
  std::array<uint32_t, kRegions> checksums{};
};

/// The low half of XXH3: 32 bits find any burst that a disk produces, for half
/// the room in a directory that has four for each block.
uint32_t region_checksum(std::string_view bytes);

/// A block's rows taken apart. Reused from block to block.
struct BlockColumns {
  std::vector<uint32_t> keys;
  std::vector<uint64_t> buckets;
  std::vector<uint64_t> clicks;
  std::array<std::vector<uint64_t>, click::kDevices> devices;
  std::vector<uint64_t> estimates;
  std::vector<CountryCount> countries;     ///< row after row
  std::vector<uint32_t> countries_begin;   ///< rows + 1 indexes
  std::vector<std::string_view> visitors;  ///< into the region's bytes
};

/// Appends the regions of `rows` (with their key indexes) and gives the entry
/// but for its positions.
BlockEntry encode_block(std::span<const RowView> rows, std::span<const uint32_t> keys, Table table,
                        const CountryOrder& order, std::array<std::string, kRegions>& regions);

/// Decode one region (countries: countries.h) whose checksum was right; false when the bits can't
/// be what encode_block wrote for such an entry. Counts come first: estimates and countries are
/// coded against the clicks.
bool decode_counts(const BlockEntry& entry, std::string_view bytes, BlockColumns& columns);
bool decode_estimates(const BlockEntry& entry, std::string_view bytes, BlockColumns& columns);
bool decode_visitors(const BlockEntry& entry, std::string_view bytes, BlockColumns& columns);

}  // namespace clickmill::store
