#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster/beat.h"
#include "cluster/clock_verdict.h"
#include "raft/core.h"

namespace clickmill::cluster {

/// What a node knows of its peers by their beats and claims, and what it tells them of itself.
///
/// The peer thread sends each peer beat_to() every 100 ms, behind the Claims that the peer has
/// not echoed (unechoed()), and hands in what arrives. A worker tells in each of its loops what
/// it leads; when that is news it is sent at once, before the next beat: a beat that tells of a
/// newer claim than was heard makes the older one void.
///
/// A node is known by its life (drawn at each start), so that nothing of a former life, echoes
/// and claims included, is taken for one of this one. Times are passed in: `now_ns` is
/// monotonic, `wall_ms` is the node's time (NodeClock), which is what the clocks are judged by.
/// Who is no peer is unheard of: nothing is kept of it.
/// Thread: any. One mutex guards all: the peer thread writes a few times in 100 ms, and each
/// worker reads once per group and tick what it must see as one; nothing else is locked under it.
class Sights {
 public:
  struct Options {
    std::string node;                ///< the own one
    std::vector<std::string> peers;  ///< all others of the cluster
    uint32_t workers = 1;            ///< of this node
    raft::StorageId storage;
    uint64_t life = 0;           ///< random, not 0
    size_t copies = 0;           ///< of each partition; 0: every node has one
    uint32_t heard_ms = 800;     ///< what is older says nothing; covers a paused worker
    uint32_t refused_ms = 600;   ///< of silence that a refused connection counts for
    uint32_t offset_ms = 3'000;  ///< how long a measured clock stays known
  };
  explicit Sights(Options options);

  // Told to peers.

  /// The next beat for this peer. The caller adds fit, the ages of the workers' last loops
  /// and, about once a second, low-waters.
  Beat beat_to(const std::string& peer, int64_t now_ns, int64_t wall_ms);
  /// What an own worker leads now, sorted by group. True: that is news, to be sent to every
  /// peer at once.
  bool claim(uint32_t worker, std::vector<Claims::Led> led);
  /// Of an own worker; number 0 before its first.
  Claims claims(uint32_t worker) const;
  /// Claims that this peer has not echoed yet.
  std::vector<Claims> unechoed(const std::string& peer) const;

  // Told by peers.

  void heard(const std::string& peer, const Beat& beat, int64_t now_ns, int64_t wall_ms);
  void claimed(const std::string& peer, Claims claims);
  void link_up(const std::string& peer, std::string version);
  /// `refused`: its machine answers and nobody listens there, which is soon the end of it.
  void link_down(const std::string& peer, bool refused, int64_t now_ns);

  // Known of peers.

  /// Nothing is seen of the own node: who asks is there.
  raft::Sight sight_of(const raft::Member& member, uint32_t group, int64_t now_ns) const;
  /// Who claims to lead the group, in which term; of several the newest. Nothing: no peer that is
  /// heard does. So a node knows the leaders of groups that it is no member of.
  std::optional<std::pair<std::string, Term>> leader_of(uint32_t group, int64_t now_ns) const;
  /// That its newest beat told, however long ago.
  std::optional<raft::StorageId> storage_of(const std::string& node) const;
  bool heard(const std::string& node, int64_t now_ns) const;
  /// It is heard and says that it may lead.
  bool fit(const std::string& node, int64_t now_ns) const;
  struct LowWater {
    ArrivalMs value;
    int64_t heard_ns;
  };
  /// The newest that this node told; nothing before its first.
  std::optional<LowWater> low_water(const std::string& node, PartitionId partition) const;
  /// Whether the own clock may set log time; see cluster/clock_verdict.h.
  /// `few_decide`: whether a majority of copies may be enough; not before the others have had time
  /// to be heard.
  bool clock_is_fit(int64_t now_ns, bool synchronised, bool few_decide = true) const;

  struct PeerView {
    std::string node;
    bool up = false;   ///< a link is there
    bool fit = false;  ///< as of its newest beat
    bool heard = false;
    raft::StorageId storage;           ///< 0: never heard
    std::string version;               ///< of its program, at the last link
    std::optional<int64_t> age_ms;     ///< of its newest beat
    std::optional<int64_t> rtt_us;     ///< the newest measured, however long ago
    std::optional<ClockOffset> clock;  ///< while it is known
  };
  /// By node.
  std::vector<PeerView> view(int64_t now_ns) const;

 private:
  struct Peer {
    bool up = false;
    std::string version;
    std::optional<Beat> beat;  ///< the newest; without low-waters
    int64_t beat_ns = 0;       ///< when it came
    int64_t silent_ns = 0;     ///< since when it counts as silent: not after beat_ns
    uint64_t sent = 0;         ///< number of the last beat to it
    std::deque<std::pair<uint64_t, int64_t>> sent_ns;  ///< of the last ones, by number
    std::optional<int64_t> echoed_ns;  ///< when the newest beat of ours was sent that it heard
    std::optional<int64_t> rtt_us;
    ClockOffset clock;
    std::optional<int64_t> clock_ns;  ///< when it was measured
    std::optional<LowWaters> low_waters;
    int64_t low_waters_ns = 0;
    std::map<uint32_t, Claims> claims;  ///< by its worker
  };

  Peer* find(const std::string& node);
  const Peer* find(const std::string& node) const;
  bool is_young(int64_t since_ns, int64_t now_ns) const;
  bool is_heard(const Peer& peer, int64_t now_ns) const;
  std::optional<ClockOffset> clock_of(const Peer& peer, int64_t now_ns) const;
  static Term led_by(const Peer& peer, uint32_t worker, uint32_t group);
  void take_echo(Peer& peer, const Beat& beat, int64_t now_ns, int64_t wall_ms) const;

  const Options options_;
  mutable std::mutex mutex_;
  std::map<std::string, Peer> peers_;
  std::vector<Claims> own_;  ///< by worker
};

}  // namespace clickmill::cluster
