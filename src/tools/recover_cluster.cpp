#include "tools/recover_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/overlay_file_system.h"
#include "base/random.h"
#include "base/time_text.h"
#include "engine/cluster_file.h"
#include "state/store.h"
#include "tools/force_plan.h"
#include "tools/forced_epoch.h"
#include "tools/node_api.h"
#include "tools/recover.h"
#include "tools/restored_life.h"

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

  /// What is here.
  Status look() {
    OverlayFileSystem untouched(files_);
    NodeClock clock(clock_);
    auto found = survey_all_groups(untouched, clock, forced());
    if (!found) return std::move(found).error();
    groups_ = *std::move(found);
    std::vector<raft::StorageId> former;
    for (const auto& one : cluster_->former()) former.push_back(one.storage);
    restored_ = take_former_disks(groups_, self(), former);
    return {};
  }
  Survey survey() const {
    Survey survey{self(), *cluster_->founded(), groups_, restored_};
    survey.founded.seed = 0;
    return survey;
  }

  /// Says what will become of it if this node goes on alone.
  Status plan_alone() {
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

  /// Says what will become of all of it if the surveyed nodes go on together.
  Status plan_together(std::vector<Survey> surveys, bool begin_empty) {
    const auto own =
        std::ranges::find(surveys, config_.node_id, [](const Survey& of) { return of.self.node; });
    if (own == surveys.end())
      return Error(Errc::invalid,
                   fmt::format("no survey of {} is among those of --with", config_.node_id));
    const auto& founded = *cluster_->founded();
    const Survey said = *own;
    plan_ = TRY(plan_force(std::move(surveys)));
    if (plan_->gone.empty() && plan_->of(ForcePlan::Group::Fate::forced).empty())
      return Error(Errc::invalid, "these are surveys of all nodes of the cluster: start them");
    say_plan();
    if (founded.epoch == plan_->epoch.number && founded.epoch_random == plan_->epoch.random) {
      print_(fmt::format("{} is in that epoch already; what is missing is done.", config_.node_id));
    } else if (!(said == survey())) {
      return Error(Errc::invalid, fmt::format("{} is not as its survey says any more: stop all "
                                              "nodes that go on, and make all surveys again",
                                              config_.node_id));
    }
    const auto lost = plan_->of(ForcePlan::Group::Fate::lost);
    if (lost.empty() || begin_empty) return {};
    return Error(Errc::invalid,
                 fmt::format("no copy is left of partition{} {}: if a node that has one can still "
                             "be started, survey it too; --begin-empty gives up what was counted "
                             "there",
                             lost.size() == 1 ? "" : "s", fmt::join(lost, ", ")));
  }

  Status force_together() {
    cluster::Lineage lineage{*cluster_->founded(), cluster_->epochs()};
    if (lineage.founded.epoch != plan_->epoch.number) {
      lineage.founded.epoch = plan_->epoch.number;
      lineage.founded.epoch_random = plan_->epoch.random;
      lineage.epochs.push_back(plan_->epoch);
      TRY(cluster_->save(lineage));
    }
    const auto orders = plan_->orders_of(config_.node_id);
    if (std::ranges::any_of(
            orders, [](const auto& order) { return order && order->empty_at != Offset(0); })) {
      state_.reset();
      state_ = TRY(state::open_rocks_store(dir_->state(), kStateCacheBytes));
    }
    NodeClock clock(clock_);
    TRY(take_ordered_groups(files_, clock, forced(), orders));
    print_(fmt::format("done: {} goes on in epoch {}; start it once this has been done on {}",
                       config_.node_id, plan_->epoch.number, fmt::join(plan_->survivors, ", ")));
    return {};
  }

  /// For the operator, who is to bring the survey to the others.
  void say_survey(const std::string& path) const {
    const auto held = std::count_if(groups_.begin(), groups_.end() - 1, [&](const auto& group) {
      return group.usable && group.members.contains(self().storage);
    });
    print_(fmt::format("{} has a copy of {} of {} partitions, and of the ads: written to {}.",
                       config_.node_id, held, config_.log.partitions, path));
    print_(
        "Leave the node stopped (a service that a reboot would start, disabled), survey every "
        "other one that is left, and run on each of them, first without --yes on all: "
        "clickmill recover --force-quorum --config FILE --with SURVEY --with SURVEY …");
  }

 private:
  raft::Member self() const { return {config_.node_id, cluster_->storage_id()}; }

  ForcedEpoch forced() {
    ForcedEpoch forced;
    forced.paths = dir_->paths();
    forced.partitions = config_.log.partitions;
    forced.self = self();
    forced.founded = *cluster_->founded();
    forced.state = state_.get();
    return forced;
  }

  /// As the only voter of a partition that it never had it would have lost all of it.
  Status check_whole() const {
    for (uint32_t id = 0; id < config_.log.partitions; ++id) {
      if (groups_[id].usable && groups_[id].members.contains(self().storage)) continue;
      return Error(
          Errc::invalid,
          fmt::format("{} does not hold partition {}, and so can't go on alone. With every node "
                      "that is left stopped, run on each: recover --force-quorum --config FILE "
                      "--survey OUT; and then on each, with all of these: recover --force-quorum "
                      "--config FILE --with SURVEY --with SURVEY …",
                      config_.node_id, id));
    }
    return {};
  }

  void say_plan() const {
    using Fate = ForcePlan::Group::Fate;
    const auto partitions = [this](uint32_t id) {
      return id == config_.log.partitions ? std::string("the ads")
                                          : fmt::format("partition {}", id);
    };
    print_(fmt::format("{} go on in epoch {} of cluster {:016x}.",
                       fmt::join(plan_->survivors, " and "), plan_->epoch.number,
                       cluster_->founded()->cluster_id));
    const std::string gone = fmt::format("{}", fmt::join(plan_->gone, " and "));
    if (!gone.empty())
      print_(
          fmt::format("Left behind: {}. What of it starts again is refused, and votes and leads "
                      "no more; `clickmill cluster rejoin` on its machine brings it back, with "
                      "every click that it has answered.",
                      gone));
    print_(
        fmt::format("{} of {} groups (partitions, and the ads) have a majority of their voters "
                    "here: they lose nothing.",
                    plan_->of(Fate::stays).size(), plan_->groups.size()));
    for (const uint32_t id : plan_->of(Fate::forced)) {
      const auto& group = plan_->groups[id];
      print_(
          fmt::format("{}: goes on from the copy of {}, whose newest entry is of {}; {} of the "
                      "last ones may not have been committed, and count from now on.",
                      partitions(id), group.by,
                      group.newest == LogMs(0) ? "no time" : format_time_ms(group.newest.value()),
                      group.uncertain.value()));
      if (!group.longer.empty())
        print_(
            fmt::format("{}: the log of {} has {} entries behind that, but {} has lost what was "
                        "counted and can't be gone on from: they are given up.",
                        partitions(id), group.longer, group.given_up.value(), group.longer));
    }
    for (const uint32_t id : plan_->of(Fate::lost))
      print_(
          fmt::format("{}: no copy is left; with --begin-empty it begins empty on {}, and all "
                      "that was counted there is gone.",
                      partitions(id), plan_->groups[id].by));
    if (!gone.empty() && plan_->of(Fate::stays).size() < plan_->groups.size())
      print_(
          fmt::format("May be lost of the others: what {} had committed and the copy here had "
                      "not received, for as long as it does not rejoin, and for good if its "
                      "disk is gone.",
                      gone));
    if (restored_)
      print_(
          fmt::format("This is cluster {:016x} still: a node of it that is alive, and can be "
                      "reached, is left behind as soon as it hears of the new epoch.",
                      cluster_->founded()->cluster_id));
    if (restored_)
      print_(
          "What came after a backup is lost, but for what another one has, and for what a node "
          "of before brings back when it rejoins.");
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
  bool restored_ = false;
  std::optional<ForcePlan> plan_;
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

Result<std::vector<Survey>> read_surveys(FileSystem& files, const std::vector<std::string>& paths) {
  std::vector<Survey> surveys;
  for (const std::string& path : paths) {
    auto survey = survey_of(TRY(read_file(files, path)));
    if (!survey) return std::move(survey).error().with_context(path);
    surveys.push_back(*std::move(survey));
  }
  return surveys;
}

/// Damage of the journal has to be dealt with before this node's word on what it has counts.
Status look(ForcedQuorum& quorum, const char* hint) {
  TRY(quorum.open());
  auto looked = quorum.look();
  if (!looked && looked.error().code() == Errc::corrupt)
    return std::move(looked).error().with_context(hint);
  return looked;
}

Result<int> go_on_together(const ForceOptions& options, ForcedQuorum& quorum, FileSystem& files,
                           const Print& print) {
  TRY(look(quorum, "a damaged node can't go on with others; leave it out, and let it rejoin"));
  auto surveys = TRY(read_surveys(files, options.with));
  TRY(quorum.plan_together(std::move(surveys), options.begin_empty));
  if (!options.yes) {
    print("Nothing was changed; --yes does it.");
    return kUnchanged;
  }
  TRY(quorum.force_together());
  return kDone;
}

}  // namespace

Result<int> recover_cluster(const engine::Config& config, const ForceOptions& options,
                            FileSystem& files, Clock& clock, const Print& print,
                            const Print& tell) {
  TRY(check_gone(config, tell));
  ForcedQuorum quorum(config, files, clock, print);
  if (!options.survey.empty()) {
    TRY(look(quorum, "a damaged node can't be surveyed; leave it out, and let it rejoin"));
    TRY(write_file_atomically(files, options.survey, to_json(quorum.survey())));
    quorum.say_survey(options.survey);
    return kDone;
  }
  if (!options.with.empty()) return go_on_together(options, quorum, files, print);
  bool damaged = false;
  if (options.yes) {
    const auto salvaged = TRY(recover_by_force(config, files, clock, tell));
    damaged = salvaged.found_damage;
    for (const std::string& line : salvaged.report)
      if (damaged) print(line);
  }
  TRY(look(quorum, options.yes ? "" : "with --yes this is left out first"));
  TRY(quorum.plan_alone());
  if (!options.yes) {
    print("Nothing was changed; --yes does it.");
    return kUnchanged;
  }
  TRY(quorum.force());
  return damaged ? kFoundDamage : kDone;
}

}  // namespace clickmill::tools
