#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/part.h"
#include "store/row.h"
#include "store/shelf_file.h"

namespace clickmill::store {

/// All that a view shows but the visitors.
Row row_of(const RowView& view);
/// Whether no row of the part can lie in the scan's time.
bool apart(const PartMeta& meta, const Scan& scan);
/// Adds the matching rows of parts to `rows`, with all their columns. Errc::invalid when
/// `rows` would hold more than `rows_most`.
Status read_rows(const std::vector<std::shared_ptr<const Part>>& parts, const Scan& scan,
                 std::vector<Row>& rows, size_t rows_most = SIZE_MAX);
/// Sorts rows by key_less and makes one of those with one key.
void fold_rows(std::vector<Row>& rows);
/// Reads parts of one table in full and gives their rows merged, sorted, distinct.
/// Rows of buckets before `oldest_ms` are left out (retention).
Result<std::vector<Row>> read_merged(const std::vector<std::shared_ptr<const Part>>& parts,
                                     int64_t oldest_ms);

/// Writes the same rows as a part, which is none where none are left: some keys at a time, so
/// that memory holds the new part's bytes and about `rows_at_once` rows, or those of one key.
struct Merged {
  uint64_t rows = 0;
  std::optional<PartMeta> part;
};
struct MergeTo {
  std::string directory;
  std::string name;
  size_t rows_at_once = 1 << 15;
};
Result<Merged> write_merged(FileSystem& files, const MergeTo& to,
                            const std::vector<std::shared_ptr<const Part>>& parts,
                            int64_t oldest_ms);

/// Buckets that begin in [from, to).
struct TimeRange {
  int64_t from_ms = std::numeric_limits<int64_t>::min();
  int64_t to_ms = std::numeric_limits<int64_t>::max();
};
/// Adds those rows of the parts, merged, to a shared file as parts of that slot: none where there
/// are no rows, more than one where there would be more than `rows_most` in it.
/// Memory: the bytes of one of them, and its rows as write_merged() has them.
struct MergeOnto {
  ShelfWriter& file;
  state::Slot slot;
  uint64_t rows_most = 1 << 19;
  size_t rows_at_once = 1 << 15;
};
Result<std::vector<PartMeta>> add_merged(const MergeOnto& to,
                                         const std::vector<std::shared_ptr<const Part>>& parts,
                                         TimeRange range);

}  // namespace clickmill::store
