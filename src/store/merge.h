#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "store/part.h"
#include "store/row.h"

namespace clickmill::store {

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

}  // namespace clickmill::store
