#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "log/journal_format.h"
#include "log/journal_reader.h"

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

/// Reads what earlier runs left, in two steps, so that a node needs only the newest file
/// to go on writing and can read the rest beside that.
///
/// A bad stretch that a later group's durable_upto or a later file's
/// takes_over_from covers, or one that is longer than `unsynced_bytes`, was
/// durable once: Errc::corrupt with file and position. Any other is the torn
/// tail: it and what stands behind it was never acknowledged, and is left out.
/// Holds the files open. Thread: one at a time.
class JournalRecovery {
 public:
  JournalRecovery(FileSystem& files, std::string directory, uint64_t unsynced_bytes)
      : disk_(files), directory_(std::move(directory)), unsynced_bytes_(unsynced_bytes) {}

  /// Finds the files and the end of the newest, changing nothing. Once, and first.
  Result<Recovered> find_end();
  /// Makes durable what they hold, so that nothing that is handed on, or that a next file
  /// takes over from, can vanish in a second crash. Does nothing once it has succeeded.
  /// Thread: any, after find_end().
  Status settle();
  /// Hands on every record that counts, oldest file first; after settle().
  Status replay(const Replay& replay);

 private:
  Status open_files();
  Status check_chain();
  std::optional<JournalPos> valid_end(size_t i) const;
  using OnGroup = std::function<Status(const GroupHeader&)>;
  Status read_groups(size_t i, const OnGroup& on_group);
  Status deliver(JournalFileReader& file, const GroupHeader& header, const Replay& replay);
  Status keep_tail(JournalFileReader& file, const std::vector<JournalPos>& groups);

  FileSystem& disk_;
  const std::string directory_;
  const uint64_t unsynced_bytes_;
  std::vector<JournalFileReader> files_;  ///< oldest first
  JournalPos durable_upto_;               ///< as the newest group says
  Recovered found_;

  // Guards the two below, between who writes on and who reads what was left. Held over syncs.
  std::mutex settle_mutex_;
  bool settled_ = false;
  /// Groups of the newest file that no durable_upto covers.
  std::vector<std::pair<uint64_t, std::string>> tail_;
};

/// Both steps at once: reads every journal file in `directory`.
Result<Recovered> recover_journal(FileSystem& files, const std::string& directory,
                                  uint64_t unsynced_bytes, const Replay& replay);

}  // namespace clickmill::log
