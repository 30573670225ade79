#pragma once

#include <memory>
#include <string>

#include "state/fail_stop_disk.h"
#include "state/store.h"

namespace clickmill::state {

/// One open RocksDB, for as long as its disk does what it is told: see FailStop.
/// `memory_bytes`: of blocks that were read and what waits to be written together, about.
/// Takes no lock on the directory. Errors: what the disk met, or Errc::corrupt.
Result<std::unique_ptr<Store>> open_rocks_database(const std::string& directory,
                                                   uint64_t memory_bytes,
                                                   const std::shared_ptr<FailStop>& fail_stop,
                                                   const BeforeWrite& before_write);
/// Writes nothing. Errc::corrupt also when there is none.
Result<std::unique_ptr<Store>> open_rocks_database_read_only(const std::string& directory,
                                                             uint64_t memory_bytes);

}  // namespace clickmill::state
