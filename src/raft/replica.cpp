#include "raft/replica.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/logging.h"

namespace clickmill::raft {
namespace {

constexpr size_t kStrangersMost = 64;

HardState from_log(const log::HardState& state) {
  uint64_t vote = 0;
  std::from_chars(state.vote.data(), state.vote.data() + state.vote.size(), vote);
  return {state.term, StorageId(vote)};
}

log::HardState to_log(const HardState& state) {
  const bool voted = state.vote != StorageId(0);
  return {state.term, voted ? fmt::format("{}", state.vote.value()) : std::string()};
}

}  // namespace

Result<std::unique_ptr<Replica>> Replica::open(log::PartitionLog& log, Options options) {
  Core::Restored restored;
  restored.hard = from_log(log.hard_state());
  restored.base = log.segments().last();
  restored.base_term = log.segments().last_term();
  restored.membership = options.membership;
  restored.committed = std::max(options.committed, restored.base);
  for (const auto& entry : log.unsealed()) {
    if (entry->last() > restored.base) restored.entries.push_back(TRY(head_of(*entry)));
  }
  return std::unique_ptr<Replica>(new Replica(log, std::move(options), std::move(restored)));
}

Replica::Replica(log::PartitionLog& log, Options options, Core::Restored restored)
    : log_(log),
      options_(std::move(options)),
      core_(options_.self, std::move(restored), options_.core) {
  commit();
}

bool Replica::alone() const {
  const Membership& membership = core_.membership();
  return membership.voters.size() == 1 && !membership.joint() && membership.learners.empty() &&
         membership.is_voter(options_.self.storage);
}

const Member* Replica::leader() const {
  if (const Member* const member = core_.membership().find(core_.leader())) return member;
  const auto stranger = strangers_.find(core_.leader());
  return stranger == strangers_.end() ? nullptr : &stranger->second;
}

void Replica::receive(const std::string& node, Received&& received, const Core::Room& room) {
  if (stopped_) return;
  if (strangers_.size() >= kStrangersMost) strangers_.clear();
  if (!core_.membership().contains(received.message.from))
    strangers_[received.message.from] = {node, received.message.from};
  incoming_ = std::move(received.entries);
  Core::Room here = room;
  // More would only pile up behind what the journal has refused.
  here.journal = here.journal && waiting_.empty();
  core_.step(received.message, here);
  drain();
  incoming_.clear();
}

void Replica::tick(const std::function<Sight(const Member&)>& sight_of, Core::Permit permit,
                   uint32_t rank, uint32_t random) {
  if (stopped_) return;
  core_.tick(sight_of, permit, rank, random);
  drain();
}

void Replica::link_is_new(StorageId storage) {
  if (stopped_) return;
  core_.link_is_new(storage);
  drain();
}

Result<Offset> Replica::append(log::Entry&& entry) {
  if (stopped_) return Error(Errc::closed, "the journal has failed");
  const Core::Place place = TRY(core_.place());
  if (!waiting_.empty() || place.first != log_.last() + 1)
    return Error(Errc::busy, "the journal has not taken all of the log yet");
  entry.first = place.first;
  entry.term = place.term;
  EntryHead head = TRY(head_of(entry));
  const Offset last = entry.last();
  TRY(log_.append(std::move(entry)));
  core_.appended(std::move(head));
  drain();
  return last;
}

Result<uint64_t> Replica::read() {
  if (stopped_) return Error(Errc::closed, "the journal has failed");
  const uint64_t id = TRY(core_.read());
  drain();
  return id;
}

Status Replica::change(std::vector<Member> voters, std::vector<Member> learners) {
  TRY(core_.change(std::move(voters), std::move(learners)));
  drain();
  return {};
}

Status Replica::hand_over(StorageId heir) {
  TRY(core_.hand_over(heir));
  drain();
  return {};
}

void Replica::log_durable(Offset last, uint64_t life) {
  if (stopped_) return;
  log_.durable_upto(last, life);
  core_.log_durable(last, life);
  drain();
}

void Replica::hard_state_durable(const log::HardState& state) {
  if (stopped_) return;
  core_.hard_state_durable(from_log(state));
  drain();
}

void Replica::sealed_upto(Offset last) {
  core_.sealed_upto(last);
  log_.sealed_upto(last);
}

bool Replica::make_way(std::span<const log::Entry> committed) {
  if (stopped_ || leads()) return false;
  for (const log::Entry& entry : committed) {
    if (entry.first <= core_.committed()) continue;
    if (entry.first > log_.last()) break;
    const auto mine = log_.beginning_at(entry.first);
    if (mine && mine->term == entry.term && mine->count == entry.count) continue;
    core_.cut(entry.first);
    drain();
    break;
  }
  return !stopped_ && waiting_.empty() && log_.cut_is_durable();
}

/// A log that reaches the state's end and doesn't lead to it holds nothing from there on that was
/// agreed on. What it holds before stays until the state is in its place: it was acknowledged.
bool Replica::make_way_for(Offset end, Term term) {
  if (stopped_ || leads()) return false;
  if (core_.last() >= end && core_.term_of(end) != term) {
    core_.cut(end);
    drain();
  }
  return !stopped_ && waiting_.empty() && log_.cut_is_durable();
}

Status Replica::keep_members_of_state(Offset end, const Membership& members) {
  if (options_.keep_members) TRY(options_.keep_members(end, members));
  members_of_state_ = true;
  return {};
}

void Replica::took_state(Offset end, Term term, const Membership& members) {
  members_of_state_ = false;
  if (stopped_) return;
  core_.installed(end, term, members);
  core_.sealed_upto(end);
  log_.moved_on(core_.life());
  if (unkept_ && unkept_->first <= end) unkept_.reset();
  drain();
}

Status Replica::adopted(std::span<const log::Entry> committed) {
  if (stopped_) return Error(Errc::closed, "the journal has failed");
  if (committed.empty()) return {};
  std::shared_ptr<const Membership> members;
  for (const log::Entry& entry : committed) {
    if (entry.kind != kMembershipKind) continue;
    members = TRY(head_of(entry)).membership;
    unkept_ = {entry.last(), members};
  }
  const log::Entry& last = committed.back();
  if (!members) members = std::make_shared<Membership>(core_.membership());
  core_.installed(last.last(), last.term, *members);
  core_.sealed_upto(last.last());
  log_.moved_on(core_.life());
  drain();
  keep_members(log_.committed());
  return {};
}

void Replica::retry() {
  if (stopped_) return;
  if (!waiting_.empty()) write_waiting();
  keep_members(log_.committed());
}

/// Gives everybody what Core has for them, until there is nothing more.
void Replica::drain() {
  while (!stopped_) {
    Core::Output out = core_.take_output();
    if (!order(out)) break;
  }
  commit();
}

/// True when Core has been told something, and may have more to say.
bool Replica::order(Core::Output& out) {
  if (out.hard_state) {
    if (auto written = log_.set_hard_state(to_log(*out.hard_state)); !written)
      stop(written.error());
  }
  if (out.truncate_from) waiting_.push_back(Cut{*out.truncate_from, core_.life()});
  for (const EntryHead& head : out.append) {
    const auto at = std::find_if(incoming_.begin(), incoming_.end(), [&](const log::Entry& entry) {
      return entry.first == head.first && entry.term == head.term;
    });
    // Core has it from there.
    waiting_.push_back(std::move(*at));
  }
  if (!waiting_.empty()) write_waiting();
  if (out.behind) behind_ = out.behind;
  reads_.insert(reads_.end(), out.reads.begin(), out.reads.end());
  forgot_ = forgot_ || out.forgot;
  if (stopped_) return false;
  for (const Message& message : out.messages) send(message);
  if (out.no_op) return write_own(kNoOpKind, {});
  if (out.membership) {
    std::string payload;
    encode_membership(*out.membership, payload);
    return write_own(kMembershipKind, std::move(payload));
  }
  return false;
}

/// A leader's entry of Raft's own. What the journal refuses now is asked for again.
bool Replica::write_own(uint8_t kind, std::string&& payload) {
  const auto place = core_.place();
  if (!place || !waiting_.empty()) return false;
  log::Entry entry;
  entry.first = place->first;
  entry.term = place->term;
  entry.kind = kind;
  entry.append_ms = std::max(options_.still_ms(), log_.last_append_ms());
  entry.payload = std::move(payload);
  auto head = head_of(entry);
  if (!head) return false;
  if (auto written = log_.append(std::move(entry)); !written) {
    if (written.error().code() != Errc::busy) stop(written.error());
    return false;
  }
  core_.appended(*std::move(head));
  return true;
}

void Replica::write_waiting() {
  while (!waiting_.empty() && !stopped_) {
    Write& next = waiting_.front();
    Status written;
    if (const auto* cut = std::get_if<Cut>(&next)) {
      written = log_.truncate_suffix(cut->from, cut->life);
    } else {
      // A copy: one that is refused is tried again.
      written = log_.append(log::Entry(std::get<log::Entry>(next)));
    }
    if (!written && written.error().code() == Errc::busy) return;
    if (!written) return stop(written.error());
    waiting_.pop_front();
  }
}

void Replica::commit() {
  const Offset before = log_.committed();
  log_.commit(std::min({core_.committed(), core_.durable(), log_.durable()}));
  if (log_.committed() > before) keep_members(before);
}

/// Writes down the last change of members that is committed, if one is new.
void Replica::keep_members(Offset before) {
  if (!options_.keep_members) return;
  if (log_.committed() > before) {
    for (Offset at = before + 1; at <= log_.committed();) {
      const auto entry = log_.beginning_at(at);
      if (!entry) break;
      if (entry->kind == kMembershipKind) {
        if (auto head = head_of(*entry)) unkept_ = {entry->last(), head->membership};
      }
      at = entry->last() + 1;
    }
  }
  if (!unkept_ || members_of_state_) return;
  if (auto kept = options_.keep_members(unkept_->first, *unkept_->second); !kept) {
    log_warn("raft", "the members of a group can't be written down: " + kept.error().text());
    return;
  }
  unkept_.reset();
}

std::string Replica::node_of(StorageId storage) const {
  if (const Member* const member = core_.membership().find(storage)) return member->node;
  const auto stranger = strangers_.find(storage);
  return stranger == strangers_.end() ? std::string() : stranger->second.node;
}

void Replica::send(const Message& message) {
  const std::string node = options_.send ? node_of(message.to) : std::string();
  if (node.empty()) return;
  if (const auto* append = std::get_if<Append>(&message.body)) {
    // One that was held back may speak of what has been sealed since: it is asked for anew.
    for (const EntryHead& head : append->entries) {
      if (!log_.beginning_at(head.first)) return;
    }
  }
  options_.send(node, encode_message(message, [this](const EntryHead& head) -> const log::Entry& {
                  return *log_.beginning_at(head.first);
                }));
}

void Replica::stop(const Error& error) {
  stopped_ = true;
  log_error("raft", "a replica stops: " + error.text());
}

}  // namespace clickmill::raft
