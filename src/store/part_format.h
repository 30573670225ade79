#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/block.h"
#include "store/row.h"

namespace clickmill::store {

inline constexpr uint32_t kVersion = 1;
/// Of parts that hold rows of machines' clicks. Those without are of version 1, which older
/// programs read.
inline constexpr uint32_t kVersionWithAutomated = 2;

/// A piece of a part file with its checksum.
struct Piece {
  uint64_t position = 0;
  uint64_t size = 0;
  uint64_t checksum = 0;
};
/// What stands at the end of a part file. Format: top of part_format.cpp.
struct Footer {
  uint32_t version = kVersion;
  Table table = Table::minute;
  uint64_t rows = 0;
  uint64_t blocks = 0;
  uint32_t min_bucket = 0;
  uint32_t max_bucket = 0;
  std::array<uint64_t, kRegions> sections{};  ///< sizes, in the file's order
  Piece dictionary;
  Piece directory;
};

inline constexpr size_t kHeaderBytes = 16;
inline constexpr size_t kFooterBytes = 128;

std::string encode_header(uint32_t version);
/// The error's text, or empty for a header this program reads, and its version.
std::string check_header(std::string_view bytes, uint32_t& version);

/// Gives kFooterBytes; the last eight are the checksum, which PartMeta repeats.
std::string encode_footer(const Footer& footer);
uint64_t footer_checksum(std::string_view bytes);
/// Checks checksum, version and that the pieces fill a file of `file_bytes`.
/// The error's text, or empty.
std::string decode_footer(std::string_view bytes, uint64_t file_bytes, Footer& footer);

void encode_directory(const std::vector<BlockEntry>& blocks, uint32_t min_bucket, std::string& out);
/// False for anything encode_directory can't have written for such a footer and
/// number of keys. Fills in the positions.
bool decode_directory(std::string_view bytes, const Footer& footer, uint32_t keys,
                      std::vector<BlockEntry>& blocks);

}  // namespace clickmill::store
