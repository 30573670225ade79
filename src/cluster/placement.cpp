#include "cluster/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/assert.h"
#include "base/checksum.h"

namespace clickmill::cluster {
namespace {

/// What a node draws for a partition.
uint64_t drawn(const std::string& node, uint64_t partition) { return xxh64_of(node, partition); }

/// So much of `total` for each of `count`, the first ones getting what is left over.
size_t share_of(size_t total, size_t count, size_t place) {
  return total / count + (place < total % count ? 1 : 0);
}

}  // namespace

Placement::Placement(std::vector<std::string> nodes, uint32_t partitions, uint32_t copies)
    : nodes_(std::move(nodes)) {
  CM_ASSERT(!nodes_.empty() && copies > 0);
  std::sort(nodes_.begin(), nodes_.end());
  copies_ = std::min<size_t>(copies, nodes_.size());
  digest_ = xxh64_of(fmt::format("{} {} {}", partitions, copies_, fmt::join(nodes_, " ")));
  replicas_.resize(size_t{partitions} + 1);
  const auto all_from = [this](size_t first) {
    std::vector<std::string> all = nodes_;
    std::rotate(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(first), all.end());
    return all;
  };
  replicas_.back() = all_from(partitions % nodes_.size());
  if (partial()) {
    place();
    choose_leaders();
    return;
  }
  for (size_t id = 0; id < partitions; ++id) replicas_[id] = all_from(id % nodes_.size());
}

/// Each node has as many partitions to take as its share says. One that has to take every
/// partition there still is comes first, so that none is ever left with too few.
void Placement::place() {
  const size_t partitions = replicas_.size() - 1;
  std::vector<size_t> order(nodes_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  // Who gets one more follows from the name alone.
  std::ranges::sort(order, [&](size_t a, size_t b) {
    return std::pair(drawn(nodes_[a], UINT64_MAX), a) < std::pair(drawn(nodes_[b], UINT64_MAX), b);
  });
  std::vector<size_t> left(nodes_.size());
  for (size_t i = 0; i < order.size(); ++i)
    left[order[i]] = share_of(partitions * copies_, nodes_.size(), i);
  for (size_t id = 0; id < partitions; ++id) {
    std::vector<size_t> takers;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (left[i] > 0) takers.push_back(i);
    }
    const auto rank = [&](size_t i) {
      return std::tuple(left[i] < partitions - id, ~drawn(nodes_[i], id), i);
    };
    std::ranges::sort(takers, {}, rank);
    CM_ASSERT(takers.size() >= copies_);
    for (size_t i = 0; i < copies_; ++i) {
      --left[takers[i]];
      replicas_[id].push_back(nodes_[takers[i]]);
    }
  }
}

/// Who leads least yet leads next; and where a node would lead too much all the same, another of
/// the partition's nodes takes over.
void Placement::choose_leaders() {
  const size_t partitions = replicas_.size() - 1;
  const auto at = [this](const std::string& node) {
    return static_cast<size_t>(std::ranges::lower_bound(nodes_, node) - nodes_.begin());
  };
  std::vector<size_t> leads(nodes_.size());
  for (size_t id = 0; id < partitions; ++id) {
    auto& replicas = replicas_[id];
    const auto least = std::ranges::min_element(
        replicas, {}, [&](const std::string& node) { return leads[at(node)]; });
    std::rotate(replicas.begin(), least, replicas.end());
    ++leads[at(replicas.front())];
  }
  for (bool moved = true; moved;) {
    moved = false;
    for (size_t id = 0; id < partitions; ++id) {
      auto& replicas = replicas_[id];
      const size_t from = at(replicas.front());
      const auto least = std::ranges::min_element(
          replicas, {}, [&](const std::string& node) { return leads[at(node)]; });
      if (leads[at(*least)] + 1 >= leads[from]) continue;
      --leads[from];
      ++leads[at(*least)];
      std::rotate(replicas.begin(), least, replicas.end());
      moved = true;
    }
  }
}

const std::vector<std::string>& Placement::replicas(PartitionId id) const {
  CM_ASSERT(id.value() < replicas_.size());
  return replicas_[id.value()];
}

bool Placement::holds(const std::string& node, PartitionId id) const {
  const auto& all = replicas(id);
  return std::find(all.begin(), all.end(), node) != all.end();
}

}  // namespace clickmill::cluster
