#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "collector/backlog.h"
#include "log/group_reader.h"

namespace clickmill::collector {

/// What the journal's replay found of the spool: where clicks stand that no trim
/// record covers. They are read when their turn comes.
class RecoveredSpool {
 public:
  static bool is_of_spool(log::RecordKind kind) {
    return kind == log::RecordKind::click || kind == log::RecordKind::copied_clicks ||
           kind == log::RecordKind::trim;
  }
  Status replay(JournalPos position, const log::RecordView& record);
  /// Reads what was found, oldest first in each partition, for a tool that takes it elsewhere.
  using Visit = std::function<Status(PartitionId, std::string_view click)>;
  Status visit(log::GroupReader& journal, const Visit& visit) const;

 private:
  friend class Spool;
  Status replay_trim(std::string_view payload);

  std::vector<Backlog> backlogs_;  // by partition
  ArrivalMs newest_;
};

/// Calls `take` with each click record that a journal record holds, whatever trims say.
Status for_each_click(const log::RecordView& record,
                      const std::function<void(std::string_view)>& take);
/// received_ms of a click record.
ArrivalMs received_of(std::string_view record);
/// The journal record's payload that holds a group's clicks, copied forward.
std::string copied_clicks(const std::vector<std::string>& records);
/// Reads the run's click records back and appends them to `out`.
Status read_run(PartitionId partition, const Backlog::Run& run, log::GroupReader& journal,
                std::vector<std::string>& out);

}  // namespace clickmill::collector
