#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "log/journal_format.h"

namespace clickmill::log {

/// A stretch of the journal that can't be read any more.
struct JournalDamage {
  std::string path;
  uint64_t from_byte = 0;
  uint64_t to_byte = 0;  ///< behind the last one
  std::string what;
};

struct Salvaged {
  std::vector<JournalDamage> damage;
  std::vector<std::string> kept_aside;  ///< paths of the originals
};

/// Makes a damaged journal one that recover_journal accepts, with everything in
/// it that can still be read, at its old positions. For an operator's forced
/// recovery: what is gone is gone, and the answer says what.
///
/// A damaged file `N.journal` is renamed to `N.journal.damaged` (`.damaged-2` …
/// if there is one already) and replaced by a copy in which empty groups stand
/// where groups could not be read. A missing file between two others is made of
/// empty groups alone. Nothing is changed when nothing is damaged.
/// Interrupted at any point it can be run again. `reading` is told each file before it is read.
Result<Salvaged> salvage_journal(
    FileSystem& files, const std::string& directory, uint64_t unsynced_bytes,
    const std::function<void(const std::string& path)>& reading = [](const std::string&) {});

}  // namespace clickmill::log
