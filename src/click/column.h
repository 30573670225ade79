#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace clickmill::click {

// The columns of a block. Appending never fails. Reading leaves the cursor failed
// for bytes that can't be a column of `count` values; what it gave is then to be
// thrown away. Memory stays within a small multiple of `count` and, for texts, of
// `bytes_max`.

/// Format: top of number_column.cpp.
void append_numbers(const std::vector<uint64_t>& values, std::string& out);
std::vector<uint64_t> read_numbers(ByteCursor& cursor, size_t count);

/// Texts, by whichever of several forms is smallest. Format: top of text_column.cpp.
void append_texts(const std::vector<std::string_view>& texts, std::string& out);
/// Reads texts; they borrow from the cursor's bytes or from this object, which
/// must stay where it is while they are used.
class TextReader {
 public:
  /// At most `bytes_max` bytes of text are made up that don't stand in the column as they are.
  explicit TextReader(size_t bytes_max) : bytes_left_(bytes_max) {}
  std::vector<std::string_view> read(ByteCursor& cursor, size_t count);

 private:
  using Texts = std::vector<std::string_view>;
  Texts read_nested(ByteCursor& cursor, size_t count, int depth);
  Texts read_plain(ByteCursor& cursor, size_t count);
  Texts read_dictionary(ByteCursor& cursor, size_t count, int depth);
  Texts read_numbered(ByteCursor& cursor, size_t count, int depth);
  Texts read_uuids(ByteCursor& cursor, size_t count);
  /// A buffer that won't move; empty (and the cursor failed) when too large.
  std::string* make(ByteCursor& cursor, size_t bytes);

  size_t bytes_left_;
  std::vector<std::unique_ptr<std::string>> made_;
};

/// Which distinct keys a column has, the most frequent first (ties: the earlier),
/// so that frequent ones have small numbers.
struct DictionaryKey {
  std::string_view text;
  uint8_t code = 0;  ///< rides with the text
  friend bool operator==(const DictionaryKey&, const DictionaryKey&) = default;
};
struct Dictionary {
  std::vector<size_t> first_at;    ///< of each entry: where its key stands first
  std::vector<uint64_t> index_of;  ///< of each key: its entry
};
Dictionary make_dictionary(const std::vector<DictionaryKey>& keys);

/// Small signed numbers as small unsigned ones: 0, -1, 1, -2 …
constexpr uint64_t zigzag(uint64_t value) {
  return value << 1 ^ (value >> 63 != 0 ? ~uint64_t{0} : 0);
}
constexpr uint64_t unzigzag(uint64_t value) {
  return value >> 1 ^ ((value & 1) != 0 ? ~uint64_t{0} : 0);
}

}  // namespace clickmill::click
