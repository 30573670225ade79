#include "simulation/sim_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "base/assert.h"
#include "base/checksum.h"
#include "state/slots.h"
#include "store/memory_rows.h"
#include "store/merge.h"
#include "stream/checkpoint.h"
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

using Row = std::tuple<int64_t, std::string, std::string, bool>;
using Rows = std::map<Row, std::pair<uint64_t, double>>;

/// Clicks and visitors of every row of a table, head and parts together.
Result<Rows> rows_of(const cluster::Partition& partition, store::Table table) {
  store::Scan scan;
  scan.from_ms = std::numeric_limits<int64_t>::min();
  scan.to_ms = std::numeric_limits<int64_t>::max();
  scan.countries = scan.visitors = true;
  const auto version = partition.pipeline().version(scan);
  auto all = TRY(store::read_merged((*version.parts)[static_cast<size_t>(table)],
                                    std::numeric_limits<int64_t>::min()));
  all.insert(all.end(), version.head.begin(), version.head.end());
  store::copy_rows(version.frozen, scan, all);
  std::map<Row, store::Row> sums;
  for (const store::Row& row : all) {
    const int64_t bucket = floor_to(row.bucket_ms, store::bucket_ms(table));
    sums[{bucket, row.advertiser_id, row.ad_id, row.automated}].merge(row);
  }
  Rows rows;
  for (const auto& [row, sum] : sums) rows[row] = {sum.counts.clicks, sum.visitors.estimate()};
  return rows;
}

std::optional<std::string> counts_differ(const cluster::Partition& one,
                                         const cluster::Partition& other) {
  for (const auto table : {store::Table::minute, store::Table::hour, store::Table::day}) {
    const auto rows = rows_of(one, table);
    if (!rows) return rows.error().text();
    const auto others = rows_of(other, table);
    if (!others) return others.error().text();
    if (*rows != *others)
      return fmt::format("{} and {} other rows in table {}", rows->size(), others->size(),
                         static_cast<int>(table));
  }
  if (!(one.pipeline().tally() == other.pipeline().tally())) return "another tally";
  return std::nullopt;
}

void add(const stream::Tally& tally, stream::Tally& sum) {
  sum.received += tally.received;
  sum.counted += tally.counted;
  sum.duplicate += tally.duplicate;
  sum.resent += tally.resent;
  for (size_t i = 0; i < sum.review.size(); ++i) sum.review[i] += tally.review[i];
}

}  // namespace

SimCluster::SimCluster(uint64_t seed, Options options)
    : options_(options), random_(seed), network_(seed + 1, options.nodes, clock) {
  for (size_t i = 0; i < std::min(options.nodes, options.founders); ++i)
    founders_.voters.push_back({SimNetwork::name_of(i), raft::StorageId(i + 1)});
  ledger_.resize(options.partitions + 1);
  clicks_.resize(options.partitions + 1);
  nodes_.resize(options.nodes);
  network_.set_left_behind([this](size_t at) { node(at).machine().peers()->leave_behind(); });
  for (size_t i = 0; i < options.nodes; ++i) nodes_[i].sim = make(i, next_storage_++);
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
  of.founders = founders_;
  of.copies = options_.copies;
  of.transport = &network_.transport(at);
  if (options_.short_logs) {
    of.segment_bytes = 1 << 10;
    of.log_age_ms = kHourMs / 2;
  }
  nodes_[at].storage = storage;
  nodes_[at].epoch = epoch_;
  return std::make_unique<SimNode>(random_.next(), clock, of);
}

void SimCluster::wipe(size_t at) {
  if (alive(at)) die(at, true);
  nodes_[at].seen.clear();
  nodes_[at].sim = make(at, next_storage_++);
}

std::optional<std::string> SimCluster::force(size_t at) {
  if (alive(at)) die(at, false);
  Node& node = nodes_[at];
  NodeClock node_clock(clock);
  tools::ForcedEpoch forced;
  forced.paths = SimNode::paths();
  forced.partitions = options_.partitions;
  forced.self = {SimNetwork::name_of(at), raft::StorageId(node.storage)};
  forced.founders = founders_;
  forced.journal = node.sim->journal_options();
  forced.applied = [&](PartitionId id) -> Result<Offset> {
    const auto standing = TRY(state::read_standing(id, node.sim->state));
    const auto checkpoint = TRY(stream::read_checkpoint(standing.current(), node.sim->state));
    return checkpoint ? checkpoint->applied : Offset(0);
  };
  const auto taken = tools::take_all_groups(node.sim->files, node_clock, forced);
  if (!taken) return taken.error().text();
  founders_.voters = {forced.self};
  node.sim->set_founders(founders_);
  node.epoch = ++epoch_;
  common_.clear();
  for (size_t group = 0; group < taken->size(); ++group) {
    const Offset committed = (*taken)[group].committed;
    if (group < options_.partitions) common_.push_back(committed);
    // What others have committed behind it may come to be something else.
    ledger_[group].erase(ledger_[group].upper_bound(committed), ledger_[group].end());
  }
  return std::nullopt;
}

std::optional<std::string> SimCluster::rejoin(size_t at, bool with_clicks) {
  if (alive(at)) die(at, false);
  NodeClock node_clock(clock);
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
  nodes_[at].sim->set_storage(nodes_[at].storage);
}

SimCluster::~SimCluster() {
  for (size_t i = 0; i < nodes_.size(); ++i) network_.attach(i, nullptr, 0);
}

std::optional<std::string> SimCluster::open(size_t at) {
  Node& node = nodes_[at];
  if (auto problem = node.sim->open()) return fmt::format("n{}: {}", at + 1, *problem);
  node.paused_until_ms = node.stalled_until_ms = 0;
  node.checked.assign(options_.partitions + 1, Offset(0));
  network_.attach(at, node.sim->machine().peers(), node.storage, node.epoch);
  return std::nullopt;
}

void SimCluster::note_states(size_t at) {
  engine::Machine& machine = nodes_[at].sim->machine();
  states_taken_ += machine.peers()->states_taken().taken.value();
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
  return watch_ads(at);
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
      const Told told{entry->term, hash_of(*entry)};
      const auto [known, is_new] = ledger_[id].try_emplace(entry->last(), told);
      if (!(known->second == told))
        return fmt::format(
            "n{}: group {} has another entry at offset {}, of term {}, than "
            "was committed in term {}",
            at + 1, id, entry->last().value(), entry->term.value(), known->second.term.value());
      if (is_new && id == ads()) note_ads(*entry);
      if (is_new && id != ads() && entry->kind == static_cast<uint8_t>(click::EntryKind::clicks))
        clicks_[id].emplace(entry->last(), *entry);
      checked = entry->last();
    }
  }
  return std::nullopt;
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

uint64_t SimCluster::committed() const {
  uint64_t entries = 0;
  for (const auto& partition : ledger_) entries += partition.size();
  return entries;
}

std::optional<std::string> SimCluster::why_not_settled() const {
  for (uint32_t p = 0; p < options_.partitions; ++p) {
    const auto leads = leader(p);
    if (!leads) {
      std::string why = fmt::format("nobody leads partition {}", p);
      for (size_t i = 0; i < nodes_.size(); ++i) {
        cluster::Peers& peers = *nodes_[i].sim->machine().peers();
        const auto& core = nodes_[i].sim->partitions()[p]->replica().core();
        why += fmt::format("; n{}: term {}, {} last, {} durable{}{}", i + 1, core.term().value(),
                           core.last().value(), core.durable().value(),
                           peers.forgot() ? ", forgot" : "",
                           peers.clearing().cleared() ? "" : ", not cleared");
      }
      return why;
    }
    const Offset last = nodes_[*leads].sim->partitions()[p]->log().last();
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const auto& partition = *nodes_[i].sim->partitions()[p];
      if (!partition.here()) continue;
      if (partition.failure()) return partition.failure()->text();
      if (!partition.caught_up()) return fmt::format("n{}: partition {} replays", i + 1, p);
      if (partition.pipeline().applied() != last)
        return fmt::format("n{}: partition {} is at {}, its leader n{} at {}", i + 1, p,
                           partition.pipeline().applied().value(), *leads + 1, last.value());
    }
  }
  const auto leads = leader(ads());
  if (!leads) return "nobody leads the ads";
  const Offset last = nodes_[*leads].sim->machine().owned().ads->log().last();
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const cluster::AdsGroup& group = *nodes_[i].sim->machine().owned().ads;
    if (group.failure()) return group.failure()->text();
    if (group.applied() != last)
      return fmt::format("n{}: the ads are at {}, their leader n{} at {}", i + 1,
                         group.applied().value(), *leads + 1, last.value());
  }
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (const uint64_t held = nodes_[i].sim->machine().spool().held_clicks(); held != 0)
      return fmt::format("n{}: {} clicks stay in its spool", i + 1, held);
  }
  return options_.copies == 0 ? std::nullopt : why_not_placed();
}

std::vector<size_t> SimCluster::holders(uint32_t partition) const {
  std::vector<size_t> out;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].sim->partitions()[partition]->here()) out.push_back(i);
  }
  return out;
}

/// The members are those that the placement names, and nobody else holds anything.
std::optional<std::string> SimCluster::why_not_placed() const {
  for (uint32_t p = 0; p < options_.partitions; ++p) {
    const size_t leads = *leader(p);
    const auto& placement = nodes_[leads].sim->machine().peers()->placement();
    const raft::Membership& members =
        nodes_[leads].sim->partitions()[p]->replica().core().membership();
    if (members.joint() || !members.learners.empty() || members.voters.size() != options_.copies)
      return fmt::format("partition {} changes its members still", p);
    for (const raft::Member& member : members.voters) {
      if (!placement.holds(member.node, PartitionId(p)))
        return fmt::format("partition {} is on {}", p, member.node);
    }
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const auto& partition = *nodes_[i].sim->partitions()[p];
      if (placement.holds(SimNetwork::name_of(i), PartitionId(p))) continue;
      if (partition.here()) return fmt::format("partition {} is on n{} too", p, i + 1);
      if (partition.lingers() || partition.pipeline().tally().received != 0)
        return fmt::format("n{} has some of partition {} still", i + 1, p);
    }
  }
  return std::nullopt;
}

std::optional<std::string> SimCluster::settle() {
  network_.heal();
  for (size_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].paused_until_ms = nodes_[i].stalled_until_ms = 0;
    if (alive(i)) {
      nodes_[i].sim->files.fail_sync_after(0);
    } else if (auto problem = open(i)) {
      return problem;
    }
  }
  std::optional<std::string> why = "it has not begun";
  for (int64_t ms = 0; ms < 60'000 && why; ms += kStepMs) {
    if (auto problem = step()) return problem;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (!node(i).journal_fails()) continue;
      die(i, false);
      if (auto problem = open(i)) return problem;
    }
    why = why_not_settled();
  }
  return why;
}

std::optional<std::string> SimCluster::check_copies(const Clients& clients) const {
  Fates fates;
  stream::Tally sum;
  for (uint32_t p = 0; p < options_.partitions; ++p) {
    const auto nodes = holders(p);
    if (nodes.size() != options_.copies)
      return fmt::format("partition {} is on {} nodes", p, nodes.size());
    const auto& first = *nodes_[nodes.front()].sim->partitions()[p];
    const bool whole = first.log().first() == Offset(1);
    if (auto problem = whole ? fates.read(first) : fates.read(clicks_[p]))
      return fmt::format("n{}: {}", nodes.front() + 1, *problem);
    add(first.pipeline().tally(), sum);
    for (const size_t at : nodes) {
      const auto& other = *nodes_[at].sim->partitions()[p];
      if (auto problem = counts_differ(first, other))
        return fmt::format("n{} and n{}: partition {}: {}", nodes.front() + 1, at + 1, p, *problem);
      if (!(first.pipeline().digest() == other.pipeline().digest()))
        return fmt::format("n{} and n{} have other digests of partition {}", nodes.front() + 1,
                           at + 1, p);
    }
  }
  return fates.check(clients, sum);
}

std::optional<std::string> SimCluster::check(const Clients& clients) const {
  if (options_.copies != 0) return check_copies(clients);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    Fates fates;
    for (uint32_t p = 0; p < options_.partitions; ++p) {
      const auto& partition = *nodes_[i].sim->partitions()[p];
      const bool whole = partition.log().first() == Offset(1);
      if (auto problem = whole ? fates.read(partition) : fates.read(clicks_[p]))
        return fmt::format("n{}: {}", i + 1, *problem);
      if (auto problem = counts_differ(partition, *nodes_[0].sim->partitions()[p]))
        return fmt::format("n1 and n{}: partition {}: {}", i + 1, p, *problem);
      const auto digest = partition.pipeline().digest();
      const auto first = nodes_[0].sim->partitions()[p]->pipeline().digest();
      if (!(digest == first))
        return fmt::format("n1 and n{} have other digests of partition {}", i + 1, p);
    }
    if (auto problem = fates.check(clients, nodes_[i].sim->total()))
      return fmt::format("n{}: {}", i + 1, *problem);
  }
  return std::nullopt;
}

std::optional<std::string> SimCluster::check(const AdClients& clients) const {
  if (clients.problem()) return clients.problem();
  const auto first = nodes_[0].sim->own_ads().snapshot();
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const auto ads = nodes_[i].sim->own_ads().snapshot();
    if (ads->list({}, {}, SIZE_MAX) != first->list({}, {}, SIZE_MAX))
      return fmt::format("n1 and n{} have other ads", i + 1);
    if (auto problem = clients.check(*ads)) return fmt::format("n{}: {}", i + 1, *problem);
  }
  return std::nullopt;
}

}  // namespace clickmill::simulation
