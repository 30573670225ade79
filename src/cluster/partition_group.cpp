// A partition's place in its group: what it appends when it leads, what it takes when it
// follows, and whom it answers.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/logging.h"
#include "cluster/partition.h"
#include "cluster/votes_on.h"

namespace clickmill::cluster {
namespace {

// Of a data directory that has no peers and so needs no name for its disk.
constexpr raft::StorageId kStorageAlone{1};
// One step of the group's time.
constexpr int64_t kGroupTickNs = 50'000'000;
// A follower refuses what is later than its own clock by more.
constexpr int64_t kClockAheadMs = 10'000;
// A leader that hears of no spool but some goes on with those.
constexpr int64_t kHearAllNs = 5'000'000'000;
// An empty log begins so much earlier while a node has not told yet what waits there.
constexpr int64_t kUnheardMs = kDayMs;
// Without a leader a start answers with what it has.
constexpr int64_t kContactNs = 10'000'000'000;
// Without its sender, about.
constexpr size_t kBatchHeaderBytes = 16;
// Offsets by which what is applied may trail.
constexpr uint64_t kNearly = 100'000;

}  // namespace

Sealing::Options Partition::sealing_options() {
  Sealing::Options options;
  options.id = id_;
  if (options_.group) options.fetch = options_.group->fetch;
  // Not behind merges, which take seconds: what waits to be sealed is held in memory.
  options.in_background = options_.in_commit ? options_.in_commit : options_.in_background;
  options.on_worker = options_.on_worker;
  options.moved = [this] { moved(); };
  options.too_far = [this] { want_state(); };
  return options;
}

log::PartitionLog::Callbacks Partition::callbacks() {
  log::PartitionLog::Callbacks callbacks;
  callbacks.on_durable = [this](Offset last, uint64_t life) {
    options_.on_worker([this, last, life] {
      replica_->log_durable(last, life);
      moved();
    });
  };
  callbacks.on_hard_state = [this](const log::HardState& state) {
    options_.on_worker([this, state] {
      replica_->hard_state_durable(state);
      moved();
    });
  };
  callbacks.on_failed = [this](const Error& error) {
    options_.on_worker([this, text = error.text()] { told_failed(text); });
  };
  return callbacks;
}

Status Partition::open(log::Journal& journal, log::RecoveredLog&& recovered) {
  if (!log_closed()) TRY(bridge_hole(recovered));
  if (log_closed()) return open_closed(journal, std::move(recovered));
  log_ = TRY(log::PartitionLog::open(id_, *segments_, journal, std::move(recovered), callbacks()));
  if (pipeline_->applied() > log_->last()) {
    return Error(
        Errc::corrupt,
        fmt::format("partition {}: the checkpoint is at offset {}, but the log ends at {}; "
                    "journal and state don't belong together",
                    id_.value(), pipeline_->applied().value(), log_->last().value()));
  }
  TRY(open_replica());
  // Alone, what was recovered is committed once an entry of this life is. In a group only a
  // leader can say how far it is.
  replay_until_ = options_.group ? log_->committed() : log_->last();
  opened_ns_ = clock_.system().monotonic_ns();
  if (!options_.group) {
    clock_.raise(ArrivalMs(log_->last_append_ms().value()));
    tick_group();
  }
  log_->release_thread();
  publish_tally();
  if (const std::string& mended = segments_->mended(); !mended.empty())
    damaged_parts_.insert(fmt::format("partition {}: {}", id_.value(), mended));
  if (lost()) fail_for_good(Error(Errc::corrupt, options_.rebuilder->lost()->message()));
  if (!reopened_) fail(Error(Errc::io, options_.stream_trouble));
  return {};
}

Status Partition::open_replica() {
  raft::Replica::Options options;
  options.committed = pipeline_->applied();
  options.still_ms = [this] { return still_ms(); };
  if (const auto& group = options_.group) {
    options.self = group->self;
    options.membership = group->membership;
    options.send = group->send;
    options.keep_members = group->keep_members;
  } else {
    options.self = {options_.node_id, kStorageAlone};
    options.membership.voters = {options.self};
  }
  replica_ = TRY(raft::Replica::open(*log_, std::move(options)));
  apart_ = options_.group && !votes_on(*replica_);
  sealing_.attach(*log_, *replica_);
  return {};
}

/// A late call is one step, however late: the own pause is not the leader's silence.
void Partition::tick_group() {
  const int64_t now = clock_.system().monotonic_ns();
  replica_->retry();
  if (now >= next_group_tick_ns_ || (replica_->alone() && !replica_->leads())) {
    next_group_tick_ns_ = now + kGroupTickNs;
    const auto random = static_cast<uint32_t>(random_.next());
    if (const auto& group = options_.group) {
      auto permit = group->permit();
      // A node that is well must not vouch for a group that isn't.
      permit.lead =
          permit.lead && !failure_ && !log_failed_ && !rebuilding() && difference_.empty();
      // Or it would be a voter before it has its state.
      permit.vote = permit.vote && !log_failed_ && !hollow();
      replica_->tick(group->sight_of, permit, group->rank(), random);
    } else {
      replica_->tick([](const raft::Member&) { return raft::Sight(); }, {true, true}, 0, random);
    }
  }
  moved();
}

void Partition::receive(const std::string& node, raft::Received&& message) {
  owner_.check();
  if (log_closed()) return;
  raft::Core::Room room;
  // Nor anything that the log would have to let go of again.
  room.journal = !log_failed_ && !stands_still();
  room.append_ms_most = LogMs(clock_.now().value() + kClockAheadMs);
  replica_->receive(node, std::move(message), room);
  moved();
}

void Partition::take_blocks(Result<std::vector<log::Entry>> blocks) {
  owner_.check();
  if (log_failed_ || log_closed()) return;
  sealing_.take_blocks(std::move(blocks));
  moved();
}

Status Partition::change_members(std::vector<raft::Member> voters,
                                 std::vector<raft::Member> learners) {
  owner_.check();
  if (log_closed()) return Error(Errc::closed, failure_->message());
  auto done = replica_->change(std::move(voters), std::move(learners));
  moved();
  return done;
}

Status Partition::hand_over(raft::StorageId heir) {
  owner_.check();
  if (log_closed()) return Error(Errc::closed, failure_->message());
  auto done = replica_->hand_over(heir);
  moved();
  return done;
}

/// Whatever has just happened to the replica: what follows from it.
void Partition::moved() {
  const Term leads = replica_->leads() ? replica_->core().term() : Term(0);
  if (leads != led_) {
    if (led_ != Term(0)) lost_lead();
    led_ = leads;
    if (led_ != Term(0)) ++leads_taken_;
    led_since_ns_ = heard_upto_ns_ = clock_.system().monotonic_ns();
  }
  if (auto behind = replica_->take_behind(); behind && !taking_) sealing_.fetch(*behind);
  if (!log_failed_) sealing_.adopt_if_ready();
  if (led_ != Term(0)) prepare_to_lead();
  if (replica_->forgot() && options_.group) options_.group->forgot();
  tail_readers_.committed(log_->committed());
  // While it is replaying, replay_slice gets there in its own time.
  if (caught_up_) apply_committed();
  answer_waiting();
}

/// Another may order the log from here on: what has been proposed and is not committed may
/// come to be, or never.
void Partition::lost_lead() {
  ready_ = settings_put_ = false;
  end_.reset();
  std::deque<Waiting> stay;
  std::vector<Committed> unknown;
  for (Waiting& waiting : waiting_) {
    const bool committed =
        waiting.last <= log_->committed() && log_->term_at(waiting.last) == waiting.term;
    if (committed) {
      stay.push_back(std::move(waiting));
    } else {
      unknown.push_back(std::move(waiting.committed));
    }
  }
  waiting_ = std::move(stay);
  for (const Committed& committed : unknown) {
    committed(Error(Errc::not_leader,
                    "another node leads the partition now; whether it has this "
                    "is not known"));
  }
}

void Partition::told_failed(const std::string& why) {
  owner_.check();
  log_failed_ = true;
  fail(Error(Errc::closed, "journal: " + why));
  fail_waiting();
}

void Partition::fail_waiting() {
  for (Waiting& waiting : std::exchange(waiting_, {})) {
    waiting.committed(Error(Errc::closed, failure_->message()));
  }
  for (auto& [offset, applied] : std::exchange(followed_, {}))
    applied(Error(Errc::closed, failure_->message()));
}

/// Whether a start has heard from the group how far it is, or has waited long enough for that.
bool Partition::has_contact() const {
  if (up_to_date() || !here()) return true;
  return clock_.system().monotonic_ns() - opened_ns_ > kContactNs;
}

bool Partition::here() const {
  const auto& group = options_.group;
  if (!group || !group->placed_here || log_closed() || group->placed_here()) return true;
  return replica_->core().membership().contains(replica_->self().storage);
}

bool Partition::led() const {
  if (replica_->core().leader_is_live()) return true;
  // Of a group that it is no member of it knows the claims alone.
  const auto& group = options_.group;
  return group && !votes_on(*replica_) && group->is_led && group->is_led();
}

/// Where not all nodes have a copy, a vote says that this one is relied on. Another may be on its
/// way, and nobody waits for it: nor while the nodes are told, one after the other, that they are
/// fewer, and this one is to hold what the others don't give it yet.
bool Partition::relied_on() const {
  if (votes_on(*replica_)) return true;
  const auto& group = options_.group;
  return everywhere() && !(group && group->disputed && group->disputed());
}

bool Partition::up_to_date() const {
  if (replica_->leads()) return replica_->leads_surely();
  const raft::Core& core = replica_->core();
  if (core.leader() == raft::StorageId(0) || core.committed() == Offset(0)) return false;
  return core.last() - std::min(core.last(), pipeline_->applied()) < kNearly &&
         core.verified() != Offset(0);
}

/// True when it leads, and the settings that batches are judged by are in force.
bool Partition::prepare_to_lead() {
  if (!replica_->leads_surely() || log_failed_) return false;
  if (ready_) return true;
  // A rebuild takes long, and a stream that has stopped may never go on: clicks must not wait
  // for them.
  if (failure_ || rebuilding()) return ready_ = true;
  if (!caught_up_ && pipeline_->applied() < replay_until_) return false;
  return ready_ = put_settings_in_force();
}

/// False: not now, since the journal doesn't take it, or nodes that they name have not told
/// yet what waits there.
bool Partition::put_settings_in_force() {
  if (settings_put_ || pipeline_->settings() == options_.settings) return true;
  const int64_t led_ns = clock_.system().monotonic_ns() - led_since_ns_;
  if (options_.group &&
      options_.group->low_waters(id_, 0).size() + 1 < options_.settings.nodes.size() &&
      led_ns < kHearAllNs)
    return false;
  std::string payload;
  stream::encode_settings(options_.settings, payload);
  // A node that they name first begins at their time: not above what waits already to be
  // counted, or that would be too old to be judged.
  const LogMs append_ms(std::max({still_ms().value(), log_->last_append_ms().value(),
                                  pipeline_->horizon().log_time().value()}));
  settings_put_ =
      append_entry(click::EntryKind::settings, 1, std::move(payload), append_ms).has_value();
  return settings_put_;
}

/// The log's time; in an empty log a time that nothing which waits to be counted is older than.
LogMs Partition::still_ms() const {
  if (log_->last_append_ms() != LogMs(0)) return log_->last_append_ms();
  int64_t lowest = options_.low_water(id_).value();
  if (options_.group) {
    const auto others = options_.group->low_waters(id_, 0);
    for (const auto& other : others) lowest = std::min(lowest, other.low_water.value());
    // What waits at a node that has not told yet is older than it by as much as their clocks
    // differ, or since when it waits.
    if (others.size() + 1 < options_.settings.nodes.size()) lowest -= kUnheardMs;
  }
  return LogMs(std::max<int64_t>(lowest, 1));
}

LogMs Partition::next_append_ms(ArrivalMs not_below) {
  return LogMs(std::max({clock_.now().value(), not_below.value(), log_->last_append_ms().value(),
                         pipeline_->horizon().log_time().value()}));
}

Status Partition::append_entry(click::EntryKind kind, uint32_t count, std::string&& payload,
                               LogMs append_ms) {
  if (kind != click::EntryKind::tick && begins_hour(append_ms)) TRY(append_tick(append_ms));
  log::Entry entry;
  entry.count = count;
  entry.kind = static_cast<uint8_t>(kind);
  entry.append_ms = append_ms;
  entry.payload = std::move(payload);
  if (end_ && !end_->pass(kind, append_ms, entry.payload)) end_.reset();
  auto appended = replica_->append(std::move(entry));
  if (appended) return {};
  end_.reset();
  return std::move(appended).error();
}

Status Partition::append_clicks(Batch& batch) {
  const LogMs append_ms = next_append_ms(batch.newest);
  if (begins_hour(append_ms)) TRY(append_tick(append_ms));
  size_t done = 0;
  while (done < batch.records.size()) {
    // No entry crosses a multiple of kBlockOffsets: blocks and digests end there.
    const uint64_t first = log_->last().value() + 1;
    const uint64_t room = log::kBlockOffsets - first % log::kBlockOffsets;
    const size_t end = done + std::min<size_t>(room, batch.records.size() - done);
    size_t bytes = kBatchHeaderBytes + batch.sender.size();
    for (size_t i = done; i < end; ++i) bytes += batch.records[i].size();
    std::string payload;
    payload.reserve(bytes);
    click::encode_batch_header({batch.sender, batch.again, batch.low_water}, payload);
    for (size_t i = done; i < end; ++i) payload += batch.records[i];
    TRY(append_entry(click::EntryKind::clicks, static_cast<uint32_t>(end - done),
                     std::move(payload), append_ms));
    done = end;
  }
  return {};
}

void Partition::submit(Batch&& batch, Committed committed) {
  owner_.check();
  if (log_failed_ || log_closed()) return committed(Error(Errc::closed, failure_->message()));
  if (!replica_->leads()) return committed(Error(Errc::not_leader, "another node leads it"));
  if (!takes_clicks()) return committed(Error(Errc::busy, "still replaying the log"));
  // Log time would follow it, and nobody would follow that.
  if (options_.group && batch.newest.value() > clock_.now().value() + kClockAheadMs)
    return committed(Error(Errc::busy, "the sender's clock is ahead"));
  if (auto appended = append_clicks(batch); !appended)
    return committed(std::move(appended).error());
  waiting_.push_back({log_->last(), replica_->core().term(), std::move(committed)});
}

void Partition::propose(click::EntryKind kind, std::string&& payload, Applied applied) {
  const raft::Member* leader = replica_->leader();
  if (!options_.group || leader == nullptr || *leader == replica_->self())
    return propose_here(kind, std::move(payload), std::move(applied));
  options_.group->propose(kind, std::move(payload), std::move(applied));
}

void Partition::propose_here(click::EntryKind kind, std::string&& payload, Applied applied) {
  owner_.check();
  if (failure_) return applied(Error(Errc::closed, failure_->message()));
  if (!caught_up_) return applied(Error(Errc::busy, "still replaying the log"));
  if (!takes_clicks()) return applied(Error(Errc::not_leader, "another node leads it"));
  auto appended = append_entry(kind, 1, std::move(payload), next_append_ms(ArrivalMs(0)));
  if (!appended) return applied(std::move(appended).error());
  const Offset offset = log_->last();
  waiting_.push_back(
      {offset, replica_->core().term(), [offset, applied = std::move(applied)](Status status) {
         applied(status ? Result<Offset>(offset) : std::move(status).error());
       }});
}

/// A proposal is told no earlier than it is applied; what is committed was, just
/// before, unless the stream has stopped: then only clicks wait.
Offset Partition::answered_upto() const {
  return failure_ || !caught_up_ ? log_->committed() : pipeline_->applied();
}

void Partition::answer_waiting() {
  while (!waiting_.empty() && waiting_.front().last <= answered_upto()) {
    Waiting waiting = std::move(waiting_.front());
    waiting_.pop_front();
    waiting.committed({});
  }
  while (!followed_.empty() && followed_.begin()->first <= answered_upto()) {
    const auto followed = followed_.extract(followed_.begin());
    followed.mapped()(followed.key());
  }
}

void Partition::when_applied(Offset offset, Applied applied) {
  owner_.check();
  if (failure_) return applied(Error(Errc::closed, failure_->message()));
  if (offset <= answered_upto()) return applied(offset);
  followed_.emplace(offset, std::move(applied));
}

}  // namespace clickmill::cluster
