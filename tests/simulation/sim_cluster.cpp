#include "simulation/sim_cluster.h"

#include <fmt/format.h>

#include "base/checksum.h"

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
  for (size_t i = 0; i < options.nodes; ++i)
    founders_.voters.push_back({SimNetwork::name_of(i), raft::StorageId(i + 1)});
  ledger_.resize(options.partitions);
  nodes_.resize(options.nodes);
  for (size_t i = 0; i < options.nodes; ++i) nodes_[i].sim = make(i, next_storage_++);
}

std::unique_ptr<SimNode> SimCluster::make(size_t at, uint64_t storage) {
  SimNode::Options of;
  of.node_id = SimNetwork::name_of(at);
  of.nodes.clear();
  for (const raft::Member& member : founders_.voters) of.nodes.push_back(member.node);
  of.partitions = options_.partitions;
  of.spool_memory_bytes = options_.spool_memory_bytes;
  of.answers_wait_for_commit = options_.answers_wait_for_commit;
  of.storage = storage;
  of.founders = founders_;
  of.transport = &network_.transport(at);
  nodes_[at].storage = storage;
  return std::make_unique<SimNode>(random_.next(), clock, of);
}

void SimCluster::wipe(size_t at) {
  if (alive(at)) die(at, true);
  nodes_[at].sim = make(at, next_storage_++);
}

SimCluster::~SimCluster() {
  for (size_t i = 0; i < nodes_.size(); ++i) network_.attach(i, nullptr, 0);
}

std::optional<std::string> SimCluster::open(size_t at) {
  Node& node = nodes_[at];
  if (auto problem = node.sim->open()) return fmt::format("n{}: {}", at + 1, *problem);
  node.paused_until_ms = node.stalled_until_ms = 0;
  node.checked.assign(options_.partitions, Offset(0));
  network_.attach(at, node.sim->machine().peers(), node.storage);
  return std::nullopt;
}

void SimCluster::die(size_t at, bool power_loss) {
  network_.attach(at, nullptr, 0);
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
  if (node.sim->failure()) return fmt::format("n{}: {}", at + 1, *node.sim->failure());
  return watch(at);
}

std::optional<std::string> SimCluster::watch(size_t at) {
  for (uint32_t p = 0; p < options_.partitions; ++p) {
    const cluster::Partition& partition = *node(at).partitions()[p];
    const raft::Core& core = partition.replica().core();
    if (core.role() == raft::Role::leader) {
      const auto [entry, is_new] = leaders_.try_emplace({p, core.term()}, at);
      if (entry->second != at)
        return fmt::format("n{} and n{} both lead partition {} in term {}", entry->second + 1,
                           at + 1, p, core.term().value());
    }
    const log::PartitionLog& log = partition.log();
    Offset& checked = nodes_[at].checked[p];
    if (log.committed() < checked)
      return fmt::format("n{}: what is committed in partition {} fell", at + 1, p);
    while (checked < log.committed()) {
      const auto entries = log.read(checked + 1, 1 << 20);
      if (!entries) return entries.error().text();
      for (const auto& entry : *entries) {
        if (entry->last() <= checked) continue;
        if (entry->last() > log.committed()) break;
        const Told told{entry->term, hash_of(*entry)};
        const auto [known, is_new] = ledger_[p].try_emplace(entry->last(), told);
        if (!(known->second == told))
          return fmt::format(
              "n{}: partition {} has another entry at offset {}, of term {}, than "
              "was committed in term {}",
              at + 1, p, entry->last().value(), entry->term.value(), known->second.term.value());
        checked = entry->last();
      }
    }
  }
  return std::nullopt;
}

std::optional<size_t> SimCluster::leader(uint32_t partition) const {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (alive(i) && nodes_[i].sim->partitions()[partition]->replica().leads_surely()) return i;
  }
  return std::nullopt;
}

uint64_t SimCluster::committed() const {
  uint64_t entries = 0;
  for (const auto& partition : ledger_) entries += partition.size();
  return entries;
}

std::optional<std::string> SimCluster::why_not_settled() const {
  for (uint32_t p = 0; p < options_.partitions; ++p) {
    const auto leads = leader(p);
    if (!leads) return fmt::format("nobody leads partition {}", p);
    const Offset last = nodes_[*leads].sim->partitions()[p]->log().last();
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const auto& partition = *nodes_[i].sim->partitions()[p];
      if (!partition.caught_up()) return fmt::format("n{}: partition {} replays", i + 1, p);
      if (partition.pipeline().applied() != last)
        return fmt::format("n{}: partition {} is at {}, its leader n{} at {}", i + 1, p,
                           partition.pipeline().applied().value(), *leads + 1, last.value());
    }
  }
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (const uint64_t held = nodes_[i].sim->machine().spool().held_clicks(); held != 0)
      return fmt::format("n{}: {} clicks stay in its spool", i + 1, held);
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

std::optional<std::string> SimCluster::check(const Clients& clients) const {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    Fates fates;
    for (uint32_t p = 0; p < options_.partitions; ++p) {
      const auto& partition = *nodes_[i].sim->partitions()[p];
      if (auto problem = fates.read(partition)) return fmt::format("n{}: {}", i + 1, *problem);
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

}  // namespace clickmill::simulation
