#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "peer/frame.h"
#include "peer/transport.h"

namespace clickmill::peer {

/// What a transport has done since its start. Thread: any.
struct Counts {
  struct OfLane {
    Counter frames_out, bytes_out;  ///< written to a connection; payloads
    Counter frames_in, bytes_in;
    Counter dropped;  ///< given to send and never written: too much waits, the link broke, or
                      ///< (beats) a newer one came
  };
  OfLane& of(Lane lane) { return lanes[static_cast<size_t>(lane)]; }
  const OfLane& of(Lane lane) const { return lanes[static_cast<size_t>(lane)]; }

  std::array<OfLane, 4> lanes;
  Gauge links_up;
  Counter links_lost;
  Counter refusals;   ///< handshakes that ended with one, by either side
  Counter strangers;  ///< connections from outside that did not prove the secret
};

/// What waits for one peer, from any thread to the peer thread. Bounded per lane: a beat
/// replaces the one that waits, of the others what exceeds the bound is refused. What is being
/// written counts as waiting until it has been written.
///
/// Thread: push any; the rest peer. The mutex guards all members; no other is taken under it.
/// A Mailbox would have one bound and one order for all lanes.
class Outbox {
 public:
  static constexpr size_t kGroupBytesMost = size_t{16} << 20;
  static constexpr size_t kCallBytesMost = size_t{16} << 20;
  static constexpr size_t kBulkBytesMost = size_t{32} << 20;
  /// What a frame costs beside its payload: many small ones are bounded, too.
  static constexpr size_t kFrameCost = 128;
  enum class Pushed : uint8_t {
    refused,
    waits,
    wakes,  ///< nobody is about to take it: the peer thread must be told
  };

  explicit Outbox(Counts& counts) : counts_(counts) {}
  Pushed push(Lane lane, std::string&& payload);
  /// From now on push takes frames; the first one wakes.
  void open();
  /// Drops all and refuses what comes.
  void close();
  /// Frames of at most `bytes_most` together, or one that is larger; beats first, then groups,
  /// then calls. Empty: the next push wakes. What it gave before counts as written.
  std::vector<Frame> take(Channel channel, size_t bytes_most);

 private:
  struct Queue {
    std::deque<std::string> waiting;
    size_t bytes = 0;    ///< of what waits and what is being written,
    size_t writing = 0;  ///< and of the latter alone
  };
  Queue& of(Lane lane) { return queues_[static_cast<size_t>(lane)]; }
  void take_from(Lane lane, size_t bytes_most, size_t& bytes, std::vector<Frame>& out);

  Counts& counts_;
  std::mutex mutex_;
  bool open_ = false;
  std::array<Queue, 4> queues_;
  std::array<bool, 2> asleep_{};  ///< by channel
};

}  // namespace clickmill::peer
