#pragma once

// peer/ brings bytes from node to node and has no idea what they mean: Transport and Receiver
// (here) are all that others see of it. Links is the transport over TCP; a simulated network
// is another.
// How a link is made and what its bytes are: handshake.h (who are you, prove it), frame.h
// (each frame numbered and vouched for), outbox.h (what waits, and how much of it may),
// connection.h and links.h (two connections make a link). sockets.h is the only file that
// knows sockets; all of it runs on one thread, `peer`.
// Promise: what a stranger sends costs him a connection and one line in the log; what a peer
// sends that is wrong costs the link.

#include <cstdint>
#include <string>

#include "base/feature_level.h"

namespace clickmill::peer {

/// Messages that must not wait for each other. A link keeps them apart: `beat` to `call` share
/// one connection, in this order of precedence, `bulk` has its own.
enum class Lane : uint8_t {
  beat,   ///< the newest replaces one that has not left yet
  group,  ///< of consensus: dropped when too much waits, since Raft repeats
  call,   ///< requests and their answers: refused when too much waits
  bulk,   ///< blocks and states
};

/// What a node says of itself when a link is made; both sides check it.
struct Hello {
  std::string node_id;
  uint64_t cluster_id = 0;    ///< 0: belongs to none yet
  uint64_t epoch = 0;         ///< raised by a forced recovery
  uint64_t epoch_random = 0;  ///< tells two forced recoveries of one number apart
  uint64_t storage_id = 0;    ///< of the data directory's life
  uint32_t partitions = 0;
  uint32_t replication = 0;
  std::string version;          ///< of the program, for people
  FeatureLevels levels;         ///< that its program can run
  FeatureLevel level_most = 1;  ///< of those, what its operator lets the cluster rise to
  FeatureLevel level = 0;       ///< that it knows its cluster to be at; 0: it knows none
};

/// Why the two can't be in one cluster, by their feature levels; empty: they can.
std::string misfit_of_levels(const Hello& a, const Hello& b);

/// Why two nodes make no link. Numbers are on the wire and keep their meaning.
enum class Refusal : uint8_t {
  none = 0,
  protocol = 1,      ///< they speak no common protocol
  secret = 2,        ///< their secrets differ
  own_name = 3,      ///< both have the same node_id
  unknown_node = 4,  ///< the caller is not among the configured peers
  other_node = 5,    ///< the called is not the node that was meant to be
  cluster = 6,       ///< they belong to different clusters
  epoch = 7,         ///< one was left behind by a forced recovery, or both had one
  partitions = 8,
  replication = 9,     ///< of earlier versions, which refuse another cluster.replication
  feature_level = 10,  ///< one can't run the level that the other's cluster is at
  other = 255,         ///< a reason that this version does not know
};

/// Told by a Transport. Thread: the transport's; must not block, nor end the transport.
class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual void on_frame(const std::string& from, Lane lane, std::string&& frame) = 0;
  /// A link is there: whatever was on its way before may be gone.
  virtual void on_link_up(const Hello& peer) = 0;
  /// A link broke, or one more try to make it failed. `refused`: the machine answers and nobody
  /// listens there, or the peer and we sent each other away; `why` is for people.
  virtual void on_link_down(const std::string& peer, bool refused, const std::string& why) = 0;
  /// `peer` knows the secret, so what it says of itself can be believed, and yet there can be
  /// no link (`epoch`: whoever has the lower one was left behind). on_link_down follows.
  virtual void on_misfit(const Hello& /*peer*/, Refusal /*why*/) {}
};

/// Brings frames from node to node, each whole or not at all, in order within a lane and a
/// link. May lose any when a link breaks. Thread: any.
class Transport {
 public:
  virtual ~Transport() = default;
  /// False: no link, the frame is too large, or too much waits; never blocks.
  virtual bool send(const std::string& to, Lane lane, std::string frame) = 0;
  /// Ends the link with a node, if there is one; it is made anew, and the two judge each other
  /// by what they say of themselves then.
  virtual void meet_again(const std::string& /*node*/) {}
};

}  // namespace clickmill::peer
