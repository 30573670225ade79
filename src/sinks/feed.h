#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "cluster/log_reader.h"
#include "sinks/broker.h"

namespace clickmill::sinks {

/// One partition's log on its way to a broker: what is read next, and what was sent and is not
/// acknowledged yet. Acknowledgements come in any order; arrived() only moves over what has no
/// gap before it.
/// Thread: the sink's.
class Feed {
 public:
  /// What all feeds of a sink have under way together.
  struct Load {
    size_t messages = 0;
    size_t bytes = 0;
  };
  Feed(PartitionId id, Offset arrived, Load& load) : id_(id), load_(load), arrived_(arrived) {}
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  /// Sends one block, or what there is of the unsealed. False: nothing more is committed, or the
  /// broker takes no more for now (`full`).
  struct Step {
    bool more = false;
    bool full = false;
    uint64_t skipped = 0;  ///< offsets that retention dropped before they were read
  };
  Result<Step> send(const cluster::LogReader& log, Broker& broker);
  /// What became of a message, by its ticket. False: it has to be sent again, with all that
  /// follow, to another broker (begin_again()).
  static bool told(void* ticket, bool arrived);
  /// Moves arrived() on over what was acknowledged; how many messages that were.
  uint64_t settle();
  /// Forgets what is under way: all that has not arrived is sent again.
  void begin_again();
  /// All up to there has arrived, by whatever way. Tickets of before are none any more.
  void begin_after(Offset arrived);

  PartitionId id() const { return id_; }
  Offset arrived() const { return arrived_; }
  Offset next() const { return sent_ + 1; }
  bool idle() const { return under_way_.empty(); }
  /// Log time of the oldest that is under way; none when nothing is.
  std::optional<LogMs> oldest() const;

 private:
  /// A message, or a stretch of the log without any.
  struct Piece {
    Offset last;
    LogMs append_ms;
    uint32_t bytes = 0;
    bool is_message = false;
    bool done = false;
  };
  Result<bool> send_entry(const log::Entry& entry, Broker& broker);
  void pass(Offset last, LogMs append_ms);

  const PartitionId id_;
  Load& load_;
  Offset arrived_;
  Offset sent_ = arrived_;       ///< what was sent, and so is not read again
  std::deque<Piece> under_way_;  ///< by offset; tickets point into it
  std::string line_;
};

}  // namespace clickmill::sinks
