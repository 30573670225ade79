#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/data_dir.h"
#include "log/partition_log.h"
#include "stream/settings.h"
#include "tools/progress.h"
#include "tools/set_back.h"

namespace clickmill::tools {

/// The journal of a stopped node, and one in its place that holds what is still needed of it
/// (entries that are not sealed, hard states, clicks of the spool) with times set back.
/// Thread: one.
class ClockJournal {
 public:
  struct Options {
    engine::DataPaths paths;
    std::string kept;  ///< where the old one goes, as `journal`
    LogMs to;
  };
  /// `progress` is borrowed and outlives it.
  ClockJournal(FileSystem& files, Options options, Progress& progress)
      : files_(files), options_(std::move(options)), progress_(progress) {}

  /// `segments` and `settings`, by partition. Errc::corrupt: it is damaged.
  Status read(const std::vector<std::unique_ptr<log::Segments>>& segments,
              const std::vector<stream::Settings>& settings);
  /// Of one partition, in order, set back.
  Result<std::vector<log::Entry>> unsealed(uint32_t partition) const;
  /// Durable on return. Nothing, where an earlier run has done it. `clock`: the new one's time.
  Status replace(const Clock& clock);

 private:
  bool replaced() const { return files_.exists(options_.kept + "/journal"); }
  std::string fresh() const { return options_.paths.root + "/journal.new"; }
  Status finish_swap();
  Status note(JournalPos position, const log::RecordView& record);
  Status note_trim(std::string_view payload);
  Status remove_fresh();
  Status write_logs(log::Journal& journal);
  Status copy_clicks(JournalPos position, const log::RecordView& record, log::Journal& journal);
  Status append(log::Journal& journal, log::Append&& record);
  Status write(log::Journal& journal);

  FileSystem& files_;
  const Options options_;
  Progress& progress_;
  // By partition.
  std::vector<SetBack> set_back_;
  std::vector<Offset> sealed_;
  std::vector<log::RecoveredLog> logs_;
  std::vector<std::string> hard_states_;  ///< payloads; empty: none
  std::vector<JournalPos> trimmed_;       ///< clicks before it are committed
  uint64_t file_bytes_ = 0;
};

}  // namespace clickmill::tools
