#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "engine/config.h"
#include "tools/print.h"

namespace clickmill::tools {

struct ClockRecovery {
  enum class Outcome : uint8_t {
    not_ahead,  ///< nothing was changed, nor need be
    planned,    ///< node time is ahead; nothing was changed
    done,
  };
  Outcome outcome = Outcome::not_ahead;
  std::vector<std::string> report;  ///< lines for the operator
};

/// `clickmill recover --clock`: sets the time of a stopped node, alone, back to its clock,
/// after a run with a clock that was ahead. Without `yes` it only says what it would do.
///
/// Times above the clock's are set to it wherever they are recorded: in the log (SetBack),
/// in the journal, in each partition's checkpoint. Counts, parts, review and offsets stay as
/// they are. Ids are filed anew from the log for as far back as copies may come, since those
/// that the wrong time had forgotten are needed again. What is replaced is kept in
/// `clock.ahead-N` of the data directory.
/// Killed at any point, it goes on where it was when it is run again; no node starts before.
///
/// Errc::busy while the node runs, or a partition is being rebuilt; Errc::not_found without
/// a data directory; Errc::invalid for a member of a cluster, whose time is the others' too;
/// Errc::corrupt for damage, which is other commands' work. `tell` hears how far it is.
Result<ClockRecovery> set_clock_back(const engine::Config& config, FileSystem& files, Clock& clock,
                                     const Print& tell, bool yes);

}  // namespace clickmill::tools
