#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "simulation/sim_cluster.h"

namespace clickmill::simulation {

/// A cluster's life with all sorts of troubles, its clients' included: what becomes of it is
/// said by its seed.
class Life {
 public:
  Life(uint64_t seed, SimCluster::Options options);
  /// A disk may be lost with clicks in its spool.
  void lose_clicks() { loses_clicks_ = true; }
  /// Nodes are away until the others' logs no longer reach back to where theirs end.
  void stay_away() { stays_away_ = true; }
  /// At times the clock of one of them is as wrong as can be.
  void tell_wrong_time() { tells_wrong_time_ = true; }

  /// When all is well in the end, all are killed and started once more.
  void start_again() { starts_again_ = true; }

  /// So many steps of trouble, then all is mended; what went wrong.
  std::optional<std::string> go(int steps);

  const Clients& clients() const { return clients_; }
  uint64_t wrong_times() const { return wrong_times_; }
  /// Clicks in the spool of the disk that was lost.
  uint64_t lost() const { return lost_; }
  const AdClients& ad_clients() const { return ad_clients_; }
  SimCluster& cluster() { return cluster_; }

 private:
  std::optional<std::string> end();
  std::optional<std::string> go_on();
  std::optional<std::string> be_away();
  void send();
  void change_ad();
  std::optional<std::string> replace_failed();
  std::optional<std::string> trouble();
  std::optional<std::string> lose_disk(size_t at);
  void wipe(size_t at);
  bool believes(size_t at);
  void note_time(size_t at);
  void put_right(size_t at);
  void put_wrong(size_t at);
  int64_t some_ms(uint64_t most) { return static_cast<int64_t>(1 + random_.below(most)); }

  Random random_;
  Clients clients_;
  SimCluster cluster_;
  AdClients ad_clients_;
  uint64_t calm_ = 50;
  bool loses_clicks_ = false;
  bool stays_away_ = false;
  bool tells_wrong_time_ = false;
  bool starts_again_ = false;
  std::optional<size_t> wrong_;       ///< whose clock it is
  std::vector<bool> knows_the_time_;  ///< by node: from its disk, over a start too
  /// Node time doesn't go back with a clock that was hours ahead: until then that node's stands.
  std::optional<std::pair<size_t, int64_t>> stands_until_ms_;
  uint64_t wrong_times_ = 0;
  bool wiped_ = false;
  uint64_t lost_ = 0;
  uint64_t next_ = 0;
};

/// Of so many lives those that a run has the time for: sanitizers take five times as long.
constexpr uint64_t lives(uint64_t count) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return count / 5;
#else
  return count;
#endif
}

/// Answers wait for the commit, and at times nothing fits into the spool's memory.
SimCluster::Options waiting_for_commit(uint64_t seed);

}  // namespace clickmill::simulation
