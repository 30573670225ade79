// What a node does about the other nodes besides consensus: who of them should lead, and does; it
// compares its counts with theirs, and does what an operator wants of its members.
#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/logging.h"
#include "cluster/peers.h"

namespace clickmill::cluster {

/// The leads are spread over the nodes, one partition after the other; of those that are there.
uint32_t Peers::rank_of(PartitionId id) const {
  const auto& replicas = placement_->replicas(id);
  uint32_t rank = 0;
  for (const std::string& node : replicas) {
    if (node == options_.node_id) break;
    // Nobody waits for who is gone.
    if (sights_.fit(node, now_ns())) ++rank;
  }
  if (draining_) rank += static_cast<uint32_t>(replicas.size());
  return rank;
}

std::string Peers::leader_of(PartitionId id, const raft::Replica* replica) const {
  const raft::Member* own = replica != nullptr ? replica->leader() : nullptr;
  // A member that hears its leader knows best. A group whose log can't be used here follows
  // nobody, and its clicks count all the same.
  if (own != nullptr && replica->core().leader_is_live()) return own->node;
  if (const auto claimed = sights_.leader_of(id.value(), now_ns())) return claimed->first;
  return own != nullptr ? own->node : std::string();
}

void Peers::look_after(Caretaker& caretaker, GroupMember& group, int64_t now_ns) {
  if (draining_) return Caretaker::hand_over(group);
  caretaker.look_after(group, now_ns);
}

bool Peers::has_strangers(const GroupMember& group) const {
  const auto members = group.replica().core().membership().all();
  return std::any_of(members.begin(), members.end(), [this](const raft::Member& member) {
    return !std::binary_search(options_.nodes.begin(), options_.nodes.end(), member.node);
  });
}

Status Peers::let_go(const std::string& node) {
  if (std::binary_search(options_.nodes.begin(), options_.nodes.end(), node))
    return Error(Errc::invalid, fmt::format("{} still has {} in its cluster.peers; take it out and "
                                            "start it again first",
                                            options_.node_id, node));
  const std::lock_guard lock(leaving_mutex_);
  leaving_.insert(node);
  return {};
}

Peers::Led Peers::led() const {
  Led sum;
  for (const LedByWorker& led : led_) {
    sum.groups += led.groups;
    sum.with_strangers += led.with_strangers;
  }
  return sum;
}

void Peers::compare_counts(Partition& partition) {
  const stream::Pipeline& pipeline = partition.pipeline();
  agreement_.note(partition.id(), pipeline.agreed(), pipeline.applied());
  const auto verdict = agreement_.verdict(partition.id());
  if (verdict.is_wrong(options_.node_id)) {
    partition.counts_differ(verdict.at);
  } else if (verdict.agrees) {
    partition.counts_agree();
  }
}

void Peers::send_standing() {
  for (const std::string& node : others_) send_standing(node);
}

void Peers::send_standing(const std::string& node) {
  Standing standing = agreement_.standing();
  {
    const std::lock_guard lock(storages_mutex_);
    const auto storage = storages_.find(node);
    if (storage == storages_.end()) return;
    standing.disk = clearing_.told_to(storage->second, options_.durable());
  }
  if (placement_->partial()) {
    std::string wanted(1, static_cast<char>(kOfPlacement));
    ByteWriter(wanted).u64(placement_->digest());
    transport_->send(node, peer::Lane::group, std::move(wanted));
  }
  std::string frame(1, static_cast<char>(kOfStanding));
  frame += encode(standing);
  transport_->send(node, peer::Lane::group, std::move(frame));
}

void Peers::on_placement(const std::string& from, std::string_view bytes) {
  ByteCursor cursor(bytes);
  const uint64_t digest = cursor.u64();
  const std::lock_guard lock(storages_mutex_);
  if (cursor.done() && storages_.count(from) > 0) placements_[from] = digest;
}

bool Peers::all_want_the_same() const {
  const std::lock_guard lock(storages_mutex_);
  return std::ranges::all_of(others_, [this](const std::string& node) {
    const auto told = placements_.find(node);
    return told != placements_.end() && told->second == placement_->digest();
  });
}

std::vector<std::string> Peers::who_want_another() const {
  std::vector<std::string> nodes;
  const int64_t now = now_ns();
  for (const std::string& node : others_) {
    if (!sights_.heard(node, now)) continue;
    const std::lock_guard lock(storages_mutex_);
    const auto told = placements_.find(node);
    // Those to whom every node is to hold everything don't tell it.
    const bool other =
        told == placements_.end() ? placement_->partial() : told->second != placement_->digest();
    if (other) nodes.push_back(node);
  }
  return nodes;
}

bool Peers::others_want_another() const {
  const std::lock_guard lock(storages_mutex_);
  return std::ranges::any_of(
      placements_, [this](const auto& told) { return told.second != placement_->digest(); });
}

void Peers::on_standing(const std::string& from, std::string_view bytes) {
  const auto standing = decode_standing(bytes);
  // Of another version: then nothing is compared.
  if (!standing) return;
  agreement_.heard(from, *standing);
  const bool was_outdated = clearing_.outdated();
  clearing_.heard(standing->disk);
  if (options_.check_claims && clearing_.outdated() && !was_outdated) {
    log_error("cluster", fmt::format("{} has seen more of this disk than it holds: it is an old "
                                     "image; it votes no more, and comes back as a new one at the "
                                     "next start",
                                     from));
    forgot_ = true;
  }
}

bool Peers::remembers(PartitionId id) const {
  if (!options_.check_claims || clearing_.cleared()) return true;
  return clearing_.cleared_in(owned_.group(id.value())->replica().core().membership());
}

bool Peers::disk_may_lead() const { return options_.well() && options_.keeps_up(); }

}  // namespace clickmill::cluster
