#include "tools/recover_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/overlay_file_system.h"
#include "base/random.h"
#include "base/time_text.h"
#include "engine/cluster_file.h"
#include "state/slots.h"
#include "state/store.h"
#include "stream/checkpoint.h"
#include "tools/forced_epoch.h"
#include "tools/node_api.h"
#include "tools/recover.h"

namespace clickmill::tools {
namespace {

constexpr uint64_t kStateCacheBytes = 16 << 20;
constexpr int kDone = 0;
constexpr int kFoundDamage = 1;
constexpr int kUnchanged = 2;

class ForcedQuorum {
 public:
  ForcedQuorum(const engine::Config& config, FileSystem& files, Clock& clock, const Print& print)
      : config_(config), files_(files), clock_(clock), print_(print) {}

  Status open() {
    if (!files_.exists(config_.data_dir + "/node"))
      return Error(Errc::not_found, "no clickmill data directory", config_.data_dir);
    dir_ = TRY(
        engine::DataDir::open(files_, config_.data_dir, config_.node_id, config_.log.partitions));
    if (!files_.exists(config_.data_dir + "/cluster"))
      return Error(Errc::invalid, "this data directory belongs to no cluster", config_.data_dir);
    cluster_ = TRY(engine::ClusterFile::open_or_make(files_, config_.data_dir));
    if (!cluster_->founded())
      return Error(Errc::invalid, "this data directory belongs to no cluster", config_.data_dir);
    if (files_.exists(dir_->state()))
      state_ = TRY(state::open_rocks_store_read_only(dir_->state(), kStateCacheBytes));
    return {};
  }

  /// What is here, and what will become of it.
  Status survey() {
    OverlayFileSystem untouched(files_);
    NodeClock clock(clock_);
    auto found = take_all_groups(untouched, clock, forced());
    if (!found) return std::move(found).error();
    groups_ = *std::move(found);
    TRY(check_whole());
    std::set<std::string> others;
    for (const ForcedGroup& group : groups_) {
      for (const raft::Member& member : group.members.all())
        if (member.node != config_.node_id) others.insert(member.node);
    }
    if (others.empty()) {
      return Error(Errc::invalid, fmt::format("{} is the only member of every group already: start "
                                              "it",
                                              config_.node_id));
    }
    say(others);
    return {};
  }

  Status force() {
    cluster::Lineage lineage{*cluster_->founded(), cluster_->epochs()};
    cluster::Epoch epoch;
    epoch.number = ++lineage.founded.epoch;
    epoch.random = lineage.founded.epoch_random = secure_random_u64();
    for (const ForcedGroup& group : groups_) epoch.committed.push_back(group.committed);
    lineage.founded.founders = {self()};
    lineage.epochs.push_back(std::move(epoch));
    // First: an only voter in the old epoch could meet the others and be one of two truths.
    TRY(cluster_->save(lineage));
    NodeClock clock(clock_);
    TRY(take_all_groups(files_, clock, forced()));
    print_(fmt::format("done: {} goes on alone in epoch {} when it is started", config_.node_id,
                       lineage.founded.epoch));
    return {};
  }

 private:
  raft::Member self() const { return {config_.node_id, cluster_->storage_id()}; }

  ForcedEpoch forced() {
    ForcedEpoch forced;
    forced.paths = dir_->paths();
    forced.partitions = config_.log.partitions;
    forced.self = self();
    forced.founders.voters = cluster_->founded()->founders;
    forced.applied = [this](PartitionId id) -> Result<Offset> {
      if (!state_) return Offset(0);
      const auto standing = TRY(state::read_standing(id, *state_));
      const auto checkpoint = TRY(stream::read_checkpoint(standing.current(), *state_));
      return checkpoint ? checkpoint->applied : Offset(0);
    };
    return forced;
  }

  /// As the only voter of a partition that it never had it would have lost all of it.
  Status check_whole() const {
    for (uint32_t id = 0; id < config_.log.partitions; ++id) {
      const ForcedGroup& group = groups_[id];
      const auto members = group.last == Offset(0)
                               ? cluster_->founded()->voters_of(PartitionId(id)).all()
                               : group.members.all();
      if (std::any_of(members.begin(), members.end(),
                      [&](const auto& member) { return member.node == config_.node_id; }))
        continue;
      return Error(
          Errc::invalid,
          fmt::format("{} does not hold partition {}: a node can go on alone only where every "
                      "partition is on every node (cluster.replication as high as there are nodes)",
                      config_.node_id, id));
    }
    return {};
  }

  void say(const std::set<std::string>& others) {
    const std::string names = fmt::format("{}", fmt::join(others, " and "));
    LogMs newest;
    uint64_t behind = 0;
    for (const ForcedGroup& group : groups_) {
      newest = std::max(newest, group.newest);
      behind += group.last - std::min(group.last, group.committed);
    }
    print_(
        fmt::format("{} becomes the only voter of {} partitions and of the ads, in epoch {} of "
                    "cluster {:016x}.",
                    config_.node_id, config_.log.partitions, cluster_->founded()->epoch + 1,
                    cluster_->founded()->cluster_id));
    print_(
        fmt::format("{} is left behind: should it start again, it is refused, and votes and "
                    "leads no more. `clickmill cluster rejoin` on its machine brings it back, "
                    "with every click that it has answered.",
                    names));
    print_(
        fmt::format("The newest entry here is of {}; {} of the last ones may not have been "
                    "committed, and count from now on.",
                    newest == LogMs(0) ? "no time" : format_time_ms(newest.value()), behind));
    print_(
        fmt::format("May be lost: what {} had committed and this node had not received, for as "
                    "long as it does not rejoin, and for good if its disk is gone. Nobody can "
                    "tell from here how much that is.",
                    names));
  }

  const engine::Config& config_;
  FileSystem& files_;
  Clock& clock_;
  const Print& print_;
  std::unique_ptr<engine::DataDir> dir_;
  std::unique_ptr<engine::ClusterFile> cluster_;
  std::unique_ptr<state::Store> state_;
  std::vector<ForcedGroup> groups_;
};

/// Who is there needs no force, and would be left behind.
Status check_gone(const engine::Config& config, const Print& tell) {
  for (const auto& peer : config.cluster->peers) {
    if (peer.node_id == config.node_id) continue;
    const auto api = TRY(NodeApi::open(api_url(config, peer), ""));
    tell(fmt::format("asking {} at {} whether it is gone", peer.node_id, api->url()));
    if (!api->get("/healthz")) continue;
    return Error(Errc::invalid, fmt::format("{} answers at {}: stop it first, if it is to be left "
                                            "behind",
                                            peer.node_id, api->url()));
  }
  return {};
}

}  // namespace

Result<int> recover_cluster(const engine::Config& config, bool yes, FileSystem& files, Clock& clock,
                            const Print& print, const Print& tell) {
  TRY(check_gone(config, tell));
  bool damaged = false;
  if (yes) {
    const auto salvaged = TRY(recover_by_force(config, files, clock, tell));
    damaged = salvaged.found_damage;
    for (const std::string& line : salvaged.report)
      if (damaged) print(line);
  }
  ForcedQuorum quorum(config, files, clock, print);
  TRY(quorum.open());
  if (auto surveyed = quorum.survey(); !surveyed) {
    if (surveyed.error().code() == Errc::corrupt && !yes)
      return std::move(surveyed).error().with_context("with --yes this is left out first");
    return std::move(surveyed).error();
  }
  if (!yes) {
    print("Nothing was changed; --yes does it.");
    return kUnchanged;
  }
  TRY(quorum.force());
  return damaged ? kFoundDamage : kDone;
}

}  // namespace clickmill::tools
