#include "cluster/partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/damage.h"
#include "base/logging.h"
#include "cluster/votes_on.h"

namespace clickmill::cluster {
namespace {

constexpr size_t kReplayBytes = 256 << 10;
// Unsaved bytes, in those that bring a checkpoint forward, with which no more is
// applied: while one is under way, and while they fail.
constexpr uint64_t kRoomFactor = 3;
constexpr uint64_t kTroubleFactor = 8;

}  // namespace

Partition::Partition(PartitionId id, NodeClock& clock, std::unique_ptr<log::Segments> segments,
                     std::unique_ptr<stream::Pipeline> pipeline, Options options)
    : id_(id),
      clock_(clock),
      options_(std::move(options)),
      segments_(std::move(segments)),
      pipeline_(std::move(pipeline)),
      sealing_(*segments_, clock_.system(), sealing_options()),
      log_trouble_(options_.log_trouble),
      reopened_(options_.stream_trouble.empty()),
      random_(options_.random_seed + id_.value()) {
  // Staggered, so that the partitions' checkpoints don't fall on one instant.
  next_checkpoint_ns_ = clock_.system().monotonic_ns() +
                        options_.checkpoint_interval_ms * 1'000'000 / 64 * (1 + id_.value() % 64);
  pauses_.saved_at_ns = clock_.system().monotonic_ns();
}

bool Partition::replay_slice() {
  owner_.check();
  if (caught_up_ || failure_) return false;
  if (!loaded_) {
    auto loaded = pipeline_->load();
    if (!loaded) held_up(std::move(loaded).error(), applying_);
    loaded_ = loaded.has_value();
    return loaded_;
  }
  const Offset before = pipeline_->applied();
  if (before < replay_until_) {
    apply_committed();
    // Or a long log would be held in memory, and replayed again after a kill.
    checkpoint_if_due();
    // What is held up is tried again a little later.
    if (failure_ || pipeline_->applied() < replay_until_)
      return !failure_ && pipeline_->applied() > before;
  }
  if (rebuilding() && !finish_rebuild()) return false;
  caught_up_ = replica_->leads_surely() ? prepare_to_lead() : has_contact();
  // What was committed while it was rebuilt.
  apply_rest();
  return false;
}

Partition::State Partition::state() const {
  owner_.check();
  State state;
  state.id = id_;
  state.here = here();
  state.term = replica_->core().term();
  // One that is silent is no leader any more, whoever comes next.
  const raft::Member* leader = replica_->leader();
  if (leader != nullptr && replica_->core().leader_is_live()) state.leader = leader->node;
  state.members = replica_->core().membership();
  state.first = log_->first();
  state.last = log_->last();
  state.committed = log_->committed();
  state.applied = pipeline_->applied();
  state.log_time = pipeline_->horizon().log_time();
  state.low_water = pipeline_->horizon().low_water(pipeline_->settings().stale_after_hours);
  state.digest = pipeline_->digest();
  state.gear = gear();
  return state;
}

std::optional<Partition::Entries> Partition::unsealed(Offset from, size_t max_bytes) const {
  owner_.check();
  if (from <= segments_->last()) return std::nullopt;
  auto entries = log_->read(from, max_bytes);
  // From memory, so nothing can have failed.
  if (!entries) return Entries();
  while (!entries->empty() && entries->back()->last() > log_->committed()) entries->pop_back();
  return *std::move(entries);
}

void Partition::follow(Offset from, int64_t deadline_ns, TailReaders::Wake wake) {
  owner_.check();
  if (from <= log_->committed()) return wake(TailReaders::Woken::committed);
  tail_readers_.add(from, deadline_ns, std::move(wake));
}

stream::Tally Partition::tally() const {
  std::lock_guard lock(tally_mutex_);
  return tally_;
}

void Partition::publish_tally() {
  std::lock_guard lock(tally_mutex_);
  tally_ = pipeline_->tally();
}

/// Whether memory, and the files that may be open, allow to apply more. What a checkpoint under
/// way holds counts, and after one that failed the partition goes on counting for a good while
/// longer. A merge that is under way ends, whatever becomes of it.
bool Partition::has_room() const {
  if (merging_ && pipeline_->parts_pile_up()) return false;
  const uint64_t most =
      options_.checkpoint_bytes * (checkpointing_.text.empty() ? kRoomFactor : kTroubleFactor);
  if (pipeline_->unsaved_bytes() + pipeline_->in_flight_bytes() >= most) return false;
  // Two blocks' worth of entries hold one that can be sealed, or is being sealed. A replay
  // has all of them in memory as it is.
  return !caught_up_ || log_->memory_bytes() < options_.log_bytes ||
         pipeline_->applied() < segments_->last() + 2 * log::kBlockOffsets;
}

/// Applies committed entries; while replaying, a slice of them per call.
void Partition::apply_committed() {
  while (!failure_ && !repairing_ && !switching_ && pipeline_->applied() < log_->committed()) {
    if (!has_room() || applying_.again.waits(clock_.system().monotonic_ns())) return;
    const Offset before = pipeline_->applied();
    apply_slice();
    publish_tally();
    if (!caught_up_ || pipeline_->applied() == before) return;
    if (holds_much()) begin_checkpoint();
  }
}

void Partition::apply_slice() {
  auto entries = log_->read(pipeline_->applied() + 1, kReplayBytes);
  // Nothing can be built from a log that is damaged itself.
  if (!entries && is_damage(entries.error())) return fail_for_good(std::move(entries).error());
  if (!entries) return held_up(std::move(entries).error(), applying_);
  const Offset before = pipeline_->applied();
  for (const auto& entry : *entries) {
    if (entry->last() > log_->committed()) return;
    // A block may hold thousands of rows; what is left of it is read once more.
    if (pipeline_->applied() > before && !has_room()) return;
    if (entry->first > pipeline_->applied() + 1) {
      return fail_for_good(
          Error(Errc::corrupt, fmt::format("the log goes on at offset {}, but the stream is at {}",
                                           entry->first.value(), pipeline_->applied().value())));
    }
    if (stream::Pipeline::takes_long(*entry)) return begin_repair(entry);
    if (auto applied = pipeline_->apply(*entry); !applied)
      return held_up(std::move(applied).error(), applying_);
    passed(applying_);
  }
}

/// What was held up, if it may go on now.
void Partition::apply_rest() {
  if (!caught_up_ || failure_) return;
  apply_committed();
  answer_waiting();
}

/// The entries behind it wait until it is done; the worker doesn't.
void Partition::begin_repair(log::PartitionLog::EntryPtr entry) {
  if (commit_ || stands_still()) return;
  auto begun = pipeline_->begin_repair(*entry);
  if (!begun) return held_up(std::move(begun).error(), applying_);
  auto job = *std::move(begun);
  repairing_ = options_.in_background([this, entry, job] {
    const auto done = std::make_shared<Status>(job->run());
    options_.on_worker([this, entry, job, done] { end_repair(*entry, *job, std::move(*done)); });
  });
  if (!repairing_) applying_.again.failed(clock_.system().monotonic_ns());
}

void Partition::end_repair(const log::Entry& entry, const stream::RepairJob& job, Status done) {
  repairing_ = false;
  if (failure_) return;
  if (done) done = pipeline_->end_repair(entry, job);
  if (!done) return held_up(std::move(done).error(), applying_);
  passed(applying_);
  apply_rest();
}

/// What may pass is tried again; what can't ends the partition.
void Partition::held_up(Error error, Hurdle& hurdle) {
  if (error.code() != Errc::io && error.code() != Errc::no_space && error.code() != Errc::busy)
    return fail(std::move(error));
  hurdle.again.failed(clock_.system().monotonic_ns());
  if (error.code() == Errc::busy) return;
  std::string text = std::move(error).with_context(fmt::format("partition {}", id_.value())).text();
  if (text != hurdle.text) log_warn("partition", text + "; trying again");
  hurdle.text = std::move(text);
}

void Partition::passed(Hurdle& hurdle) {
  hurdle.again.succeeded();
  hurdle.text.clear();
}

void Partition::fail(Error error) {
  if (failure_) return;
  // What a rebuild meets again isn't healed by another one.
  if (rebuilding() && is_damage(error)) heals_ = false;
  failure_ = std::move(error).with_context(fmt::format("partition {} stopped", id_.value()));
  if (!replica_ || !hollow()) log_error("partition", failure_->text());
  fail_waiting();
}

void Partition::fail_for_good(Error error) {
  heals_ = false;
  fail(std::move(error));
}

void Partition::maintain() {
  owner_.check();
  if (log_closed()) return tail_readers_.expire(clock_.system().monotonic_ns());
  tick_group();
  votes_ = caught_up_ && !failure_ && difference_.empty() && votes_on(*replica_);
  serves_ = votes_ && up_to_date();
  apart_ = options_.group && (!votes_on(*replica_) || (apart_ && !serves_));
  step_state();
  tail_readers_.expire(clock_.system().monotonic_ns());
  // Even after a failure: a table image that is half written keeps the other
  // partitions from writing theirs.
  if (caught_up_) pipeline_->maintain();
  apply_rest();
  if (prepare_to_lead()) tick_if_due();
  // What the stream has yet to apply stays in memory, from where it takes it.
  sealing_.seal_if_due(failure_ ? Offset(UINT64_MAX) : pipeline_->applied());
  if (failure_) return heal_if_due();
  // A replay writes parts as well, of a long log thousands.
  if (loaded_ && !repairing_) merge_if_due();
  if (!caught_up_) return;
  checkpoint_if_due();
  step_older();
}

/// Whether a checkpoint is due whatever the time.
bool Partition::holds_much() const {
  return pipeline_->applied() - pipeline_->checkpointed() >= options_.checkpoint_entries ||
         pipeline_->unsaved_bytes() >= options_.checkpoint_bytes;
}

void Partition::checkpoint_if_due() {
  const int64_t now = clock_.system().monotonic_ns();
  if (now < next_checkpoint_ns_ && !holds_much() && checkpointing_.text.empty()) return;
  begin_checkpoint();
}

/// Prepares it here and writes it elsewhere, so that the worker goes on.
void Partition::begin_checkpoint() {
  const int64_t now = clock_.system().monotonic_ns();
  if (failure_ || commit_ || repairing_ || stands_still() || checkpointing_.again.waits(now))
    return;
  next_checkpoint_ns_ = now + options_.checkpoint_interval_ms * 1'000'000;
  if (pipeline_->saved()) pauses_.saved_at_ns = now;
  if (pipeline_->saved()) return;
  auto begun = pipeline_->begin_checkpoint();
  if (!begun) return held_up(std::move(begun).error(), checkpointing_);
  checkpoint_begun_ns_ = now;
  pauses_.last_ns = clock_.system().monotonic_ns() - now;
  commit_ = *std::move(begun);
  if (!options_.in_commit) return end_checkpoint(commit_);
  const bool taken = write_elsewhere(commit_, [this, commit = commit_] {
    options_.on_worker([this, commit] {
      end_checkpoint(commit);
      apply_rest();
    });
  });
  if (taken) return;
  pipeline_->give_up_checkpoint(*std::exchange(commit_, nullptr));
  checkpointing_.again.failed(now);
}

bool Partition::write_elsewhere(const std::shared_ptr<stream::Commit>& commit,
                                std::function<void()> written) {
  if (options_.commits != nullptr) return options_.commits->add(commit, std::move(written));
  return options_.in_commit([commit, written] {
    ignore(commit->run(), "end_checkpoint() looks at the answer");
    written();
  });
}

void Partition::end_checkpoint(const std::shared_ptr<stream::Commit>& commit) {
  // Another may be under way: checkpoint_now() has ended this one.
  if (commit_ != commit) return;
  const auto ours = std::exchange(commit_, nullptr);
  if (failure_) return;
  const int64_t begin_ns = clock_.system().monotonic_ns();
  if (auto done = pipeline_->end_checkpoint(*ours); !done)
    return held_up(std::move(done).error(), checkpointing_);
  passed(checkpointing_);
  ++pauses_.checkpoints;
  pauses_.saved_at_ns = checkpoint_begun_ns_;
  pauses_.last_ns = std::max(pauses_.last_ns, clock_.system().monotonic_ns() - begin_ns);
  pauses_.longest_ns = std::max(pauses_.longest_ns, pauses_.last_ns);
}

void Partition::checkpoint_now() {
  owner_.check();
  if (commit_) end_checkpoint(commit_);
  if (failure_ || repairing_ || switching_ || pipeline_->saved()) return;
  auto begun = pipeline_->begin_checkpoint();
  if (!begun) return held_up(std::move(begun).error(), checkpointing_);
  commit_ = *std::move(begun);
  end_checkpoint(commit_);
}

void Partition::merge_if_due() {
  if (merging_ || stands_still() || merge_again_.waits(clock_.system().monotonic_ns())) return;
  store::Retention* const retention = options_.retention;
  const auto oldest_ms =
      retention ? retention->oldest_kept(pipeline_->horizon().log_time()) : store::kAllTime;
  auto merge = pipeline_->due_merge(oldest_ms);
  if (!merge) return;
  merging_ = options_.in_background([this, merge, retention] {
    // Before: a query that misses the rows must know why.
    auto done = merge->deletes() ? retention->mark(merge->table(), merge->oldest_ms()) : Status();
    if (done) done = merge->run();
    const auto told = std::make_shared<const Status>(std::move(done));
    options_.on_worker([this, merge, told] { merged(*merge, *told); });
  });
}

void Partition::merged(const stream::Parts::Merge& merge, const Status& done) {
  merging_ = false;
  if (done) {
    ++upkeep_.merges;
    merge_again_.succeeded();
    const uint64_t deleted = pipeline_->take_merge(merge);
    if (deleted > 0) options_.retention->tell_deleted(id_, merge.table(), deleted);
    return;
  }
  ++upkeep_.merges_failed;
  merge_again_.failed(clock_.system().monotonic_ns());
  // Until it is caught up damage isn't healed: then the merge is due again, and meets it again.
  const Error later(Errc::busy, "not caught up");
  const bool heard = caught_up_ || !is_damage(done.error());
  pipeline_->merge_failed(merge, heard ? done.error() : later);
  if (is_damage(done.error())) met_damage(done.error());
  log_error("store",
            fmt::format("partition {}: can't merge parts: {}", id_.value(), done.error().text()));
}

void Partition::release_soon(JournalPos position, uint64_t max_bytes) {
  owner_.check();
  if (!log_failed_) log_->copy_forward(position, max_bytes);
}

void Partition::refresh_hard_state(JournalPos position) {
  owner_.check();
  if (!log_failed_) log_->refresh_hard_state(position);
}

}  // namespace clickmill::cluster
