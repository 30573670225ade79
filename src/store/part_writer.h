#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "store/block.h"
#include "store/key_dictionary.h"
#include "store/part_meta.h"
#include "store/row.h"
#include "store/scan.h"

namespace clickmill::store {

/// A part in the making, some rows at a time: its blocks are held encoded, the rows not.
/// Thread: one.
class PartWriter {
 public:
  /// `keys`: those that the rows will have, each of them; `countries`: all that they will.
  PartWriter(Table table, KeyDictionary keys, CountryOrder countries);
  /// The next rows, sorted by key_less behind those before, all of their keys, distinct; their
  /// buckets whole and not before 1970 (else Errc::invalid).
  Status add(std::span<const RowView> rows);
  uint64_t rows() const { return footer_rows_; }
  /// Writes and syncs the file (not the directory), as write_part() does.
  Result<PartMeta> write(FileSystem& files, const std::string& directory, const std::string& name);
  /// Writes it into an open file, from that byte on: others may stand before and behind it.
  /// Syncs nothing.
  Result<PartMeta> write_to(File& file, uint64_t begin, const std::string& name) const;

 private:
  Status check_whole() const;
  Status check(std::span<const RowView> rows) const;
  Result<PartMeta> write_file(FileSystem& files, const std::string& path, const std::string& name);

  const Table table_;
  const KeyDictionary keys_;
  const CountryOrder countries_;
  uint32_t next_key_ = 0;
  Row last_;  ///< of the rows so far, its key alone
  uint64_t footer_rows_ = 0;
  std::vector<BlockEntry> blocks_;
  std::array<std::string, kRegions> sections_;
};

/// All of a part's rows, as write_part() takes them.
Result<PartWriter> writer_of(Table table, std::span<const RowView> rows);

/// Writes and syncs a part file (not the directory; the caller syncs it once for several).
/// `rows` are sorted by key_less with distinct keys, their buckets whole and not before 1970
/// (else Errc::invalid). A file of that name is replaced: one can only be left over
/// from a crash before the checkpoint that would have named it.
Result<PartMeta> write_part(FileSystem& files, const std::string& directory,
                            const std::string& name, Table table, std::span<const RowView> rows);
Result<PartMeta> write_part(FileSystem& files, const std::string& directory,
                            const std::string& name, Table table, const std::vector<Row>& rows);

}  // namespace clickmill::store
