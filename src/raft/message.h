#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "raft/entry_heads.h"

namespace clickmill::raft {

/// Asks for a vote. `pre`: only whether one would be given; the message's term is then the one
/// that the election would have (Raft dissertation, 9.6).
struct VoteRequest {
  bool pre = false;
  Offset last;  ///< end of the asker's log
  Term last_term;
};

/// An answer says which kind it answers: a late one must not count for the other. Granted, a
/// pre-vote's term is the one asked for; everything else has the answerer's own.
struct VoteAnswer {
  bool pre = false;
  bool granted = false;
};

/// Entries behind `prev`, or none (news of a commit, a read).
struct Append {
  Offset prev;
  Term prev_term;
  std::vector<EntryHead> entries;
  Offset committed;
  Offset match;  ///< what the receiver has acknowledged in this term, as the leader believes
  uint64_t read_id = 0;
};

/// Why a follower took less than it was sent.
enum class Refusal : uint8_t { none, log, clock, full };

struct AppendAnswer {
  Offset acked;  ///< durable here and proved equal to the leader's log
  Refusal refusal = Refusal::none;
  Offset hint;  ///< with Refusal::log: largest end here that may be in the leader's log
  Term hint_term;
  Offset committed;  ///< as the follower knows
  uint64_t read_id = 0;
};

/// The leader asks the receiver to campaign at once.
struct TakeOver {};

/// What the receiver lacks is no longer in the leader's memory: it must fetch sealed blocks or
/// a state up to at least this offset, from whom it likes.
struct Behind {
  Offset at_least;
};

/// What one member says to another about one group. Thread: any (data).
struct Message {
  StorageId from;
  StorageId to;
  Term term;
  std::variant<VoteRequest, VoteAnswer, Append, AppendAnswer, TakeOver, Behind> body;
};

}  // namespace clickmill::raft
