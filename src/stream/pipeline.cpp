#include "stream/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/fail_point.h"
#include "base/logging.h"
#include "stream/tick.h"

namespace clickmill::stream {
namespace {

constexpr uint64_t kDigestEvery = 4096;
// An hour of them, one a minute.
constexpr size_t kAgreedMost = 64;
// How many clicks ahead what a row points to is fetched, and the row before: each about memory
// latency over the work per click.
constexpr size_t kContentsAhead = 3;
constexpr size_t kRowAhead = 6;

/// What a digest mixes in for a click's fate; part of the digest's definition.
enum class Fate : uint8_t { counted = 1, duplicate = 2, resent = 3, review = 16 };

int64_t minute_end(EventMs timestamp) { return floor_to(timestamp.value(), kMinuteMs) + kMinuteMs; }

}  // namespace

Pipeline::Pipeline(state::Slot slot, state::Store& store, FileSystem& files, Options options)
    : slot_(slot),
      partition_(slot.partition()),
      store_(store),
      files_(files),
      options_(std::move(options)),
      double_clicks_(slot),
      head_(slot),
      parts_(slot, files, options_.store_directory, options_.shelf),
      review_(slot, store),
      changes_(slot, store) {}

Result<std::unique_ptr<Pipeline>> Pipeline::open(state::Slot slot, state::Store& store,
                                                 FileSystem& files, Options options) {
  auto pipeline = std::unique_ptr<Pipeline>(new Pipeline(slot, store, files, std::move(options)));
  TRY(pipeline->restore());
  return pipeline;
}

std::unique_ptr<Pipeline> Pipeline::stand_in(state::Slot slot, state::Store& store,
                                             FileSystem& files, Options options) {
  auto pipeline = std::unique_ptr<Pipeline>(new Pipeline(slot, store, files, std::move(options)));
  pipeline->open_dedup();
  return pipeline;
}

Status Pipeline::restore() {
  auto checkpoint = TRY(read_checkpoint(slot_, store_));
  if (checkpoint) state_ = std::move(*checkpoint);
  checkpointed_ = state_.applied;
  TRY(parts_.open(state_.parts, state_.next_part, options_.damaged_parts));
  TRY(head_.load(store_));
  double_clicks_.set_window(state_.settings.double_click_ms);
  TRY(double_clicks_.load(store_));
  open_dedup();
  last_flush_log_ms_ = state_.horizon.log_time().value();
  agreed_minute_ = floor_to(last_flush_log_ms_, kMinuteMs);
  return {};
}

void Pipeline::open_dedup() {
  dedup_ = dedup::Dedup::open(slot_, store_, {state_.settings.dedup_hours, options_.images},
                              state_.horizon.first_kept_hour());
}

Status Pipeline::apply(const log::Entry& entry) {
  owner_.check();
  CM_ASSERT(entry.first > state_.applied);
  state_.horizon.advance(entry.append_ms);
  switch (static_cast<click::EntryKind>(entry.kind)) {
    case click::EntryKind::noop:
    case click::EntryKind::members: break;
    case click::EntryKind::clicks: TRY(apply_clicks(entry)); break;
    case click::EntryKind::tick: TRY(apply_tick(entry)); break;
    case click::EntryKind::settings:
      put_in_force(TRY(decode_settings(entry.payload)));
      state_.horizon.keep(state_.settings.nodes, state_.settings.stale_after_hours);
      break;
    case click::EntryKind::decision: TRY(apply_decision(entry)); break;
    case click::EntryKind::repair: return apply_repair(entry);
    default:
      // Not damage: what is stored is fine, and a later version goes on from it.
      return Error(Errc::invalid,
                   fmt::format("partition {}: offset {}: an entry of kind {}, which this version "
                               "doesn't know: it needs the later one that wrote it",
                               partition_.value(), entry.first.value(), entry.kind));
  }
  end_entry(entry);
  freeze_many();
  return {};
}

void Pipeline::put_in_force(Settings settings) {
  state_.settings = std::move(settings);
  dedup_->set_dedup_hours(state_.settings.dedup_hours);
  double_clicks_.set_window(state_.settings.double_click_ms);
}

Status Pipeline::apply_tick(const log::Entry& entry) {
  Tick tick = TRY(decode_tick(entry.payload));
  for (const LowWater& node : tick.low_waters) state_.horizon.tell(node.node, node.low_water);
  if (!tick.footing) return {};
  if (state_.applied == Offset(0) && entry.first > Offset(1)) {
    put_in_force(std::move(tick.footing->settings));
    state_.horizon = std::move(tick.footing->horizon);
    return {};
  }
  settle();
  // What the entries gave holds here as in every replica, right or wrong; the digests tell.
  if (*tick.footing == Footing{state_.settings, state_.horizon}) return {};
  log_error("stream",
            fmt::format("partition {}: offset {}: the tick repeats other settings or bounds than "
                        "the log gives",
                        partition_.value(), entry.first.value()));
  return {};
}

void Pipeline::end_entry(const log::Entry& entry) {
  settle();
  if (entry.kind != static_cast<uint8_t>(click::EntryKind::clicks)) {
    mix(entry.kind);
    mix(static_cast<uint64_t>(state_.horizon.stale_before().value()));
  }
  state_.applied = entry.last();
  note_digest();
  note_agreed();
}

void Pipeline::settle() {
  state_.horizon.settle(state_.settings.dedup_hours, state_.settings.stale_after_hours);
  dedup_->forget_before(state_.horizon.first_kept_hour());
}

Status Pipeline::apply_clicks(const log::Entry& entry) {
  if (auto decoded = batch_.decode(entry, options_.seed); !decoded) {
    return std::move(decoded).error().with_context(
        fmt::format("partition {}: offset {}", partition_.value(), entry.first.value()));
  }
  // The sender's low-water is not above any arrival in its own batch, so
  // taking it in first can't make one of them stale.
  state_.horizon.tell(batch_.header().sender, batch_.header().low_water);
  settle();
  const auto& clicks = batch_.clicks();
  duplicate_.resize(clicks.size());
  TRY(dedup_->classify(entry.append_ms, batch_.identities(), duplicate_));
  for (size_t i = 0; i < clicks.size(); ++i) {
    if (i + kRowAhead < clicks.size()) head_.prefetch_row(clicks[i + kRowAhead].counting);
    if (i + kContentsAhead < clicks.size())
      head_.prefetch_contents(clicks[i + kContentsAhead].counting);
    judge(clicks[i], entry.first + i, entry.append_ms, duplicate_[i] != 0);
  }
  batch_.done();
  return {};
}

void Pipeline::count(const click::ClickView& click) {
  head_.add({click.timestamp_ms, click.ad_id, click.advertiser_id, MinuteRows::hash_of(click.ad_id),
             click.device, click.country, (click.flags & click::kAutomated) != 0,
             click::visitor_of(click, options_.seed)});
}

/// Counts what was accepted in the minute of its own timestamp, which may be
/// long closed: the row is an amendment like any straggler's.
Status Pipeline::apply_decision(const log::Entry& entry) {
  const Decision decision = TRY(decode_decision(entry.payload));
  return review_.decide(
      entry.first, entry.append_ms, decision, state_.horizon.age_ms(), changes_,
      [this](Offset click, Verdict verdict, const click::ClickView& view) {
        const bool accepted = verdict == Verdict::accept;
        ++(accepted ? state_.tally.accepted : state_.tally.rejected);
        if (accepted) count(view);
        mix(xxh64_of(view.advertiser_id, click.value() << 1 | (accepted ? 1 : 0)));
      });
}

bool Pipeline::takes_long(const log::Entry& entry) {
  return entry.kind == static_cast<uint8_t>(click::EntryKind::repair);
}

Status Pipeline::apply_repair(const log::Entry& entry) {
  const auto job = TRY(begin_repair(entry));
  TRY(job->run());
  return end_repair(entry, *job);
}

/// Parts alone are rewritten, so what the head has of closed minutes goes there first.
Result<std::shared_ptr<RepairJob>> Pipeline::begin_repair(const log::Entry& entry) {
  owner_.check();
  CM_ASSERT(entry.first > state_.applied);
  Repair repair = TRY(decode_repair(entry.payload));
  if (flush_) return Error(Errc::busy, "a repair waits for a checkpoint");
  state_.horizon.advance(entry.append_ms);
  freeze_closed();
  return std::make_shared<RepairJob>(entry.first, std::move(repair), closed_before(),
                                     parts_.begin_rewrite(flush_));
}

/// The digest takes in the record and not its effect, which is none where a replica, or
/// a replay, has the rows right.
Status Pipeline::end_repair(const log::Entry& entry, const RepairJob& job) {
  owner_.check();
  if (!parts_.take_rewrite(job.rewrite())) return Error(Errc::busy, "its parts were merged");
  if (const auto flush = std::exchange(flush_, nullptr)) head_.drop_frozen(flush->frozen());
  for (uint32_t index = 0; const Change& change : job.changes()) {
    changes_.add({entry.append_ms, entry.first, index++}, change, state_.horizon.age_ms());
  }
  mix(xxh64_of(entry.payload));
  end_entry(entry);
  return {};
}

/// Takes every click as a visit, whatever becomes of it; imports were no visits just now.
bool Pipeline::clicks_again_soon(const ClickBatch::Click& click, LogMs append_ms) {
  const click::Visitor& visitor = click.counting.visitor;
  if (!double_clicks_.on() || !visitor.known || (click.flags & click::kBackfill) != 0) return false;
  const uint64_t pair[2] = {click.counting.ad_hash, visitor.hash};
  const uint64_t who = xxh64_of({reinterpret_cast<const char*>(pair), sizeof(pair)});
  return double_clicks_.visit(who, click.received_ms, append_ms);
}

std::optional<Reason> Pipeline::reason_for_review(const ClickBatch::Click& click,
                                                  bool again_soon) const {
  if (click.received_ms < state_.horizon.stale_before()) return Reason::stale;
  if ((click.flags & click::kUnknownAd) != 0) return Reason::unknown_ad;
  if ((click.flags & click::kBackfill) != 0) return std::nullopt;
  const int64_t arrival = click.received_ms.value();
  const EventMs timestamp = click.counting.timestamp_ms;
  if (timestamp.value() > arrival + state_.settings.max_clock_ahead_ms) return Reason::clock_ahead;
  if (arrival > minute_end(timestamp) + state_.settings.window_grace_ms) return Reason::late;
  if (again_soon && (click.flags & click::kIdMade) != 0) return Reason::double_click;
  return std::nullopt;
}

void Pipeline::judge(const ClickBatch::Click& click, Offset offset, LogMs append_ms,
                     bool duplicate) {
  const bool again_soon = clicks_again_soon(click, append_ms);
  Tally& tally = state_.tally;
  auto fate = static_cast<uint64_t>(Fate::counted);
  if (duplicate && batch_.header().again) {
    ++tally.resent;
    fate = static_cast<uint64_t>(Fate::resent);
  } else if (duplicate) {
    ++tally.received;
    ++tally.duplicate;
    fate = static_cast<uint64_t>(Fate::duplicate);
  } else if (const auto reason = reason_for_review(click, again_soon)) {
    ++tally.received;
    ++tally.review[static_cast<size_t>(*reason)];
    fate = static_cast<uint64_t>(Fate::review) + static_cast<uint64_t>(*reason);
    review_.flag(offset, {*reason, append_ms, std::string(click.record)}, state_.horizon.age_ms());
  } else {
    ++tally.received;
    ++tally.counted;
    head_.add(click.counting);
  }
  // Not as the seed: XXH3 of long bytes with a seed first makes a secret of it.
  mix(xxh64_of(click.record) ^ fate);
}

void Pipeline::mix(uint64_t what) {
  const uint64_t pair[2] = {state_.running_digest, what};
  state_.running_digest = xxh64_of({reinterpret_cast<const char*>(pair), sizeof(pair)});
}

void Pipeline::note_digest() {
  // Entries never cross a multiple (the leader cuts them there), so every
  // replica takes the digest at the same offsets.
  if ((state_.applied.value() + 1) % kDigestEvery == 0) {
    state_.digest = {state_.applied, state_.running_digest};
  }
}

/// Where it is taken, and of what, the entries alone decide: rows of minutes that are still open
/// are in no replica's parts, whenever it writes those.
void Pipeline::note_agreed() {
  const int64_t minute = floor_to(state_.horizon.log_time().value(), kMinuteMs);
  if (minute == agreed_minute_) return;
  agreed_minute_ = minute;
  const uint64_t both[2] = {state_.running_digest, head_.digest_from(closed_before())};
  agreed_.push_back(
      {state_.applied, xxh64_of({reinterpret_cast<const char*>(both), sizeof(both)})});
  if (agreed_.size() > kAgreedMost) agreed_.pop_front();
}

/// Minutes before it are closed: log time has passed their end + grace.
int64_t Pipeline::closed_before() const {
  return floor_to(state_.horizon.log_time().value() - state_.settings.window_grace_ms, kMinuteMs);
}

/// Whether the rows of minutes before are enough for a part.
bool Pipeline::many_closed(int64_t bound) const {
  return head_.rows_before(bound) >= options_.flush_rows ||
         head_.bytes_before(bound) >= options_.flush_bytes;
}

bool Pipeline::flush_is_due() const {
  if (!head_.frozen().empty()) return true;
  const int64_t bound = closed_before();
  if (head_.oldest_minute() >= bound) return false;
  const int64_t log_time = state_.horizon.log_time().value();
  return log_time - last_flush_log_ms_ >= options_.flush_age_ms || many_closed(bound);
}

uint64_t Pipeline::unsaved_bytes() const {
  const uint64_t bytes =
      dedup_->unsaved_bytes() + review_.pending_bytes() + changes_.pending_bytes();
  if (!flush_is_due()) return bytes;
  return bytes + head_.bytes_before(closed_before()) +
         head_.frozen_bytes(flush_ ? flush_->frozen() : 0);
}

/// To be flushed, all that is frozen together.
void Pipeline::freeze_closed() {
  head_.freeze_before(closed_before());
  last_flush_log_ms_ = state_.horizon.log_time().value();
  if (!head_.frozen().empty()) flush_ = parts_.begin_flush(head_.frozen());
}

/// A checkpoint failed. The next one removes whatever is frozen in the state store, so all of
/// it must be in its part.
void Pipeline::flush_again() {
  if (flush_->frozen() == head_.frozen().size()) return;
  parts_.forget_flush(*flush_);
  flush_ = parts_.begin_flush(head_.frozen());
}

/// What a question must look through on the worker stays this small: frozen rows are read
/// elsewhere.
void Pipeline::freeze_many() {
  const int64_t bound = closed_before();
  if (head_.oldest_minute() >= bound || !many_closed(bound)) return;
  head_.freeze_before(bound);
}

Status Pipeline::fill(state::Batch& batch) {
  TRY(dedup_->checkpoint(batch));
  double_clicks_.checkpoint(batch);
  head_.checkpoint(batch);
  TRY(review_.checkpoint(batch, state_.horizon.age_ms()));
  return changes_.checkpoint(batch, state_.horizon.age_ms());
}

Result<std::shared_ptr<Commit>> Pipeline::begin_checkpoint() {
  owner_.check();
  fail_point("checkpoint.begin");
  TRY(dedup_->load());
  if (flush_) {
    flush_again();
  } else if (flush_is_due()) {
    freeze_closed();
  }
  Commit::Work work{slot_,         store_, files_, state_, {}, flush_, parts_.take_replaced(),
                    options_.shelf};
  work.record.parts = parts_.metas();
  work.record.next_part = parts_.next_part();
  auto filled = fill(work.batch);
  auto commit = std::make_shared<Commit>(std::move(work));
  if (!filled) {
    give_up_checkpoint(*commit);
    return std::move(filled).error();
  }
  fail_point("checkpoint.prepared");
  return commit;
}

Status Pipeline::end_checkpoint(Commit& commit) {
  owner_.check();
  if (auto done = commit.run(); !done) {
    give_up_checkpoint(commit);
    return done;
  }
  dedup_->checkpoint_committed();
  head_.checkpoint_committed();
  review_.checkpoint_committed();
  changes_.checkpoint_committed();
  if (const auto flush = std::exchange(flush_, nullptr)) {
    parts_.take_flush(*flush);
    head_.drop_frozen(flush->frozen());
  }
  checkpointed_ = commit.work_.record.applied;
  fail_point("checkpoint.done");
  return {};
}

/// The rows stay frozen and go into the next commit's part, so that it holds all of this one,
/// whether or not this one reached the disk.
void Pipeline::give_up_checkpoint(Commit& commit) {
  dedup_->checkpoint_failed();
  head_.checkpoint_failed();
  review_.checkpoint_failed();
  changes_.checkpoint_failed();
  parts_.give_back_replaced(commit.work_.replaced);
}

Status Pipeline::checkpoint() {
  if (saved()) return {};
  const auto commit = TRY(begin_checkpoint());
  return end_checkpoint(*commit);
}

store::Version Pipeline::version(const store::Scan& scan) const {
  store::Version version;
  version.head = head_.matching(scan);
  version.frozen.assign(head_.frozen().begin(), head_.frozen().end());
  version.parts = parts_.snapshot();
  version.log_time = state_.horizon.log_time();
  version.low_water = state_.horizon.low_water(state_.settings.stale_after_hours);
  version.grace_ms = state_.settings.window_grace_ms;
  version.applied = state_.applied;
  return version;
}

}  // namespace clickmill::stream
