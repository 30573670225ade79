#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "log/journal_format.h"

namespace clickmill::log {

/// What a journal directory held when it was opened.
struct Recovered {
  uint64_t journal_id = 0;             ///< 0: the directory was empty
  uint64_t file_bytes = 0;             ///< as the files say
  std::vector<uint64_t> file_numbers;  ///< oldest first
  JournalPos end;                      ///< behind the last group that counts
  int64_t time_ms = 0;                 ///< newest group time
  uint64_t torn_bytes = 0;             ///< cut off behind the last whole group
};

/// Called for each record that counts, in the order in which it was written.
using Replay = std::function<Status(JournalPos position, const RecordView& record)>;

/// Reads every journal file in `directory`, oldest first, and makes durable what
/// it read, so that nothing it hands on can vanish in a second crash.
///
/// A bad stretch that a later group's durable_upto or a later file's
/// takes_over_from covers, or one that is longer than `unsynced_bytes`, was
/// durable once: Errc::corrupt with file and position. Any other is the torn
/// tail: it and what stands behind it was never acknowledged, and is left out.
Result<Recovered> recover_journal(FileSystem& files, const std::string& directory,
                                  uint64_t unsynced_bytes, const Replay& replay);

}  // namespace clickmill::log
