#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>

#include "base/strong.h"

namespace clickmill::cluster {

/// Those who wait at a partition's tail for the next entries to be committed.
/// They hold no thread: each is a function that is called once, on the worker,
/// and only hands its work on.
/// Thread: worker.
class TailReaders {
 public:
  enum class Woken : uint8_t {
    committed,  ///< there is something to read
    over,       ///< the time is over, or the node stops: don't wait again
    refused,    ///< too many wait already
  };
  using Wake = std::function<void(Woken)>;

  /// Calls `wake` when `from` is committed or the monotonic clock reaches
  /// `deadline_ns`; at once when too many wait already, or after end_all().
  void add(Offset from, int64_t deadline_ns, Wake wake);
  /// Everything up to `last` is committed.
  void committed(Offset last);
  void expire(int64_t now_ns);
  /// Wakes all, and from now on nobody waits: the node stops.
  void end_all();
  size_t waiting() const { return waiting_.size(); }

  /// More than a few pipelines never follow one partition; the rest only costs memory.
  static constexpr size_t kWaitingMost = 256;

 private:
  struct Waiting {
    int64_t deadline_ns;
    Wake wake;
  };
  std::multimap<Offset, Waiting> waiting_;
  bool ended_ = false;
};

}  // namespace clickmill::cluster
