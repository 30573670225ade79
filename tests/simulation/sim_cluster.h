#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "simulation/ad_clients.h"
#include "simulation/clients.h"
#include "simulation/quiet_log.h"
#include "simulation/sim_clock.h"
#include "simulation/sim_network.h"
#include "simulation/sim_node.h"

namespace clickmill::simulation {

/// A cluster as it runs, N of the product's Machines, on virtual time, disks and network; one
/// thread, one seed.
///
/// Fault model: SimNode's disk, SimNetwork's links, SimClock's clocks. A healthy cluster is owed
/// that most nodes' time is right, give or take a minute (it stays ahead when a clock that was
/// believed goes back), that none is believed (NodeClock) to be more than a day ahead, and that
/// an empty disk's clock is right: what it stamps far in the past is stale.
///
/// Watched from outside at every step: an offset that is committed anywhere holds one entry
/// everywhere and for ever (paper 5.4); a term of a group has one leader (5.2); what a node
/// has committed or applied never falls while it runs; log time never falls; what a node has
/// received is counted, a duplicate or in review; no reader of the ads sees one that was
/// never committed, or an older one than before, be it over a restart; no disk that kept what it
/// promised is taken for one that didn't.
class SimCluster {
 public:
  struct Options {
    size_t nodes = 3;
    uint32_t partitions = 2;
    uint64_t spool_memory_bytes = 64 << 20;
    bool answers_wait_for_commit = false;
    /// How many of the nodes begin the groups; the others come to them.
    size_t founders = 3;
    /// Of each partition, where that is not one on every node.
    uint32_t copies = 0;
    /// Blocks are segments of their own, and go within two hours.
    bool short_logs = false;
    int64_t stale_after_hours = 72;  ///< of settings
    /// Parts come often, and go together at once.
    bool shelves = false;
    bool check_claims = true;
    Careless careless{};
    bool rots_on_the_way = false;  ///< what is large, on the network
    FeatureLevels levels{1, 1};    ///< of the version that all begin with
  };
  SimCluster(uint64_t seed, Options options);
  ~SimCluster();

  std::optional<std::string> open(size_t node);
  void die(size_t node, bool power_loss);
  /// Its machine is replaced by an empty one of the same name.
  void wipe(size_t node);
  /// Its partitions may be lost to damage, until they come back by themselves.
  /// For so long it does nothing, and then goes on.
  void pause(size_t node, int64_t ms) { nodes_[node].paused_until_ms = clock.wall_ms() + ms; }
  /// Its disk syncs nothing for so long.
  void stall_disk(size_t node, int64_t ms) { nodes_[node].stalled_until_ms = clock.wall_ms() + ms; }

  /// `recover --force-quorum` on its disk: it goes on alone, in a new epoch.
  std::optional<std::string> force(size_t node);
  /// The same with surveys, on several: they go on together, and what nobody has begins empty.
  std::optional<std::string> force_together(const std::vector<size_t>& left);
  /// Groups that went on from one copy then, and that had none.
  uint64_t forced() const { return forced_; }
  uint64_t lost() const { return lost_; }
  /// `cluster rejoin` on its disk. `with_clicks` false: those that it has answered are lost.
  std::optional<std::string> rejoin(size_t node, bool with_clicks = true);
  /// What stands on the disk of a node that is down.
  struct Image {
    std::map<std::string, std::string> files;
    state::MemoryStore::Image state;
  };
  Image image(size_t node) const;
  /// Its disk is what it was then.
  void put_back(size_t node, const Image& image);
  /// It starts as another disk, having been told that it is an old image.
  void rename_disk(size_t node);
  /// It stops, and is started with another version; see SimNode::install.
  std::optional<std::string> restart_with(size_t node, FeatureLevels levels, FeatureLevel hold = 0);
  /// Its partitions may stop over damage, and heal.
  void expect_damage(size_t node) { nodes_[node].may_stop = true; }

  /// Ten virtual milliseconds of everybody; what was seen that must never be.
  std::optional<std::string> step();
  /// All run, all is mended: until spools are empty and all logs equal, or 60 s have passed.
  std::optional<std::string> settle();
  /// At the end: every acknowledged click once on every node, and all nodes agree.
  std::optional<std::string> check(const Clients& clients) const;

  bool alive(size_t node) const { return nodes_[node].sim->alive(); }
  size_t size() const { return nodes_.size(); }
  SimNode& node(size_t at) { return *nodes_[at].sim; }
  SimNetwork& network() { return network_; }
  SimClock& clock_of(size_t at) { return *nodes_[at].clock; }
  /// And all nodes have the same ads, which are what their keepers were told.
  std::optional<std::string> check(const AdClients& clients) const;
  /// Of a group; nothing when nobody leads surely.
  std::optional<size_t> leader(uint32_t group) const;
  /// A node may have had it before there was a cluster.
  void expect_ad(const catalog::Ad& ad) { urls_[ad.redirect_url] = 0; }
  /// The group of the ads.
  uint32_t ads() const { return options_.partitions; }
  /// By all nodes that lived until now.
  uint64_t states_taken() const;
  /// The same: how often parts of several partitions went into one file.
  uint64_t shelved() const;
  /// Of states on their way, how often a node died that took one, or gave one.
  uint64_t states_interrupted() const { return states_interrupted_; }
  uint64_t elections() const { return leaders_.size(); }
  uint64_t committed() const;
  /// Of who led and what was committed: a seed gives the same each time.
  uint64_t trace() const;

  const QuietLog quiet;
  /// The world's; each node has its own beside it.
  ManualClock clock{1'782'295'200'000};

 private:
  struct Node {
    std::unique_ptr<SimClock> clock;
    std::unique_ptr<SimNode> sim;
    uint64_t storage = 0;
    int64_t paused_until_ms = 0;
    int64_t stalled_until_ms = 0;
    int64_t stepped_ms = 0;
    int64_t beat_ms = 0;
    bool may_stop = false;
    bool may_forget = false;
    uint64_t epoch = 1;
    std::vector<Offset> checked;           ///< by group: up to where it was compared
    std::map<std::string, uint64_t> seen;  ///< by ad: the newest state that was read
    FeatureLevel level = 0;                ///< that it knew
  };
  struct Told {
    Term term;
    uint64_t hash;
    LogMs append_ms;
    bool operator==(const Told&) const = default;
  };
  std::unique_ptr<SimNode> make(size_t at, uint64_t storage);
  void forget(size_t group, Offset committed);
  std::optional<std::string> run(size_t at);
  std::optional<std::string> watch(size_t at);
  std::optional<std::string> watch_log(size_t at, const cluster::GroupMember& group);
  std::optional<std::string> watch_tally(size_t at, const cluster::Partition& partition);
  std::optional<std::string> watch_ads(size_t at);
  std::optional<std::string> watch_level(size_t at);
  void note_ads(const log::Entry& entry);
  void note_states(size_t at);
  std::optional<std::string> wait_for_clocks();
  std::optional<std::string> replace_failed();
  std::optional<std::string> why_not_settled() const;
  std::optional<std::string> why_not_placed() const;
  std::optional<std::string> check_copies(const Clients& clients) const;
  /// Nodes that hold the partition.
  std::vector<size_t> holders(uint32_t partition) const;

  const Options options_;
  Random random_;
  raft::Membership founders_;
  uint64_t next_storage_ = 1;
  uint64_t epoch_ = 1;          ///< the newest
  std::vector<Offset> common_;  ///< by partition: what it has in common with the one before
  SimNetwork network_;
  std::vector<Node> nodes_;
  std::vector<std::map<Offset, Told>> ledger_;        ///< by group, by an entry's end
  std::vector<std::map<Offset, log::Entry>> clicks_;  ///< the entries of the same that hold some
  uint64_t forced_ = 0;
  uint64_t lost_ = 0;
  uint64_t shelved_ = 0;
  uint64_t states_taken_ = 0;  ///< by nodes that died
  uint64_t states_interrupted_ = 0;
  std::map<std::string, uint64_t> urls_;  ///< of ads that were committed: when
  std::map<std::pair<uint32_t, Term>, size_t> leaders_;
};

}  // namespace clickmill::simulation
