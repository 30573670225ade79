#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace clickmill {

/// What every file of ours begins with, little-endian:
///
///   0  8  magic
///   8  4  version (not where the magic ends in it)
///   …     fields of the format
///   …  8  XXH3-64 of all of it before
///
/// A file that is written as a whole has everything in its fields. Magic first: of a
/// foreign file nothing else is worth telling. The checksum before the version: a
/// version that a flipped bit made is damage, not a newer program.
struct FileFormat {
  std::string_view name;           ///< in messages: "manifest"
  std::string_view magic;          ///< 8 bytes
  uint32_t version;                ///< that is written; 0: the magic ends in it
  uint32_t version_min = version;  ///< the oldest that is read
};

/// Magic and version; the fields go behind them, then append_checksum() (checksum.h).
std::string begin_file_header(const FileFormat& format);
struct FileHeaderFields {
  uint32_t version;
  ByteCursor fields;  ///< from behind the version to the checksum
};
/// `bytes`: from the file's first to the header's checksum. Errors that name format and
/// path: corrupt (foreign, cut off, or its checksum fails), invalid (another version).
Result<FileHeaderFields> read_file_header(const FileFormat& format, std::string_view bytes,
                                          const std::string& path = {});
/// The same of a header without a checksum, which another part of the file covers.
Result<FileHeaderFields> read_unchecked_file_header(const FileFormat& format,
                                                    std::string_view bytes,
                                                    const std::string& path = {});

}  // namespace clickmill
