#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "peer/transport.h"

namespace clickmill::simulation {

/// Links between nodes on virtual time: a frame comes after a delay, in order within its lane,
/// or is lost with its link. A link breaks and comes back; a way of it may go deaf without
/// anybody being told; group frames are dropped now and then, as a full queue does.
class SimNetwork {
 public:
  /// `clock` is borrowed.
  SimNetwork(uint64_t seed, size_t nodes, const Clock& clock);
  ~SimNetwork();

  static std::string name_of(size_t node) { return "n" + std::to_string(node + 1); }
  peer::Transport& transport(size_t node);
  /// The node runs (again) and listens; null: it is gone, and its machine says so.
  void attach(size_t node, peer::Receiver* receiver, uint64_t storage, uint64_t epoch = 1);
  /// Told of a node that another one, of a later epoch, has refused.
  void set_left_behind(std::function<void(size_t)> told) { left_behind_ = std::move(told); }

  /// Completes what a node says of itself when a link is made.
  void set_introduce(std::function<void(size_t, peer::Hello&)> introduce) {
    introduce_ = std::move(introduce);
  }

  /// Delivers what is due, makes and breaks links.
  void step();
  // Trouble; heal() ends all of it.
  void break_link(size_t a, size_t b, int64_t for_ms);
  void go_deaf(size_t from, size_t to) { deaf_.insert({from, to}); }
  void hear_again() { deaf_.clear(); }
  void slow_down(int64_t delay_ms_most) { delay_ms_most_ = delay_ms_most; }
  void drop_one_in(uint64_t n) { drop_one_in_ = n; }
  void heal();
  /// A bit of what is large flips on the way, now and then, and nobody notices: links check what
  /// they bring, so this is nobody's fault but a careless sender's.
  void rot(bool on) { rots_ = on; }

 private:
  class Port;
  struct Frame {
    size_t from;
    size_t to;
    peer::Lane lane;
    std::string bytes;
  };
  struct Link {
    bool up = false;
    int64_t again_ms = 0;  ///< not before
  };
  using Pair = std::pair<size_t, size_t>;
  static Pair pair_of(size_t a, size_t b) { return {std::min(a, b), std::max(a, b)}; }
  bool send(size_t from, size_t to, peer::Lane lane, std::string&& bytes);
  void take_down(Pair pair, bool refused);
  bool fit(Pair pair);
  peer::Hello hello_of(size_t node) const;

  Random random_;
  const Clock& clock_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::vector<peer::Receiver*> receivers_;
  std::vector<uint64_t> storages_;
  std::vector<uint64_t> epochs_;
  std::function<void(size_t)> left_behind_;
  std::function<void(size_t, peer::Hello&)> introduce_;
  std::set<Pair> to_renew_;
  std::map<Pair, Link> links_;
  std::set<Pair> deaf_;                   ///< (from, to)
  std::multimap<int64_t, Frame> frames_;  ///< by when they come, in ms
  std::map<std::pair<Pair, peer::Lane>, int64_t> last_;
  int64_t delay_ms_most_ = 5;
  uint64_t drop_one_in_ = 0;
  bool rots_ = false;
};

}  // namespace clickmill::simulation
