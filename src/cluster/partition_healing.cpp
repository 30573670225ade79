// What a partition does about damage.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/damage.h"
#include "base/logging.h"
#include "cluster/partition.h"
#include "cluster/votes_on.h"

namespace clickmill::cluster {

std::optional<Error> Partition::why_no_answer() const {
  // A learner may have half of it.
  if (options_.group && !votes_on(*replica_)) return Error(Errc::busy, not_here());
  if (failure_) return Error(Errc::closed, failure_->message());
  if (caught_up_ && !difference_.empty()) return Error(Errc::busy, difference_);
  if (caught_up_) return std::nullopt;
  if (!rebuilding()) return Error(Errc::busy, "counts are being caught up after a start");
  return Error(Errc::busy, fmt::format("partition {} was damaged and is being rebuilt from the log",
                                       id_.value()));
}

void Partition::met_damage(const Error& error) {
  owner_.check();
  if (failure_ || !caught_up_ || !options_.rebuilder) return;
  const std::string& path = error.path();
  const std::string& what = error.message();
  const auto metas = pipeline_->part_metas();
  const bool ours = std::any_of(metas.begin(), metas.end(), [&error](const auto& meta) {
    return store::tells_of(error, meta);
  });
  // One that was merged or rebuilt away meanwhile is nobody's trouble.
  if (!ours) return;
  if (log_->first() == Offset(1)) return fail(Error(Errc::corrupt, what, path, error.position()));
  part_is_damaged_ = true;
  const bool news =
      damaged_parts_
          .insert(fmt::format("partition {}: a part is damaged, and its log no longer "
                              "reaches back: {}: {}",
                              id_.value(), path, what))
          .second;
  if (news) log_error("partition", *damaged_parts_.rbegin());
}

void Partition::counts_differ(Offset at) {
  owner_.check();
  if (failure_ || !caught_up_) return;
  if (difference_.empty() || healed_difference_) {
    std::string text = fmt::format(
        "partition {}: what this node counted up to offset {} differs from what most nodes did",
        id_.value(), at.value());
    if (difference_.empty()) log_error("partition", text);
    difference_ = std::move(text);
  }
  // What it comes to once more, from the same log, it would come to again.
  if (!options_.rebuilder || log_->first() != Offset(1) || healed_difference_) return;
  healed_difference_ = true;
  fail(Error(Errc::corrupt, difference_));
}

void Partition::counts_agree() {
  owner_.check();
  if (failure_ || !caught_up_) return;
  if (!difference_.empty())
    log_info("partition",
             fmt::format("partition {}: its counts are those of the others again", id_.value()));
  difference_.clear();
  healed_difference_ = false;
}

LogHour Partition::oldest_durable_hour() const {
  // What comes from elsewhere may hold ids of any hour.
  if (taking_) return LogHour(std::numeric_limits<int64_t>::min());
  return lost() ? LogHour(std::numeric_limits<int64_t>::max()) : pipeline_->oldest_durable_hour();
}

/// Begins what is damaged anew, once nothing of it is under way any more.
void Partition::heal_if_due() {
  const int64_t now = clock_.system().monotonic_ns();
  if (!reopened_) return heal_again_.waits(now) ? void() : reopen();
  if (!heals_ || log_failed_ || !options_.rebuilder || !is_damage(*failure_)) return;
  if (merging_ || repairing_ || commit_ || taking_ || heal_again_.waits(now)) return;
  heal_again_.failed(now);
  stream::Rebuilder& rebuilder = *options_.rebuilder;
  // The old one lets go of its files first.
  pipeline_ = rebuilder.stand_in();
  auto opened = rebuilder.rebuild(*failure_, log_->first());
  if (opened) return begin_again(*std::move(opened));
  log_error("partition", fmt::format("partition {}: it can't begin again: {}", id_.value(),
                                     opened.error().text()));
}

/// What could not be opened at the start.
void Partition::reopen() {
  heal_again_.failed(clock_.system().monotonic_ns());
  if (log_failed_) return;
  auto opened = options_.rebuilder->open(log_->first());
  if (!opened) return;
  reopened_ = true;
  if ((*opened)->applied() > log_->last())
    return fail_for_good(Error(Errc::corrupt, "the checkpoint is ahead of the log"));
  heal_again_.succeeded();
  log_info("partition", fmt::format("partition {}: its stream is open now", id_.value()));
  begin_again(*std::move(opened));
}

/// The segments end before what follows them, or before what was counted. Where they were
/// found damaged the log goes on behind that; else nobody knows what has happened.
Status Partition::bridge_hole(const log::RecoveredLog& recovered) {
  const bool mended = !segments_->mended().empty() && !options_.group;
  const Offset last = segments_->last();
  const auto next = recovered.first_after(last);
  const Offset upto = next ? *next - 1 : std::max(last, mended ? pipeline_->applied() : last);
  if (upto <= last) return {};
  if (!mended) {
    log_trouble_ = fmt::format("offsets {} to {} are in no journal file and no segment",
                               last.value() + 1, upto.value());
    return {};
  }
  damaged_parts_.insert(
      fmt::format("partition {}: offsets {} to {} of its log are gone: they stand in no segment "
                  "and no journal file",
                  id_.value(), last.value() + 1, upto.value()));
  log_error("partition", *damaged_parts_.rbegin());
  return segments_->bridge(upto, segments_->last_term(), segments_->last_append_ms());
}

/// Nobody knows how the log went on, so nothing is appended to it; what the journal has of it
/// is held, and copied forward, as ever.
Status Partition::open_closed(log::Journal& journal, log::RecoveredLog&& recovered) {
  const Offset next = recovered.first_after(Offset(0)).value_or(Offset(1));
  stand_in_ = log::unusable_segments(log_trouble_);
  TRY(stand_in_->bridge(next - 1, Term(0), LogMs(0)));
  log_ = TRY(log::PartitionLog::open(id_, *stand_in_, journal, std::move(recovered), callbacks()));
  TRY(open_replica());
  opened_ns_ = clock_.system().monotonic_ns();
  log_->release_thread();
  publish_tally();
  const char* const clicks =
      options_.group ? "go to other nodes" : "wait in the spool until a start finds it mended";
  fail_for_good(Error(Errc::closed, fmt::format("its log can't be used, and its clicks {}: {}",
                                                clicks, log_trouble_)));
  return {};
}

void Partition::begin_again(std::unique_ptr<stream::Pipeline> pipeline) {
  pipeline_ = std::move(pipeline);
  failure_.reset();
  loaded_ = caught_up_ = false;
  replay_until_ = log_->last();
  publish_tally();
  if (lost()) fail_for_good(Error(Errc::corrupt, options_.rebuilder->lost()->message()));
}

/// The old state goes once all of the new one is durable. False: not yet.
bool Partition::finish_rebuild() {
  checkpoint_now();
  if (failure_ || !pipeline_->saved()) return false;
  if (auto done = options_.rebuilder->finish(); !done) {
    held_up(std::move(done).error(), checkpointing_);
    return false;
  }
  heal_again_.succeeded();
  return true;
}

}  // namespace clickmill::cluster
