// Calls: `ads` asks with u8 kind | payload of the entry, and is answered
//   varint last offset | varint made | varint removed;
// `ad` asks with nothing, and is answered varint offset.
#include "cluster/ads_desk.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/logging.h"

namespace clickmill::cluster {
namespace {

constexpr int64_t kCheckMs = 10'000;
constexpr int64_t ns(int64_t ms) { return ms * 1'000'000; }

std::string encode(const AdsGroup::Outcome& outcome) {
  std::string out;
  ByteWriter writer(out);
  writer.varint(outcome.last.value());
  writer.varint(outcome.made);
  writer.varint(outcome.removed);
  return out;
}

Result<AdsGroup::Outcome> decode_outcome(std::string_view bytes) {
  ByteCursor cursor(bytes);
  AdsGroup::Outcome outcome;
  outcome.last = Offset(cursor.varint());
  outcome.made = cursor.varint();
  outcome.removed = cursor.varint();
  if (!cursor.done()) return Error(Errc::io, "the answer of the ads' leader is malformed");
  return outcome;
}

Error copy_of(const Error& error) { return Error(error.code(), error.message()); }

}  // namespace

AdsDesk::AdsDesk(Options options, Worker& worker, Calls& calls, const Clock& clock)
    : options_(std::move(options)), worker_(worker), calls_(calls), clock_(clock) {
  calls_.serve(CallKind::ads,
               [this](const std::string&, std::string_view question, const Calls::Answer& answer) {
                 serve_proposal(question, answer);
               });
  calls_.serve(CallKind::ad, [this](const std::string&, std::string_view,
                                    const Calls::Answer& answer) { serve_question(answer); });
}

void AdsDesk::propose(AdsProposal&& proposal, Done done) {
  const auto shared = std::make_shared<Open>();
  shared->proposal = std::move(proposal);
  shared->done = std::move(done);
  shared->deadline_ns = now_ns() + ns(options_.patience_ms);
  const bool posted = worker_.try_post([this, shared] {
    if (open_.size() >= options_.open_most)
      return shared->done(Error(Errc::busy, "too many changes of ads are under way"));
    open(std::move(*shared));
  });
  if (!posted) shared->done(Error(Errc::busy, "too many requests wait"));
}

void AdsDesk::bring(AdsProposal&& all, std::function<void(Status)> done) {
  const auto job = std::make_shared<Job>();
  for (AdsProposal& piece : split_proposal(std::move(all), options_.piece_bytes))
    job->pieces.push_back(std::move(piece));
  job->done = std::move(done);
  worker_.post([this, job] {
    jobs_.push_back(std::move(*job));
    go_on_with_jobs();
  });
}

void AdsDesk::open(Open&& open) {
  const uint64_t id = next_id_++;
  open_.emplace(id, std::move(open));
  go_on(id);
}

void AdsDesk::go_on(uint64_t id) {
  Open& open = open_.at(id);
  if (open.under_way || group_ == nullptr || open.again_ns > now_ns()) return;
  const Done done = [this, id](Result<AdsGroup::Outcome> answer) {
    answered(id, std::move(answer));
  };
  open.again_ns = now_ns() + ns(options_.retry_ms);
  const raft::Replica& replica = group_->replica();
  if (replica.leads_surely()) {
    open.under_way = true;
    return group_->submit(AdsProposal(open.proposal), done);
  }
  const raft::Member* const leader = replica.leader();
  // There will be one.
  if (leader == nullptr || leader->node == options_.node_id) return;
  open.under_way = true;
  send(leader->node, open.proposal, done);
}

void AdsDesk::send(const std::string& leader, const AdsProposal& proposal, const Done& done) {
  std::string question(1, static_cast<char>(proposal.kind));
  question += encode_ads(proposal);
  calls_.ask(leader, CallKind::ads, question, [this, done](Result<std::string> answer) {
    using Told = Result<AdsGroup::Outcome>;
    const auto outcome =
        std::make_shared<Told>(answer ? decode_outcome(*answer) : Told(std::move(answer).error()));
    worker_.post([this, done, outcome] {
      if (!*outcome || group_ == nullptr) return done(std::move(*outcome));
      // It is so everywhere from here on; here a little later.
      group_->when_applied((*outcome)->last, [done, outcome](const Status& applied) {
        done(applied ? std::move(*outcome) : Result<AdsGroup::Outcome>(copy_of(applied.error())));
      });
    });
  });
}

void AdsDesk::answered(uint64_t id, Result<AdsGroup::Outcome> answer) {
  const auto at = open_.find(id);
  // It has been given up.
  if (at == open_.end()) return;
  if (answer) return finish(id, std::move(answer));
  const Errc code = answer.error().code();
  const bool is_in_no_log = code == Errc::busy || code == Errc::not_leader;
  const bool is_unknown = code == Errc::io || code == Errc::closed;
  if (is_in_no_log || (is_unknown && at->second.again_if_unknown && !group_->failure())) {
    at->second.under_way = false;
    return;
  }
  if (!is_unknown) return finish(id, std::move(answer));
  finish(id, Error(Errc::busy, "it is not known whether the cluster has taken the change, look: " +
                                   answer.error().message()));
}

void AdsDesk::finish(uint64_t id, Result<AdsGroup::Outcome> answer) {
  auto open = open_.extract(id);
  open.mapped().done(std::move(answer));
}

void AdsDesk::tick() {
  const int64_t now = now_ns();
  std::vector<uint64_t> ids;
  for (const auto& [id, open] : open_) ids.push_back(id);
  for (const uint64_t id : ids) {
    const auto at = open_.find(id);
    if (at == open_.end()) continue;
    if (at->second.deadline_ns > now) {
      go_on(id);
      continue;
    }
    finish(id, Error(Errc::busy, at->second.under_way
                                     ? "the cluster did not confirm the change in time; it may "
                                       "still come about: look, or send it again"
                                     : "no node leads the ads now, since too few can reach each "
                                       "other; nothing was changed: send it again later"));
  }
  go_on_with_jobs();
  for (auto at = waits_.begin(); at != waits_.end();) {
    const WaitPtr wait = *at;
    if (wait->done && wait->deadline_ns <= now)
      end(wait, Error(Errc::busy, "nobody said in time how far the ads are"));
    at = wait->done ? std::next(at) : waits_.erase(at);
  }
  ask_if_due();
}

/// Piece by piece, so that clients' changes come in between.
void AdsDesk::go_on_with_jobs() {
  if (piece_is_open_ || jobs_.empty() || group_ == nullptr || !group_->caught_up()) return;
  Job& job = jobs_.front();
  if (group_->failure()) return end_job(copy_of(*group_->failure()));
  if (!job.is_checked) return check_job();
  const bool is_known = !job.pieces.empty() &&
                        job.pieces.front().kind == AdsProposal::Kind::of_file &&
                        group_->history().took_in(job.pieces.front().file);
  if (job.pieces.empty() || is_known) return end_job({});
  piece_is_open_ = true;
  Open piece;
  piece.proposal = std::move(job.pieces.front());
  job.pieces.pop_front();
  piece.deadline_ns = INT64_MAX;
  piece.again_if_unknown = true;
  piece.done = [this](Result<AdsGroup::Outcome> answer) {
    piece_is_open_ = false;
    if (!answer) return end_job(std::move(answer).error());
    go_on_with_jobs();
  };
  open(std::move(piece));
}

/// This node may not know yet what the others have taken in.
void AdsDesk::check_job() {
  if (std::exchange(checking_job_, true)) return;
  catch_up(kCheckMs, [this](const Status& caught_up) {
    checking_job_ = false;
    if (!caught_up || jobs_.empty()) return;
    jobs_.front().is_checked = true;
    go_on_with_jobs();
  });
}

void AdsDesk::end_job(Status status) {
  const Job job = std::move(jobs_.front());
  jobs_.pop_front();
  if (!status) log_warn("catalog", "ads can't be brought in: " + status.error().text());
  if (job.done) job.done(std::move(status));
}

void AdsDesk::catch_up(int64_t timeout_ms, std::function<void(Status)> done) {
  const auto wait = std::make_shared<Wait>(Wait{now_ns() + ns(timeout_ms), std::move(done)});
  const bool posted = worker_.try_post([this, wait] {
    if (waits_.size() >= options_.waits_most)
      return end(wait, Error(Errc::busy, "too many wait for ads"));
    waits_.push_back(wait);
    to_ask_.push_back(wait);
    ask_if_due();
  });
  if (!posted) end(wait, Error(Errc::busy, "too many requests wait"));
}

void AdsDesk::end(const WaitPtr& wait, Status status) {
  if (const auto done = std::exchange(wait->done, nullptr)) done(std::move(status));
}

/// A question under way was asked too early for those that came since.
void AdsDesk::ask_if_due() {
  std::erase_if(to_ask_, [](const WaitPtr& wait) { return !wait->done; });
  if (asking_ || to_ask_.empty() || group_ == nullptr ||
      now_ns() - asked_ns_ < ns(options_.question_ms))
    return;
  const raft::Member* const leader = group_->replica().leader();
  if (leader == nullptr) return;
  asking_ = true;
  asked_ns_ = now_ns();
  const auto took = [this, askers = std::exchange(to_ask_, {})](Result<Offset> offset) {
    told(askers, offset);
  };
  if (leader->node == options_.node_id) return group_->how_far(took);
  calls_.ask(leader->node, CallKind::ad, {}, [this, took](Result<std::string> answer) {
    const auto offset = std::make_shared<Result<Offset>>(Offset(0));
    if (answer) {
      ByteCursor cursor(*answer);
      *offset = Offset(cursor.varint());
      if (!cursor.done()) *offset = Error(Errc::io, "the answer of the ads' leader is malformed");
    } else {
      *offset = std::move(answer).error();
    }
    worker_.post([took, offset] { took(std::move(*offset)); });
  });
}

void AdsDesk::told(const std::vector<WaitPtr>& askers, const Result<Offset>& offset) {
  asking_ = false;
  if (!offset) {
    // Asked again, for as long as they wait.
    to_ask_.insert(to_ask_.end(), askers.begin(), askers.end());
    return;
  }
  if (group_ == nullptr) return;
  group_->when_applied(*offset, [askers](const Status& applied) {
    for (const WaitPtr& wait : askers)
      end(wait, applied ? Status() : Status(copy_of(applied.error())));
  });
  ask_if_due();
}

void AdsDesk::serve_proposal(std::string_view question, const Calls::Answer& answer) {
  ByteCursor cursor(question);
  const uint8_t kind = cursor.u8();
  auto decoded = decode_ads(kind, cursor.rest());
  if (!decoded) return answer(Error(Errc::invalid, decoded.error().message()));
  const auto proposal = std::make_shared<AdsProposal>(*std::move(decoded));
  const bool posted = worker_.try_post([this, proposal, answer] {
    if (group_ == nullptr) return answer(Error(Errc::busy, "the node is starting"));
    group_->submit(std::move(*proposal), [answer](Result<AdsGroup::Outcome> outcome) {
      if (!outcome) return answer(std::move(outcome).error());
      answer(encode(*outcome));
    });
  });
  if (!posted) answer(Error(Errc::busy, "too many requests wait"));
}

void AdsDesk::serve_question(const Calls::Answer& answer) {
  const bool posted = worker_.try_post([this, answer] {
    if (group_ == nullptr) return answer(Error(Errc::busy, "the node is starting"));
    group_->how_far([answer](Result<Offset> offset) {
      if (!offset) return answer(std::move(offset).error());
      std::string out;
      ByteWriter(out).varint(offset->value());
      answer(std::move(out));
    });
  });
  if (!posted) answer(Error(Errc::busy, "too many requests wait"));
}

}  // namespace clickmill::cluster
