#include "raft/group.h"

#include <fmt/format.h>

#include <algorithm>

namespace clickmill::raft {
namespace {

struct Logged {
  EntryHead head;
  uint64_t hash;  // of everything up to its end
};

uint64_t chained(uint64_t before, const EntryHead& head) {
  uint64_t hash = before * 0x9e3779b97f4a7c15 + head.first.value();
  hash = (hash ^ head.term.value()) * 0xbf58476d1ce4e5b9 + head.count;
  return (hash ^ static_cast<uint64_t>(head.append_ms.value())) * 0x94d049bb133111eb + 1;
}

}  // namespace

/// A member's log and promises, as its disk has them or as it believes.
struct Group::Kept {
  HardState hard;
  Offset base;
  Term base_term;
  uint64_t base_hash = 1;
  Membership membership;  // at the base
  std::deque<Logged> entries;

  Offset last() const { return entries.empty() ? base : entries.back().head.last(); }
  uint64_t last_hash() const { return entries.empty() ? base_hash : entries.back().hash; }
  void truncate_from(Offset first) {
    while (!entries.empty() && entries.back().head.first >= first) entries.pop_back();
  }
  /// The hash of the log up to this end of an entry; nothing when there is none.
  std::optional<uint64_t> hash_at(Offset end) const {
    if (end == base) return base_hash;
    const auto at = std::lower_bound(
        entries.begin(), entries.end(), end,
        [](const Logged& logged, Offset wanted) { return logged.head.last() < wanted; });
    if (at == entries.end() || at->head.last() != end) return std::nullopt;
    return at->hash;
  }
};

/// One thing that goes to the disk, in order.
struct Group::Write {
  std::optional<HardState> hard;
  std::optional<Offset> truncate_from;
  std::optional<Logged> entry;
  std::optional<Kept> install;
  uint64_t life = 0;

  void apply(Kept& kept) const {
    if (hard) kept.hard = *hard;
    if (truncate_from) kept.truncate_from(*truncate_from);
    if (entry) kept.entries.push_back(*entry);
    if (install) {
      const HardState promised = kept.hard;
      kept = *install;
      kept.hard = promised;
    }
  }
};

struct Group::Node {
  size_t index = 0;
  Member member;
  std::unique_ptr<Core> core;  // null: not running
  Kept disk;                   // what a power loss leaves
  Kept view;                   // what it has been given
  std::deque<Write> pending;   // given, not synced
  std::deque<Write> news;      // synced, not told
  bool slow = false;           // its disk
  bool late = false;           // the disk's news
  Offset checked;              // of committed
  Role role = Role::follower;
  std::map<uint64_t, Offset> reads;  // what was committed when they were asked
  bool answers_empty = false;        // an append without entries is at work
  Offset told_committed;             // by an append, as far as the log went
  Offset cleared_at;                 // may vote once it has so much

  void write(Write write) {
    write.apply(view);
    pending.push_back(std::move(write));
  }
};

Group::Group(uint64_t seed, Options options) : options_(options), random_(seed) {
  Membership founders;
  for (size_t i = 0; i < options_.members + 1; ++i) {
    auto node = std::make_unique<Node>();
    node->index = i;
    node->member = {fmt::format("n{}", i + 1), StorageId(next_storage_++)};
    if (i < options_.members) founders.voters.push_back(node->member);
    nodes_.push_back(std::move(node));
  }
  for (size_t i = 0; i < nodes_.size(); ++i) {
    // The last one is a machine that may join later.
    if (i < options_.members) nodes_[i]->disk.membership = founders;
    start(*nodes_[i]);
  }
}

Group::~Group() = default;

void Group::complain(std::string what) {
  if (!violation_) violation_ = std::move(what);
}

Group::Node& Group::any_node() { return *nodes_[random_.below(nodes_.size())]; }

Group::Node* Group::node_of(StorageId storage) {
  for (const auto& node : nodes_) {
    if (node->member.storage == storage) return node.get();
  }
  return nullptr;
}

void Group::start(Node& node) {
  node.view = node.disk;
  node.pending.clear();
  node.news.clear();
  node.reads.clear();
  node.role = Role::follower;
  node.told_committed = Offset(0);
  Core::Restored restored;
  restored.hard = node.disk.hard;
  if (options_.careless.forgets_hard_state) restored.hard = {};
  restored.base = restored.committed = node.disk.base;
  restored.base_term = node.disk.base_term;
  restored.membership = node.disk.membership;
  for (const Logged& logged : node.disk.entries) restored.entries.push_back(logged.head);
  node.checked = node.disk.base;
  node.core = std::make_unique<Core>(node.member, std::move(restored),
                                     Core::Options{.message_bytes = 300, .window_bytes = 900});
  for (const auto& other : nodes_) {
    if (other->core && other.get() != &node) other->core->link_is_new(node.member.storage);
  }
}

void Group::kill(Node& node) {
  // Some of what was not synced may have reached the disk all the same.
  const size_t reached = random_.below(node.pending.size() + 1);
  for (size_t i = 0; i < reached; ++i) node.pending[i].apply(node.disk);
  node.core.reset();
}

void Group::wipe(Node& node) {
  node.core.reset();
  const Membership membership = node.disk.membership;
  graves_[node.member.storage] = std::make_unique<Kept>(std::move(node.disk));
  node.disk = {};
  if (options_.careless.keeps_storage_id || options_.careless.cleared_by_entries) {
    node.disk.membership = membership;
    if (!ledger_.empty()) node.cleared_at = ledger_.rbegin()->first;
  } else {
    node.member.storage = StorageId(next_storage_++);
  }
  start(node);
}

void Group::step() {
  Node& node = any_node();
  if (!node.core) {
    if (random_.one_in(6)) start(node);
    return;
  }
  node.slow = node.slow || options_.slow_disks;
  const uint64_t what = random_.below(100);
  if (what < 36) return deliver();
  if (what < 50) return tick(node);
  // A slow disk lets much be given that a power loss takes.
  if (what < 62) return node.slow && !random_.one_in(10) ? void() : sync(node, 3);
  if (what < 74) return node.late && !random_.one_in(10) ? void() : tell(node);
  if (what < 85) return propose(node);
  if (what < 88) return ask(node);
  if (what < 91) return change_members(node);
  if (what < 92) return hand_over(node);
  if (what < 93) return node.core->sealed_upto(Offset(random_.below(node.view.last().value() + 1)));
  if (what < 97) return cut_or_heal();
  if (what < 98) {
    node.slow = random_.one_in(3);
    node.late = random_.one_in(3);
    return;
  }
  if (random_.one_in(node.slow ? 2 : 8)) kill(node);
}

bool Group::cut(const Node& from, const Node& to) const {
  return cuts_.count({from.index, to.index}) != 0;
}

void Group::cut_or_heal() {
  const Node& a = any_node();
  const Node& b = any_node();
  if (random_.one_in(3)) return cuts_.clear();
  if (a.index == b.index || cuts_.size() > 4) return;
  cuts_.insert({a.index, b.index});
  if (random_.one_in(2)) cuts_.insert({b.index, a.index});
}

Sight Group::sight_of(const Node& node, const Member& member) const {
  for (const auto& other : nodes_) {
    if (other->member.storage != member.storage || !other->core) continue;
    Sight sight;
    sight.heard = !cut(*other, node);
    sight.echoes = sight.heard && !cut(node, *other);
    if (other->core->role() == Role::leader) sight.leads = other->core->term();
    return sight;
  }
  return {};
}

void Group::tick(Node& node) {
  const bool may = may_vote(node);
  node.core->tick([&](const Member& member) { return sight_of(node, member); }, {may, may},
                  static_cast<uint32_t>(node.index), static_cast<uint32_t>(random_.next()));
  take(node);
}

void Group::sync(Node& node, size_t most) {
  for (size_t i = 0; i < most && !node.pending.empty(); ++i) {
    node.pending.front().apply(node.disk);
    node.news.push_back(std::move(node.pending.front()));
    node.pending.pop_front();
  }
}

/// The disk's news reach the member: later than the sync, in order.
void Group::tell(Node& node) {
  if (node.news.empty()) return;
  const Write write = std::move(node.news.front());
  node.news.pop_front();
  if (write.hard) node.core->hard_state_durable(*write.hard);
  const bool any_life = options_.careless.news_without_life;
  if (write.entry)
    node.core->log_durable(write.entry->head.last(), any_life ? node.core->life() : write.life);
  take(node);
}

bool Group::may_vote(const Node& node) const {
  return !options_.careless.cleared_by_entries || node.core->committed() >= node.cleared_at;
}

bool Group::durable_at_once(const Node& node, const HardState& hard) const {
  const bool own = hard.vote == node.member.storage;
  return own ? options_.careless.own_vote_before_sync : options_.careless.votes_before_sync;
}

/// What its owner makes of a message that a member wants to send.
Message Group::as_sent(const Node& node, Message message) const {
  const Careless& careless = options_.careless;
  if (auto* append = std::get_if<Append>(&message.body)) {
    if (careless.commits_past_verified) append->committed = node.core->committed();
  }
  if (auto* answer = std::get_if<AppendAnswer>(&message.body)) {
    if (careless.acks_past_verified) answer->acked = node.core->durable();
    if (careless.acks_all_to_empty && node.answers_empty) answer->acked = node.core->last();
    if (careless.match_from_refusal && answer->refusal == Refusal::log)
      answer->acked = std::max(answer->acked, answer->hint);
  }
  return message;
}

void Group::send(Message message) {
  const auto* vote = std::get_if<VoteAnswer>(&message.body);
  if (options_.careless.pre_votes_count && vote != nullptr && vote->pre && vote->granted) {
    network_.push_back(message);
    std::get<VoteAnswer>(message.body).pre = false;
  }
  if (!calm_ && random_.one_in(25)) return;
  if (!calm_ && random_.one_in(25)) network_.push_back(message);
  network_.push_back(std::move(message));
  if (network_.size() > 400) network_.pop_front();
}

void Group::deliver() {
  if (network_.empty()) return;
  const size_t at = calm_ || random_.below(4) != 0 ? 0 : random_.below(network_.size());
  const Message message = std::move(network_[at]);
  network_.erase(network_.begin() + static_cast<std::ptrdiff_t>(at));
  Node* to = node_of(message.to);
  const Node* from = node_of(message.from);
  if (to == nullptr || !to->core || from == nullptr || cut(*from, *to)) return;
  deliver(*to, message);
}

void Group::deliver(Node& to, Message message) {
  Core::Room room;
  if (!calm_ && random_.one_in(30)) room.journal = false;
  if (!calm_ && random_.one_in(30)) room.append_ms_most = LogMs(0);
  if (options_.slow_clock && to.index == 0) room.append_ms_most = LogMs(0);
  auto* const append = std::get_if<Append>(&message.body);
  to.answers_empty = append != nullptr && append->entries.empty();
  if (append != nullptr && options_.careless.refuses_committed) append->committed = Offset(0);
  to.core->step(message, room);
  if (append != nullptr && message.term == to.core->term()) {
    if (options_.careless.commits_past_verified)
      to.told_committed = std::max(to.told_committed, std::min(append->committed, to.core->last()));
    const Offset end = append->entries.empty() ? append->prev : append->entries.back().last();
    if (options_.careless.cuts_behind_append) to.core->cut(end + 1);
  }
  take(to);
  to.answers_empty = false;
}

void Group::append(Node& node, EntryHead head) {
  Logged logged{head, chained(node.view.last_hash(), head)};
  const auto [known, is_new] = chains_.try_emplace({head.last(), head.term}, logged.hash);
  if (!is_new && known->second != logged.hash)
    complain(
        fmt::format("two logs have offset {} of term {}", head.last().value(), head.term.value()));
  Write write;
  write.entry = std::move(logged);
  write.life = node.core->life();
  node.write(std::move(write));
  if (options_.careless.entries_before_sync) node.core->log_durable(head.last(), node.core->life());
}

/// Carries out what a member wants, as its owner would.
void Group::take(Node& node) {
  auto out = node.core->take_output();
  if (out.forgot) complain("a disk lacks what it acknowledged");
  if (out.hard_state) {
    Write write;
    write.hard = *out.hard_state;
    node.write(std::move(write));
    if (durable_at_once(node, *out.hard_state)) node.core->hard_state_durable(*out.hard_state);
  }
  if (out.truncate_from) {
    ++truncations_;
    Write write;
    write.truncate_from = *out.truncate_from;
    node.write(std::move(write));
  }
  for (EntryHead& head : out.append) append(node, std::move(head));
  for (Message& message : out.messages) send(as_sent(node, std::move(message)));
  for (const auto& [id, offset] : out.reads) {
    ++reads_done_;
    if (offset < node.reads[id]) complain("a read misses what was committed before it");
  }
  check(node);
  if (out.behind) install(node, out.behind->at_least);
  if (options_.careless.takes_older_state && random_.one_in(300)) install(node, Offset(0));
  if (!out.no_op && !out.membership) return;
  const auto place = node.core->place();
  if (!place || (!calm_ && random_.one_in(3))) return;
  EntryHead head{.first = place->first, .term = place->term, .bytes = 10};
  head.append_ms = LogMs(static_cast<int64_t>(next_payload_++));
  if (!out.no_op) head.membership = out.membership;
  if (head.membership && options_.careless.changes_in_one_entry) {
    auto at_once = std::make_shared<Membership>(*head.membership);
    at_once->leaving.clear();
    head.membership = std::move(at_once);
  }
  node.core->appended(head);
  append(node, head);
  take(node);
}

/// A state that some member has is fetched, however old it is.
void Group::install(Node& node, Offset at_least) {
  for (const auto& other : nodes_) {
    if (!other->core || other.get() == &node || other->checked < at_least) continue;
    if (cut(*other, node)) continue;
    Write write;
    write.install = other->view;
    Kept& state = *write.install;
    while (!state.entries.empty() && state.base < other->checked) {
      const Logged& logged = state.entries.front();
      state.base = logged.head.last();
      state.base_term = logged.head.term;
      state.base_hash = logged.hash;
      if (logged.head.membership) state.membership = *logged.head.membership;
      state.entries.pop_front();
    }
    state.entries.clear();
    if (state.base <= node.core->committed()) {
      if (!options_.careless.takes_older_state) return;
      state.hard = node.disk.hard;
      node.disk = state;
      return start(node);
    }
    ++installs_;
    // The log goes only where it doesn't lead up to the state (Core::installed's rule).
    if (node.view.hash_at(state.base) == state.base_hash) {
      // Its own log will have it in a moment.
      if (node.disk.hash_at(state.base) != state.base_hash) return;
      node.core->installed(state.base, state.base_term, state.membership);
      return check(node);
    }
    // Log and state are swapped in one step; what was on its way to the old log is void.
    node.pending.clear();
    std::erase_if(node.news, [](const Write& news) { return !news.hard; });
    node.disk.hard = node.view.hard;
    write.apply(node.view);
    write.apply(node.disk);
    node.checked = state.base;
    node.core->installed(state.base, state.base_term, state.membership);
    node.core->hard_state_durable(node.view.hard);
    return take(node);
  }
}

void Group::check(Node& node) {
  if (node.core->role() == Role::leader && node.role != Role::leader) check_leader(node);
  node.role = node.core->role();
  check_committed(node);
}

void Group::check_leader(Node& node) {
  const Term term = node.core->term();
  const auto [known, is_new] = leaders_.try_emplace(term, node.member.storage);
  if (!is_new) complain(fmt::format("two leaders in term {}", term.value()));
  for (const auto& [end, chain] : ledger_) {
    if (end <= node.view.base) continue;
    if (node.view.hash_at(end) != chain.hash)
      return complain(fmt::format("the leader of term {} lacks committed offset {}", term.value(),
                                  end.value()));
  }
}

/// As its owner sees it.
Offset Group::committed_of(const Node& node) const {
  const Core& core = *node.core;
  Offset committed = std::max(core.committed(), node.told_committed);
  if (!options_.careless.commits_by_count || core.role() != Role::leader) return committed;
  return std::max(committed, agreed_offset(core.membership(), [&](StorageId storage) {
                    if (storage == node.member.storage) return core.durable();
                    const auto progress = core.progress().find(storage);
                    return progress == core.progress().end() ? Offset(0) : progress->second.match;
                  }));
}

void Group::check_committed(Node& node) {
  const Offset committed = committed_of(node);
  for (const Logged& logged : node.view.entries) {
    const Offset end = logged.head.last();
    if (end <= node.checked) continue;
    if (end > committed) break;
    const Chained chain{logged.head.term, logged.hash};
    const auto [known, is_new] = ledger_.try_emplace(end, chain);
    if (!(known->second == chain))
      complain(fmt::format("offset {} was committed as something else", end.value()));
    const auto on_disk = [&](StorageId storage) {
      // A disk that was destroyed since had it when it said so; such a one at a time is allowed.
      const Node* member = node_of(storage);
      const Kept& disk = member != nullptr ? member->disk : *graves_.at(storage);
      return disk.base >= end || disk.hash_at(end) == chain.hash;
    };
    if (is_new && !has_quorum(node.core->membership(), on_disk))
      complain(fmt::format("offset {} is committed, and no quorum has it on disk", end.value()));
    if (is_new && logged.head.membership && !logged.head.membership->joint()) ++changes_done_;
    node.checked = end;
  }
}

void Group::propose(Node& node) {
  const auto place = node.core->place();
  if (!place) return;
  EntryHead head{.first = place->first,
                 .count = static_cast<uint32_t>(1 + random_.below(3)),
                 .term = place->term,
                 .bytes = static_cast<uint32_t>(random_.below(200))};
  head.append_ms = LogMs(static_cast<int64_t>(next_payload_++));
  node.core->appended(head);
  append(node, head);
  take(node);
}

void Group::change_members(Node& node) {
  if (!options_.changes || !node.core->leads_surely()) return;
  if (options_.careless.changes_over_changes) return change_at_once(node);
  const Membership now = node.core->membership();
  const bool newest = node.core->term() == leaders_.rbegin()->first;
  const bool all_live =
      std::all_of(now.voters.begin(), now.voters.end(),
                  [&](const Member& member) { return node_of(member.storage) != nullptr; });
  const bool settled =
      std::none_of(node.view.entries.begin(), node.view.entries.end(), [&](const Logged& logged) {
        return logged.head.membership && logged.head.last() > node.core->committed();
      });
  // One disk at a time, and the next only when it has been replaced.
  if (options_.members > 1 && newest && all_live && settled && !now.joint() &&
      now.learners.empty() && random_.one_in(3)) {
    Node& victim = any_node();
    if (&victim != &node && now.is_voter(victim.member.storage)) return wipe(victim);
  }
  auto voters = now.voters;
  std::vector<Member> learners;
  std::erase_if(voters, [&](const Member& member) { return node_of(member.storage) == nullptr; });
  for (const auto& other : nodes_) {
    if (now.is_voter(other->member.storage)) continue;
    const auto progress = node.core->progress().find(other->member.storage);
    const bool near =
        progress != node.core->progress().end() && progress->second.match + 20 >= node.core->last();
    (near ? voters : learners).push_back(other->member);
  }
  if (voters.size() > options_.members)
    voters.erase(voters.begin() + static_cast<std::ptrdiff_t>(random_.below(voters.size())));
  if (voters.size() < options_.members) voters = now.voters;
  if (voters == now.voters && learners == now.learners) return;
  ignore(node.core->change(std::move(voters), std::move(learners)), "one may be under way");
  take(node);
}

/// To members that come to mind, whatever is under way.
void Group::change_at_once(Node& node) {
  const auto place = node.core->place();
  if (!place) return;
  Membership wanted;
  wanted.leaving = node.core->membership().voters;
  for (const auto& other : nodes_) wanted.voters.push_back(other->member);
  wanted.voters.erase(wanted.voters.begin() +
                      static_cast<std::ptrdiff_t>(random_.below(wanted.voters.size())));
  EntryHead head{.first = place->first, .term = place->term, .bytes = 10};
  head.append_ms = LogMs(static_cast<int64_t>(next_payload_++));
  head.membership = std::make_shared<Membership>(std::move(wanted));
  node.core->appended(head);
  append(node, head);
  take(node);
}

void Group::hand_over(Node& node) {
  ignore(node.core->hand_over(any_node().member.storage), "it may be no voter");
  take(node);
}

void Group::ask(Node& node) {
  const Offset now = ledger_.empty() ? Offset(0) : ledger_.rbegin()->first;
  const auto id = node.core->read();
  if (id) node.reads[*id] = now;
  take(node);
}

bool Group::settle() {
  calm_ = true;
  cuts_.clear();
  for (const auto& node : nodes_) {
    if (!node->core) start(*node);
  }
  for (int round = 0; round < 400 && !violation_; ++round) {
    for (const auto& node : nodes_) tick(*node);
    for (int i = 0; i < 200 && !network_.empty(); ++i) deliver();
    for (const auto& node : nodes_) sync(*node, 100);
    for (const auto& node : nodes_) {
      while (!node->news.empty()) tell(*node);
    }
    Node* leader = nullptr;
    for (const auto& node : nodes_) {
      if (node->core->leads_surely() && node->core->term() == leaders_.rbegin()->first)
        leader = node.get();
    }
    if (leader == nullptr || leader->core->membership().joint()) continue;
    const auto members = leader->core->membership().voters;
    const bool equal = std::all_of(members.begin(), members.end(), [&](const Member& member) {
      const Node* node = node_of(member.storage);
      // A disk that was wiped and not replaced yet is nobody's.
      return node == nullptr || (node->core->committed() == leader->core->last() &&
                                 node->core->last() == leader->core->last() &&
                                 node->view.last_hash() == leader->view.last_hash());
    });
    if (equal && network_.empty()) return true;
  }
  return false;
}

}  // namespace clickmill::raft
