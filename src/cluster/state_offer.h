#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "raft/membership.h"
#include "store/retention.h"
#include "stream/state_pieces.h"

namespace clickmill::cluster {

/// What a node says when it is asked for a partition's state: what it is, and what the asker's
/// log must know to go on behind it.
struct StateOffer {
  uint64_t transfer = 0;     ///< names it in the questions for its pieces
  Term term;                 ///< of the entry at its offset
  raft::Membership members;  ///< the newest that are committed
  store::TableTimes deleted_before = store::kAllTime;
  stream::StateHead head;
  Offset upto() const { return head.record.applied; }
};
std::string encode(const StateOffer& offer);
Result<StateOffer> decode_state_offer(std::string_view bytes);

/// The questions.
struct StateQuestion {
  enum class Kind : uint8_t {
    offer = 0,  ///< of `partition`
    piece = 1,  ///< of `transfer`, which begins at `cursor`
    end = 2,    ///< `transfer` is not needed any more
  };
  Kind kind = Kind::offer;
  PartitionId partition{0};
  uint64_t transfer = 0;
  std::string cursor;
};
std::string encode(const StateQuestion& question);
Result<StateQuestion> decode_state_question(std::string_view bytes);

}  // namespace clickmill::cluster
