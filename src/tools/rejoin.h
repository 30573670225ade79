#pragma once

#include "base/clock.h"
#include "base/file_system.h"
#include "cluster/founded.h"
#include "engine/config.h"
#include "tools/print.h"

namespace clickmill::tools {

/// A node that a forced recovery left behind comes back: its data directory, kept aside, gives
/// way to one of the present epoch with a new storage id, whose spool holds all that the node has
/// answered and the others may lack.
///
/// In steps, of which each can be interrupted and the whole begun again: the new journal and
/// cluster file are made in `rejoin/`, which `rejoin/ready` completes; then what there is moves
/// to `left-behind-epoch-N/`, and they take its place. A node doesn't start in between.

/// What this node would send again.
struct LeftClicks {
  uint64_t clicks = 0;
  uint64_t old = 0;  ///< of them, those that came before `old_before`
};

class Rejoin {
 public:
  /// Locks the data directory. All are borrowed. Errc::busy: its node runs; Errc::invalid: it
  /// belongs to no cluster.
  static Result<std::unique_ptr<Rejoin>> open(const engine::Config& config, FileSystem& files,
                                              Clock& clock);
  ~Rejoin();

  /// An earlier call was interrupted: finish() goes on, and nothing else is needed.
  bool under_way() const;
  const cluster::Founded& founded() const;
  /// Errc::invalid: the other is not of a later epoch of this cluster, or doesn't know how it
  /// began.
  Status follow(cluster::Lineage lineage);
  Result<LeftClicks> survey(ArrivalMs old_before);
  /// Makes `rejoin/`; what it holds.
  Result<LeftClicks> prepare();
  /// Where what there was is kept then.
  Result<std::string> finish();

 private:
  class Impl;
  explicit Rejoin(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// `clickmill cluster rejoin`. The exit code: 0 done, 2 nothing was changed.
Result<int> rejoin_command(const engine::Config& config, const std::string& node,
                           const std::string& key_file, bool yes, const Print& print,
                           const Print& tell);

}  // namespace clickmill::tools
