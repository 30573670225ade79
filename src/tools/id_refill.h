#pragma once

#include <functional>
#include <vector>

#include "log/entry.h"
#include "log/segments.h"
#include "state/store.h"
#include "stream/checkpoint.h"

namespace clickmill::tools {

/// Sets the time of one partition's stored state back to `to`, and files its ids anew: those
/// of the hours that are kept then, from its log, whose times are set back already. What was
/// counted stays. `unsealed`: what the log has behind its segments.
/// Borrows everything. Errors leave it half done; it can be run again. Thread: one.
class IdRefill {
 public:
  struct Options {
    LogMs to;
    uint64_t seed = 0;
    std::function<void(Offset)> at = {};  ///< hears how far it is
  };
  IdRefill(state::Slot slot, state::Store& store, const log::Segments& segments,
           const std::vector<log::Entry>& unsealed, Options options);
  /// Nothing to do where `checkpoint` is empty.
  Status run();
  /// Log hours that are filed anew.
  LogHour first_hour() const { return first_hour_; }

 private:
  Status clear(LogHour from);
  Status refill(stream::Checkpoint& checkpoint);
  template <typename Visit>
  Status visit(Offset from, Offset last, const Visit& visit);

  const state::Slot slot_;
  state::Store& store_;
  const log::Segments& segments_;
  const std::vector<log::Entry>& unsealed_;
  const Options options_;
  LogHour first_hour_;
};

}  // namespace clickmill::tools
