#pragma once

#include <cstdint>
#include <deque>

#include "base/strong.h"

namespace clickmill::raft {

/// What a leader knows of another member's log.
/// Invariant: match < next; match never falls within a term.
struct Progress {
  enum class Mode : uint8_t {
    probe,   ///< where the logs part is not known: one message at a time
    stream,  ///< messages follow each other, within a window of bytes
    behind,  ///< waits until the member has fetched blocks or a state
  };
  Mode mode = Mode::probe;
  Offset match;            ///< acknowledged
  Offset next;             ///< first offset of the next message's entries
  bool probing = false;    ///< a probe is on its way
  Offset committed_acked;  ///< what it knows to be committed
  Offset committed_sent;   ///< highest committed offset in a message to it
  uint64_t read_sent = 0;  ///< likewise of read ids
  uint64_t read_acked = 0;
  uint32_t idle_ticks = 0;     ///< since it last moved, while something is on its way
  bool refuses_clock = false;  ///< its last answer said so

  struct Sent {
    Offset end;
    uint32_t bytes;
  };
  std::deque<Sent> window;  ///< sent and not acknowledged, in order
  uint64_t window_bytes = 0;

  void sent(Offset end, uint32_t bytes) {
    window.push_back({end, bytes});
    window_bytes += bytes;
    next = end + 1;
  }
  /// Raises match; true when it moved.
  bool acked(Offset end) {
    while (!window.empty() && window.front().end <= end) {
      window_bytes -= window.front().bytes;
      window.pop_front();
    }
    if (end <= match) return false;
    match = end;
    if (next <= match) next = match + 1;
    idle_ticks = 0;
    return true;
  }
  /// Begins again behind `end`, which is never below match.
  void probe_behind(Offset end) {
    mode = Mode::probe;
    probing = false;
    next = (end < match ? match : end) + 1;
    window.clear();
    window_bytes = 0;
    idle_ticks = 0;
    committed_sent = committed_acked;
    read_sent = read_acked;
  }
};

}  // namespace clickmill::raft
