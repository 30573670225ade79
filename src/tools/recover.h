#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "engine/config.h"
#include "tools/print.h"

namespace clickmill::tools {

struct ForcedRecovery {
  bool found_damage = false;
  std::vector<std::string> report;  ///< lines for the operator
};

/// `clickmill recover --force-quorum`: makes the journal of a stopped node, alone,
/// one that it starts from, with what is still readable.
///
/// Log entries that are gone are replaced by empty ones of the same offsets: what
/// the stream had counted stays counted, and the log goes on behind them. A
/// click's own record may have outlived its entry: the newest `dedup_hours` of
/// them are forwarded once more, and dedup drops those that were counted.
/// Errc::busy while the node runs; Errc::not_found without a data directory. `tell` hears how
/// far it is.
Result<ForcedRecovery> recover_by_force(const engine::Config& config, FileSystem& files,
                                        Clock& clock, const Print& tell);

}  // namespace clickmill::tools
