#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/metrics.h"
#include "cluster/calls.h"
#include "cluster/owned.h"
#include "cluster/state_offer.h"
#include "stream/frozen_state.h"

namespace clickmill::cluster {

/// Gives states of this node's partitions to others, piece by piece, as they ask: who is slow, or
/// gone, costs disk space for a while and nobody's time. Few at once. The log behind a state that
/// was given stays for the time that its taker needs to come for that too.
/// Thread: any.
class StateSource {
 public:
  struct Options {
    uint64_t life = 0;  ///< of this process: transfers of one before are none of its
    std::function<bool(std::function<void()>)> in_background;
    /// Whether the disk has room for what is held back.
    std::function<bool()> well;
    /// Thread: background.
    std::function<Result<std::shared_ptr<stream::FrozenState>>(PartitionId)> freeze;
    std::function<store::TableTimes()> deleted_before;
    size_t frozen_most = 2;
    size_t piece_bytes = 1 << 20;
    int64_t patience_ms = 30'000;   ///< without a question for it a state is let go
    int64_t hold_log_ms = 600'000;  ///< so long is the log kept behind it
  };
  /// `owned` and `clock` are borrowed.
  StateSource(Options options, Owned& owned, const Clock& clock);

  /// `partition`: of the question, if it is about one; its groups are open.
  void serve(const std::string& from, std::string_view question, Calls::Answer answer);
  /// Lets go of what nobody asks for. Call a few times a second.
  void expire();
  /// Lets go of everything.
  void clear();
  /// The log must stay from there on. Nothing: as far as states go, it need not.
  std::optional<Offset> held_from(PartitionId partition) const;

  size_t frozen() const;
  const Counter& bytes_given() const { return bytes_given_; }

 private:
  struct Transfer {
    std::string to;
    PartitionId partition;
    std::shared_ptr<stream::FrozenState> state;
    int64_t asked_ns;
  };
  struct Hold {
    Offset from;
    int64_t until_ns;
  };
  using Frozen = std::shared_ptr<stream::FrozenState>;
  void freeze(const std::string& to, PartitionId partition, const Calls::Answer& answer);
  void look_up(const std::string& to, PartitionId partition, const Frozen& state,
               const Calls::Answer& answer);
  void offer(const std::string& to, PartitionId partition, const Frozen& state, StateOffer&& offer,
             const Calls::Answer& answer);
  void give(const std::string& from, const StateQuestion& question, const Calls::Answer& answer);
  void not_frozen(Error error, const Calls::Answer& answer);
  Frozen find(const std::string& from, uint64_t transfer);

  const Options options_;
  Owned& owned_;
  const Clock& clock_;
  Counter bytes_given_;
  mutable std::mutex mutex_;  ///< guards the rest
  std::map<uint64_t, Transfer> transfers_;
  size_t freezing_ = 0;
  uint64_t next_transfer_;
  std::map<PartitionId, Hold> holds_;
};

}  // namespace clickmill::cluster
