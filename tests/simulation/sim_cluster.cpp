#include "simulation/sim_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/overlay_file_system.h"
#include "tools/force_plan.h"
#include "tools/forced_epoch.h"

namespace clickmill::simulation {
namespace {

constexpr int64_t kStepMs = 10;
constexpr int64_t kLoopMs = 50;
constexpr int64_t kBeatMs = 100;

uint64_t hash_of(const log::Entry& entry) {
  std::string bytes;
  log::encode_entry(entry, bytes);
  return xxh64_of(bytes);
}

}  // namespace

SimCluster::SimCluster(uint64_t seed, Options options)
    : options_(options), random_(seed), network_(seed + 1, options.nodes, clock) {
  for (size_t i = 0; i < std::min(options.nodes, options.founders); ++i)
    founders_.voters.push_back({SimNetwork::name_of(i), raft::StorageId(i + 1)});
  ledger_.resize(options.partitions + 1);
  clicks_.resize(options.partitions + 1);
  nodes_.resize(options.nodes);
  network_.rot(options.rots_on_the_way);
  network_.set_introduce(
      [this](size_t at, peer::Hello& hello) { node(at).machine().peers()->tell_levels(hello); });
  network_.set_left_behind([this](size_t at) { node(at).machine().peers()->leave_behind(); });
  for (size_t i = 0; i < options.nodes; ++i) {
    nodes_[i].clock = std::make_unique<SimClock>(clock);
    nodes_[i].sim = make(i, next_storage_++);
  }
}

std::unique_ptr<SimNode> SimCluster::make(size_t at, uint64_t storage) {
  SimNode::Options of;
  of.node_id = SimNetwork::name_of(at);
  of.nodes.clear();
  for (size_t i = 0; i < options_.nodes; ++i) of.nodes.push_back(SimNetwork::name_of(i));
  of.partitions = options_.partitions;
  of.spool_memory_bytes = options_.spool_memory_bytes;
  of.answers_wait_for_commit = options_.answers_wait_for_commit;
  of.storage = storage;
  of.check_claims = options_.check_claims;
  of.careless = options_.careless;
  of.stale_after_hours = options_.stale_after_hours;
  of.founders = founders_;
  of.copies = options_.copies;
  of.transport = &network_.transport(at);
  of.levels.levels = nodes_[at].sim ? nodes_[at].sim->levels() : options_.levels;
  of.levels.steady_ms = 3'000;
  nodes_[at].level = 0;
  of.shelves = options_.shelves;
  if (options_.short_logs) {
    of.segment_bytes = 1 << 10;
    of.log_age_ms = kHourMs / 2;
  }
  nodes_[at].storage = storage;
  nodes_[at].epoch = epoch_;
  nodes_[at].may_forget = options_.careless.syncs_nothing;
  return std::make_unique<SimNode>(random_.next(), *nodes_[at].clock, of);
}

void SimCluster::wipe(size_t at) {
  if (alive(at)) die(at, true);
  nodes_[at].seen.clear();
  nodes_[at].sim = make(at, next_storage_++);
}

namespace {

tools::ForcedEpoch forced_on(SimNode& node, raft::Member self, const raft::Membership& founders,
                             uint32_t copies) {
  tools::ForcedEpoch forced;
  forced.paths = SimNode::paths();
  forced.partitions = node.partition_count();
  forced.self = std::move(self);
  forced.founded.partitions = forced.partitions;
  forced.founded.copies = copies;
  forced.founded.founders = founders.voters;
  forced.journal = node.journal_options();
  forced.state = &node.state;
  return forced;
}

}  // namespace

/// Of a group from `committed` on: it may come to be something else.
void SimCluster::forget(size_t group, Offset committed) {
  ledger_[group].erase(ledger_[group].upper_bound(committed), ledger_[group].end());
  clicks_[group].erase(clicks_[group].upper_bound(committed), clicks_[group].end());
  if (group < options_.partitions) common_.push_back(committed);
}

std::optional<std::string> SimCluster::force(size_t at) {
  if (alive(at)) die(at, false);
  Node& node = nodes_[at];
  NodeClock node_clock(*node.clock);
  const auto forced = forced_on(*node.sim, {SimNetwork::name_of(at), raft::StorageId(node.storage)},
                                founders_, options_.copies);
  const auto taken = tools::take_all_groups(node.sim->files, node_clock, forced);
  if (!taken) return taken.error().text();
  founders_.voters = {forced.self};
  node.sim->set_founders(founders_);
  node.epoch = ++epoch_;
  common_.clear();
  // What others have committed behind it may come to be something else.
  for (size_t group = 0; group < taken->size(); ++group) forget(group, (*taken)[group].committed);
  return std::nullopt;
}

std::optional<std::string> SimCluster::force_together(const std::vector<size_t>& left) {
  std::vector<tools::Survey> surveys;
  for (const size_t at : left) {
    if (alive(at)) die(at, false);
    Node& node = nodes_[at];
    NodeClock node_clock(*node.clock);
    const auto forced =
        forced_on(*node.sim, {SimNetwork::name_of(at), raft::StorageId(node.storage)}, founders_,
                  options_.copies);
    OverlayFileSystem untouched(node.sim->files);
    auto groups = tools::survey_all_groups(untouched, node_clock, forced);
    if (!groups) return groups.error().text();
    surveys.push_back({forced.self, forced.founded, *std::move(groups)});
    // As it comes from a file.
    auto read = tools::survey_of(tools::to_json(surveys.back()));
    if (!read || !(*read == surveys.back())) return "a survey reads otherwise than it was written";
  }
  const auto plan = tools::plan_force(surveys);
  if (!plan) return plan.error().text();
  ++epoch_;
  for (const size_t at : left) {
    Node& node = nodes_[at];
    NodeClock node_clock(*node.clock);
    const auto forced =
        forced_on(*node.sim, {SimNetwork::name_of(at), raft::StorageId(node.storage)}, founders_,
                  options_.copies);
    // The second time is one that was interrupted behind the first.
    for (int turn = 0; turn < 2; ++turn) {
      auto done = tools::take_ordered_groups(node.sim->files, node_clock, forced,
                                             plan->orders_of(SimNetwork::name_of(at)));
      if (!done) return done.error().text();
    }
    node.epoch = epoch_;
  }
  using Fate = tools::ForcePlan::Group::Fate;
  common_.clear();
  for (size_t group = 0; group < plan->groups.size(); ++group) {
    const Offset committed = plan->epoch.committed[group];
    if (plan->groups[group].fate != Fate::stays) {
      forget(group, committed);
    } else if (group < options_.partitions) {
      common_.push_back(committed);
    }
  }
  forced_ += plan->of(Fate::forced).size();
  lost_ += plan->of(Fate::lost).size();
  return std::nullopt;
}

std::optional<std::string> SimCluster::rejoin(size_t at, bool with_clicks) {
  if (alive(at)) die(at, false);
  NodeClock node_clock(*nodes_[at].clock);
  const auto old = std::move(nodes_[at].sim);
  nodes_[at].seen.clear();
  nodes_[at].sim = make(at, next_storage_++);
  SimNode& fresh = *nodes_[at].sim;
  if (auto made = fresh.files.create_directories(SimNode::paths().root); !made)
    return made.error().text();
  auto writer = tools::SpoolWriter::open(fresh.files, SimNode::paths().journal(), node_clock,
                                         fresh.journal_options());
  if (!writer) return writer.error().text();
  auto visited = tools::visit_left_clicks(
      old->files, node_clock, SimNode::paths(), old->journal_options(), common_,
      [&](PartitionId partition, std::string_view record) -> Status {
        return with_clicks ? writer->add(partition, record) : Status();
      });
  if (visited) visited = writer->finish();
  if (!visited) return visited.error().text();
  return std::nullopt;
}

namespace {

void read_all(FileSystem& files, const std::string& folder,
              std::map<std::string, std::string>& out) {
  const auto names = files.list(folder);
  if (!names) return;
  for (const std::string& name : *names) {
    const std::string path = folder + "/" + name;
    if (auto bytes = read_file(files, path)) {
      out[path] = *std::move(bytes);
    } else {
      read_all(files, path, out);
    }
  }
}

}  // namespace

SimCluster::Image SimCluster::image(size_t at) const {
  Image image;
  SimNode& node = *nodes_[at].sim;
  read_all(node.files, SimNode::paths().root, image.files);
  image.state = node.state.snapshot();
  return image;
}

void SimCluster::put_back(size_t at, const Image& image) {
  const uint64_t storage = nodes_[at].storage;
  nodes_[at].sim = make(at, storage);
  nodes_[at].seen.clear();
  nodes_[at].may_forget = true;
  SimNode& node = *nodes_[at].sim;
  for (const auto& [path, bytes] : image.files) {
    const std::string folder = path.substr(0, path.rfind('/'));
    ignore(node.files.create_directories(folder), "the next call says so");
    CM_ASSERT(write_file_atomically(node.files, path, bytes).has_value());
  }
  node.state.restore(image.state);
}

void SimCluster::rename_disk(size_t at) {
  nodes_[at].storage = next_storage_++;
  nodes_[at].may_forget = false;
  nodes_[at].sim->set_storage(nodes_[at].storage);
}

SimCluster::~SimCluster() {
  for (size_t i = 0; i < nodes_.size(); ++i) network_.attach(i, nullptr, 0);
}

std::optional<std::string> SimCluster::open(size_t at) {
  Node& node = nodes_[at];
  if (auto problem = node.sim->open()) {
    // As its process does that can't start.
    node.sim->die(false);
    return fmt::format("n{}: {}", at + 1, *problem);
  }
  node.paused_until_ms = node.stalled_until_ms = 0;
  node.checked.assign(options_.partitions + 1, Offset(0));
  node.level = 0;
  network_.attach(at, node.sim->machine().peers(), node.storage, node.epoch);
  return std::nullopt;
}

std::optional<std::string> SimCluster::restart_with(size_t at, FeatureLevels levels,
                                                    FeatureLevel hold) {
  if (alive(at)) die(at, false);
  nodes_[at].sim->install(levels, hold);
  nodes_[at].level = 0;
  return open(at);
}

void SimCluster::note_states(size_t at) {
  engine::Machine& machine = nodes_[at].sim->machine();
  states_taken_ += machine.peers()->states_taken().taken.value();
  shelved_ += machine.shelving().steps();
  states_interrupted_ += machine.peers()->states().frozen();
  for (const auto& partition : machine.owned().partitions) {
    if (partition->state().gear.bytes != 0) ++states_interrupted_;
  }
}

void SimCluster::die(size_t at, bool power_loss) {
  network_.attach(at, nullptr, 0);
  if (alive(at)) note_states(at);
  nodes_[at].sim->die(power_loss);
}

std::optional<std::string> SimCluster::step() {
  clock.advance_ms(kStepMs);
  network_.step();
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!alive(i) || nodes_[i].paused_until_ms > clock.wall_ms()) continue;
    if (auto problem = run(i)) return problem;
  }
  return std::nullopt;
}

std::optional<std::string> SimCluster::run(size_t at) {
  Node& node = nodes_[at];
  const int64_t now = clock.wall_ms();
  // A disk takes its time now and then.
  if (node.stalled_until_ms <= now && !random_.one_in(4)) node.sim->pump();
  node.sim->run_workers(SIZE_MAX);
  if (!random_.one_in(3)) node.sim->run_background(2);
  if (now >= node.beat_ms + kBeatMs) {
    node.beat_ms = now;
    node.sim->machine().peers()->beat();
  }
  if (now >= node.stepped_ms + kLoopMs) {
    node.stepped_ms = now;
    node.sim->step();
  }
  if (node.sim->failure() && !node.may_stop)
    return fmt::format("n{}: {}", at + 1, *node.sim->failure());
  if (node.sim->machine().peers()->forgot() && !node.may_forget)
    return fmt::format("n{}: its disk is taken for an old image", at + 1);
  // What those that were left behind agree on is nobody's truth any more.
  if (node.epoch != epoch_) return std::nullopt;
  return watch(at);
}

std::optional<std::string> SimCluster::watch(size_t at) {
  for (const cluster::GroupMember* const group : node(at).machine().owned().groups()) {
    const uint32_t id = group->id().value();
    const raft::Core& core = group->replica().core();
    if (core.role() == raft::Role::leader) {
      const auto [entry, is_new] = leaders_.try_emplace({id, core.term()}, at);
      if (entry->second != at)
        return fmt::format("n{} and n{} both lead group {} in term {}", entry->second + 1, at + 1,
                           id, core.term().value());
    }
    if (auto problem = watch_log(at, *group)) return problem;
  }
  for (const auto& partition : node(at).partitions()) {
    if (auto problem = watch_tally(at, *partition)) return problem;
  }
  if (auto problem = watch_level(at)) return problem;
  return watch_ads(at);
}

/// Of one life of it: a start knows again what its log says once it has read that.
std::optional<std::string> SimCluster::watch_level(size_t at) {
  const cluster::LevelWatch& levels = node(at).machine().peers()->levels();
  FeatureLevel& seen = nodes_[at].level;
  if (levels.recorded() < seen) return fmt::format("n{}: the cluster's feature level fell", at + 1);
  seen = levels.recorded();
  return std::nullopt;
}

std::optional<std::string> SimCluster::watch_log(size_t at, const cluster::GroupMember& group) {
  const uint32_t id = group.id().value();
  const log::PartitionLog& log = group.log();
  Offset& checked = nodes_[at].checked[id];
  if (log.committed() < checked)
    return fmt::format("n{}: what is committed in group {} fell", at + 1, id);
  // A state has taken the place of what was before.
  if (checked + 1 < log.first()) checked = log.first() - 1;
  while (checked < log.committed()) {
    const auto entries = log.read(checked + 1, 1 << 20);
    if (!entries) return entries.error().text();
    for (const auto& entry : *entries) {
      if (entry->last() <= checked) continue;
      if (entry->last() > log.committed()) break;
      const Told told{entry->term, hash_of(*entry), entry->append_ms};
      const auto [known, is_new] = ledger_[id].try_emplace(entry->last(), told);
      if (!(known->second == told))
        return fmt::format(
            "n{}: group {} has another entry at offset {}, of term {}, than "
            "was committed in term {}",
            at + 1, id, entry->last().value(), entry->term.value(), known->second.term.value());
      if (is_new && known != ledger_[id].begin() &&
          std::prev(known)->second.append_ms > entry->append_ms)
        return fmt::format("group {}: log time falls at offset {}", id, entry->last().value());
      if (is_new && id == ads()) note_ads(*entry);
      if (is_new && id != ads() && entry->kind == static_cast<uint8_t>(click::EntryKind::clicks))
        clicks_[id].emplace(entry->last(), *entry);
      checked = entry->last();
    }
  }
  return std::nullopt;
}

std::optional<std::string> SimCluster::watch_tally(size_t at, const cluster::Partition& partition) {
  const stream::Tally& tally = partition.pipeline().tally();
  if (tally.received == tally.counted + tally.duplicate + tally.review_total()) return std::nullopt;
  return fmt::format("n{}: partition {}: received {} is not counted {} + duplicate {} + review {}",
                     at + 1, partition.id().value(), tally.received, tally.counted, tally.duplicate,
                     tally.review_total());
}

void SimCluster::note_ads(const log::Entry& entry) {
  const auto proposal = cluster::decode_ads(entry.kind, entry.payload);
  if (!proposal) return;
  for (const auto& change : proposal->changes)
    urls_.try_emplace(change.ad.redirect_url, entry.last().value());
}

std::optional<std::string> SimCluster::watch_ads(size_t at) {
  for (const catalog::Ad& ad : node(at).own_ads().snapshot()->list({}, {}, 1'000)) {
    const auto committed = urls_.find(ad.redirect_url);
    if (committed == urls_.end())
      return fmt::format("n{}: {} leads where nobody has agreed to", at + 1, ad.ad_id);
    uint64_t& seen = nodes_[at].seen[ad.ad_id];
    if (committed->second < seen) return fmt::format("n{}: {} is older again", at + 1, ad.ad_id);
    seen = committed->second;
  }
  return std::nullopt;
}

std::optional<size_t> SimCluster::leader(uint32_t group) const {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!alive(i)) continue;
    if (nodes_[i].sim->machine().owned().group(group)->replica().leads_surely()) return i;
  }
  return std::nullopt;
}

uint64_t SimCluster::states_taken() const {
  uint64_t taken = states_taken_;
  for (const Node& node : nodes_) {
    if (node.sim->alive()) taken += node.sim->machine().peers()->states_taken().taken.value();
  }
  return taken;
}

uint64_t SimCluster::shelved() const {
  uint64_t shelved = shelved_;
  for (const Node& node : nodes_) {
    if (node.sim->alive()) shelved += node.sim->machine().shelving().steps();
  }
  return shelved;
}

uint64_t SimCluster::committed() const {
  uint64_t entries = 0;
  for (const auto& partition : ledger_) entries += partition.size();
  return entries;
}

uint64_t SimCluster::trace() const {
  std::string bytes;
  ByteWriter writer(bytes);
  for (const auto& [when, node] : leaders_) {
    writer.varint(when.first);
    writer.varint(when.second.value());
    writer.varint(node);
  }
  for (const auto& group : ledger_) {
    for (const auto& [end, told] : group) {
      writer.varint(end.value());
      writer.varint(told.hash);
    }
  }
  return xxh64_of(bytes);
}

}  // namespace clickmill::simulation
