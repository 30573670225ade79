#pragma once

#include <map>
#include <vector>

#include "log/entry.h"
#include "log/journal_format.h"

namespace clickmill::log {

/// Finds the offsets of one partition that are in no journal file and no
/// segment any more, and makes entries that fill them, so that a forced recovery
/// leaves a log without holes. They hold nothing; readers pass over them.
class GapFiller {
 public:
  /// Takes in what the journal holds of the partition, in order.
  Status replay(const RecordView& record);
  LogMs newest_append_ms() const;

  struct Known {
    Offset sealed;   ///< last offset in segments
    Offset applied;  ///< last one that the stream's checkpoint has seen
    LogMs applied_ms;
  };
  /// Entries of `kind` for every gap, none across a multiple of kBlockOffsets.
  std::vector<Entry> fill(const Known& known, uint8_t kind) const;

 private:
  struct Span {
    Offset last;
    Term term;
    LogMs append_ms;
  };
  std::map<Offset, Span> spans_;  // by first offset
};

}  // namespace clickmill::log
