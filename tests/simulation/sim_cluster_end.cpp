// How a cluster's life ends: all is mended, and what is left must be right.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "simulation/sim_cluster.h"
#include "store/memory_rows.h"
#include "store/merge.h"

namespace clickmill::simulation {
namespace {

constexpr int64_t kSettleMs = 60'000;
constexpr int64_t kClocksAgreeMs = 50;

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

/// What was counted stands in each table once.
std::optional<std::string> counts_are_not_its_rows(const cluster::Partition& partition) {
  const stream::Tally tally = partition.pipeline().tally();
  for (const auto table : {store::Table::minute, store::Table::hour, store::Table::day}) {
    const auto rows = rows_of(partition, table);
    if (!rows) return rows.error().text();
    uint64_t clicks = 0;
    for (const auto& [row, counts] : *rows) clicks += counts.first;
    if (clicks != tally.counted + tally.accepted)
      return fmt::format("table {} has {} clicks, {} were counted", static_cast<int>(table), clicks,
                         tally.counted + tally.accepted);
  }
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
  if (auto problem = wait_for_clocks()) return problem;
  std::optional<std::string> why = "it has not begun";
  for (const int64_t end_ms = clock.wall_ms() + kSettleMs; why && clock.wall_ms() < end_ms;) {
    if (auto problem = step()) return problem;
    if (auto problem = replace_failed()) return problem;
    why = why_not_settled();
  }
  return why;
}

std::optional<std::string> SimCluster::replace_failed() {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!node(i).journal_fails()) continue;
    die(i, false);
    if (auto problem = open(i)) return problem;
  }
  return std::nullopt;
}

/// A node whose clock was ahead stands still until the others have caught up.
std::optional<std::string> SimCluster::wait_for_clocks() {
  for (const Node& node : nodes_) {
    node.clock->drift(0);
    node.clock->set(0, true);
  }
  for (int hours = 0; hours < 100; ++hours) {
    int64_t ahead_ms = 0;
    for (const Node& node : nodes_)
      ahead_ms = std::max(ahead_ms, node.sim->machine().clock().now().value() - clock.wall_ms());
    if (ahead_ms <= kClocksAgreeMs) return std::nullopt;
    clock.advance_ms(std::min(ahead_ms, kHourMs));
    for (int i = 0; i < 100; ++i) {
      if (auto problem = step()) return problem;
      if (auto problem = replace_failed()) return problem;
    }
  }
  std::string why = "time stands for days:";
  for (const Node& node : nodes_)
    why +=
        fmt::format(" {} s", (node.sim->machine().clock().now().value() - clock.wall_ms()) / 1000);
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
    if (auto problem = counts_are_not_its_rows(first))
      return fmt::format("n{}: partition {}: {}", nodes.front() + 1, p, *problem);
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
