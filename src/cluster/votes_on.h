#pragma once

#include <algorithm>

#include "raft/replica.h"

namespace clickmill::cluster {

/// Whether it has a vote and keeps it: one that is about to leave doesn't hear any more what comes
/// after. Thread: its worker.
inline bool votes_on(const raft::Replica& replica) {
  const auto& voters = replica.core().membership().voters;
  return std::find(voters.begin(), voters.end(), replica.self()) != voters.end();
}

}  // namespace clickmill::cluster
