#pragma once

#include <string>
#include <vector>

#include "base/file_system.h"
#include "store/part_meta.h"

namespace clickmill::store {

/// Writes and syncs a part file (not the directory; the caller syncs it once for several).
/// `rows` are sorted by key_less with distinct keys, their buckets whole and not before 1970
/// (else Errc::invalid). A file of that name is replaced: one can only be left over
/// from a crash before the checkpoint that would have named it.
Result<PartMeta> write_part(FileSystem& files, const std::string& directory,
                            const std::string& name, Table table, const std::vector<Row>& rows);

}  // namespace clickmill::store
