#pragma once

#include <cstdint>
#include <string>

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
  std::string version;  ///< of the program, for people
};

/// Told by a Transport. Thread: the transport's; must not block.
class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual void on_frame(const std::string& from, Lane lane, std::string&& frame) = 0;
  /// A link is there: whatever was on its way before may be gone.
  virtual void on_link_up(const Hello& peer) = 0;
  /// `refused`: the machine answers and nobody listens there, or the peer sent us away; `why` is
  /// for people.
  virtual void on_link_down(const std::string& peer, bool refused, const std::string& why) = 0;
};

/// Brings frames from node to node, each whole or not at all, in order within a lane and a
/// link. May lose any when a link breaks. Thread: any.
class Transport {
 public:
  virtual ~Transport() = default;
  /// False: no link, or too much waits; never blocks.
  virtual bool send(const std::string& to, Lane lane, std::string frame) = 0;
};

}  // namespace clickmill::peer
