#include "cluster/ads_group.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "base/assert.h"
#include "base/damage.h"
#include "base/logging.h"

namespace clickmill::cluster {
namespace {

using catalog::AdsChange;

// As for a partition.
constexpr int64_t kTickNs = 50'000'000;
constexpr int64_t kClockAheadMs = 10'000;
constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kWrittenAtOnce = 10'000;
constexpr size_t kListed = 1'000;

bool may_pass(const Error& error) {
  return error.code() == Errc::io || error.code() == Errc::no_space || error.code() == Errc::busy;
}

}  // namespace

AdsGroup::AdsGroup(PartitionId id, NodeClock& clock, std::unique_ptr<log::Segments> segments,
                   Options options)
    : id_(id),
      clock_(clock),
      options_(std::move(options)),
      segments_(std::move(segments)),
      sealing_(*segments_, clock_.system(), sealing_options()),
      random_(options_.random_seed + id_.value()),
      history_(options_.levels),
      difference_(std::in_place) {}

Sealing::Options AdsGroup::sealing_options() {
  Sealing::Options options;
  options.id = id_;
  options.fetch = options_.group.fetch;
  options.in_background = options_.in_background;
  options.on_worker = options_.on_worker;
  options.moved = [this] { moved(); };
  return options;
}

log::PartitionLog::Callbacks AdsGroup::callbacks() {
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

raft::Replica::Options AdsGroup::replica_options() const {
  raft::Replica::Options options;
  // Rare, and people look for them at other nodes.
  options.core.tells_at_once = true;
  options.self = options_.group.self;
  options.membership = options_.group.membership;
  options.send = options_.group.send;
  options.keep_members = options_.group.keep_members;
  options.still_ms = [this] { return still_ms(); };
  return options;
}

LogMs AdsGroup::still_ms() const {
  const LogMs last = log_->last_append_ms();
  return last != LogMs(0) ? last : LogMs(clock_.now().value());
}

Status AdsGroup::open(log::Journal& journal, log::RecoveredLog&& recovered) {
  log_ = TRY(log::PartitionLog::open(id_, *segments_, journal, std::move(recovered), callbacks()));
  replica_ = TRY(raft::Replica::open(*log_, replica_options()));
  sealing_.attach(*log_, *replica_);
  had_upto_ = log_->last();
  // The clicks must not wait for it.
  if (auto read = read_sealed(); !read) fail(std::move(read).error());
  tell_level();
  log_->release_thread();
  return {};
}

Status AdsGroup::read_sealed() {
  while (read_upto_ < segments_->last()) {
    for (const log::Entry& entry : TRY(segments_->read_block(read_upto_ + 1))) {
      if (entry.last() > read_upto_) TRY(fold(entry));
    }
  }
  return {};
}

void AdsGroup::maintain() {
  owner_.check();
  tick_group();
  sealing_.seal_if_due(failure_ ? Offset(UINT64_MAX) : applied_);
}

void AdsGroup::tick_group() {
  const int64_t now = clock_.system().monotonic_ns();
  replica_->retry();
  if (now >= next_tick_ns_) {
    next_tick_ns_ = now + kTickNs;
    const auto& group = options_.group;
    auto permit = group.permit();
    // A node that is well must not vouch for a group that isn't.
    permit.lead = permit.lead && !failure_ && !log_failed_;
    permit.vote = permit.vote && !log_failed_;
    replica_->tick(group.sight_of, permit, group.rank(), static_cast<uint32_t>(random_.next()));
  }
  moved();
}

void AdsGroup::receive(const std::string& node, raft::Received&& message) {
  owner_.check();
  raft::Core::Room room;
  room.journal = !log_failed_;
  room.append_ms_most = LogMs(clock_.now().value() + kClockAheadMs);
  replica_->receive(node, std::move(message), room);
  moved();
}

void AdsGroup::link_is_new(raft::StorageId storage) {
  owner_.check();
  replica_->link_is_new(storage);
  moved();
}

void AdsGroup::take_blocks(Result<std::vector<log::Entry>> blocks) {
  owner_.check();
  if (log_failed_) return;
  sealing_.take_blocks(std::move(blocks));
  moved();
}

Status AdsGroup::change_members(std::vector<raft::Member> voters,
                                std::vector<raft::Member> learners) {
  owner_.check();
  auto done = replica_->change(std::move(voters), std::move(learners));
  moved();
  return done;
}

Status AdsGroup::hand_over(raft::StorageId heir) {
  owner_.check();
  auto done = replica_->hand_over(heir);
  moved();
  return done;
}

/// Whatever has just happened to the replica: what follows from it.
void AdsGroup::moved() {
  const Term leads = replica_->leads() ? replica_->core().term() : Term(0);
  if (leads != led_) {
    if (led_ != Term(0)) lost_lead();
    led_ = leads;
  }
  if (auto behind = replica_->take_behind()) sealing_.fetch(*behind);
  if (!log_failed_) sealing_.adopt_if_ready();
  if (replica_->forgot()) options_.group.forgot();
  answer_reads();
  apply_committed();
  tell_level();
}

void AdsGroup::tell_level() {
  if (history_.level() == level_told_) return;
  level_told_ = history_.level();
  if (options_.on_level) options_.on_level(level_told_);
}

void AdsGroup::record_level(FeatureLevel level) {
  owner_.check();
  if (failure_ || log_failed_ || !replica_->leads_surely() || !caught_up()) return;
  if (level <= history_.level() || level_at_ > read_upto_) return;
  // Who can't read the entry is at the first level.
  CM_ASSERT(level >= kLevelIsRecorded);
  log::Entry entry;
  entry.kind = kLevelKind;
  entry.count = 1;
  entry.append_ms = std::max(LogMs(clock_.now().value()), log_->last_append_ms());
  entry.payload = encode_level(level);
  // One that the journal has no room for now is asked for again.
  if (replica_->append(std::move(entry))) level_at_ = log_->last();
  moved();
}

/// Another may order the log from here on: what has been proposed and is not committed may
/// come to be, or never.
void AdsGroup::lost_lead() {
  level_at_ = Offset(0);
  std::deque<Waiting> stay;
  std::vector<Applied> unknown;
  for (Waiting& waiting : waiting_) {
    const Offset last = waiting.outcome.last;
    const bool committed = last <= log_->committed() && log_->term_at(last) == waiting.term;
    if (committed) {
      stay.push_back(std::move(waiting));
    } else {
      unknown.push_back(std::move(waiting.applied));
    }
  }
  waiting_ = std::move(stay);
  const auto reads = std::exchange(reads_, {});
  for (const Applied& applied : unknown)
    applied(Error(Errc::io, "another node leads the ads now; whether it has this is not known"));
  for (const auto& [id, told] : reads) told(Error(Errc::not_leader, "another node leads the ads"));
}

void AdsGroup::told_failed(const std::string& why) {
  owner_.check();
  log_failed_ = true;
  fail(Error(Errc::closed, "journal: " + why));
}

void AdsGroup::submit(AdsProposal&& proposal, Applied applied) {
  owner_.check();
  if (failure_) return applied(Error(Errc::closed, failure_->message()));
  if (!replica_->leads_surely())
    return applied(Error(Errc::not_leader, "another node leads the ads"));
  if (auto fine = check_proposal(proposal); !fine) return applied(std::move(fine).error());
  const Offset first = log_->last() + 1;
  if (auto done = append(std::move(proposal)); !done) return applied(std::move(done).error());
  Waiting waiting{first, replica_->core().term(), {}, std::move(applied)};
  waiting.outcome.last = log_->last();
  waiting_.push_back(std::move(waiting));
  moved();
}

Status AdsGroup::append(AdsProposal&& proposal) {
  bool any = false;
  for (AdsProposal& part : split_proposal(std::move(proposal), options_.entry_bytes)) {
    std::vector<AdsChange> rest = std::move(part.changes);
    while (!rest.empty()) {
      // No entry crosses a multiple of kBlockOffsets: blocks end there.
      const uint64_t next = log_->last().value() + 1;
      const size_t room =
          std::min<size_t>(rest.size(), log::kBlockOffsets - next % log::kBlockOffsets);
      const auto end = rest.begin() + static_cast<std::ptrdiff_t>(room);
      part.changes.assign(std::make_move_iterator(rest.begin()), std::make_move_iterator(end));
      rest.erase(rest.begin(), end);
      log::Entry entry;
      entry.kind = static_cast<uint8_t>(part.kind);
      entry.count = static_cast<uint32_t>(room);
      entry.append_ms = std::max(LogMs(clock_.now().value()), log_->last_append_ms());
      entry.payload = encode_ads(part);
      auto appended = replica_->append(std::move(entry));
      if (!appended && any)
        return Error(Errc::io, "only a part was taken: " + appended.error().message());
      if (!appended) return std::move(appended).error();
      any = true;
    }
  }
  return {};
}

void AdsGroup::how_far(std::function<void(Result<Offset>)> told) {
  owner_.check();
  const auto id = replica_->read();
  if (!id) return told(Error(id.error().code(), id.error().message()));
  reads_.emplace(*id, std::move(told));
  moved();
}

void AdsGroup::answer_reads() {
  for (const auto& [id, offset] : replica_->take_reads()) {
    auto read = reads_.extract(id);
    if (!read.empty()) read.mapped()(offset);
  }
}

void AdsGroup::when_applied(Offset offset, std::function<void(Status)> applied) {
  owner_.check();
  if (failure_) return applied(Error(Errc::closed, failure_->message()));
  if (offset <= applied_) return applied({});
  followed_.emplace(offset, std::move(applied));
}

/// Whether all is committed, as far as is known here, that was applied before the start.
bool AdsGroup::knows_enough() const {
  if (log_->committed() < std::min(had_upto_, log_->last())) return false;
  const raft::Core& core = replica_->core();
  if (replica_->leads()) return replica_->leads_surely();
  return core.leader() != raft::StorageId(0) && core.verified() != Offset(0);
}

/// Takes in what the entry makes different from the catalog.
Status AdsGroup::fold(const log::Entry& entry) {
  Changes changes = TRY(history_.take(entry));
  read_upto_ = entry.last();
  if (options_.catalog == nullptr) return {};
  const auto ads = options_.catalog->snapshot();
  for (AdsChange& change : changes) {
    if (change.kind == AdsChange::Kind::source) {
      last_file_ = change.source;
      continue;
    }
    const catalog::Ad* const here = ads->find(change.ad.ad_id);
    const bool same = change.kind == AdsChange::Kind::upsert ? here != nullptr && *here == change.ad
                                                             : here == nullptr;
    if (same) {
      difference_->erase(change.ad.ad_id);
    } else {
      std::string ad_id = change.ad.ad_id;
      difference_->insert_or_assign(std::move(ad_id), std::move(change));
    }
  }
  return {};
}

/// Null: not now.
Result<std::shared_ptr<AdsGroup::Batch>> AdsGroup::next_batch() {
  if (difference_) return first_batch();
  if (read_upto_ >= log_->committed()) return std::shared_ptr<Batch>();
  auto batch = std::make_shared<Batch>();
  for (const auto& entry : TRY(log_->read(read_upto_ + 1, kReadBytes))) {
    if (entry->last() > log_->committed()) break;
    Changes changes = TRY(history_.take(*entry));
    read_upto_ = entry->last();
    std::move(changes.begin(), changes.end(), std::back_inserter(batch->changes));
    batch->entries.emplace_back(batch->changes.size(), Outcome{entry->last()});
  }
  batch->upto = read_upto_;
  return read_upto_ == applied_ ? nullptr : batch;
}

Result<std::shared_ptr<AdsGroup::Batch>> AdsGroup::first_batch() {
  if (!knows_enough()) return std::shared_ptr<Batch>();
  while (read_upto_ < std::min(had_upto_, log_->committed())) {
    const Offset before = read_upto_;
    for (const auto& entry : TRY(log_->read(read_upto_ + 1, kReadBytes))) {
      if (entry->last() > log_->committed()) break;
      TRY(fold(*entry));
    }
    if (read_upto_ == before) break;
  }
  auto batch = std::make_shared<Batch>();
  batch->upto = read_upto_;
  if (last_file_ != Hash128() && last_file_ != options_.catalog->taken_in()) {
    batch->changes.push_back({AdsChange::Kind::source, {}, last_file_});
  }
  for (auto& [ad_id, change] : *difference_) batch->changes.push_back(std::move(change));
  difference_.reset();
  find_own();
  return batch;
}

void AdsGroup::find_own() {
  if (options_.catalog == nullptr || !options_.found_own) return;
  std::vector<catalog::Ad> own;
  const auto ads = options_.catalog->snapshot();
  std::vector<catalog::Ad> page;
  for (std::string after;; after = page.back().ad_id) {
    page = ads->list({}, after, kListed);
    for (const catalog::Ad& ad : page) {
      if (!history_.mentions(ad.ad_id)) own.push_back(ad);
    }
    if (page.size() < kListed) break;
  }
  if (!own.empty()) options_.found_own(std::move(own));
}

void AdsGroup::apply_committed() {
  while (!failure_ && !writing_ && !again_.waits(clock_.system().monotonic_ns())) {
    if (!batch_) {
      auto next = next_batch();
      if (!next && may_pass(next.error())) return again_.failed(clock_.system().monotonic_ns());
      if (!next) return fail(std::move(next).error());
      batch_ = *std::move(next);
      if (!batch_) return;
    }
    if (!batch_->changes.empty() && options_.catalog != nullptr) return write(batch_);
    const auto batch = std::exchange(batch_, nullptr);
    applied_ = batch->upto;
    answer_waiting(batch.get());
  }
}

void AdsGroup::write(std::shared_ptr<Batch> batch) {
  auto run = [this, batch = std::move(batch)] {
    const auto done = std::make_shared<const Status>(write_to(*options_.catalog, *batch));
    options_.on_worker([this, batch, done] { wrote(batch, *done); });
  };
  writing_ = true;
  if (!options_.in_commit) return run();
  writing_ = options_.in_commit(std::move(run));
  if (!writing_) again_.failed(clock_.system().monotonic_ns());
}

/// Thread: that of the commits.
Status AdsGroup::write_to(catalog::Catalog& catalog, Batch& batch) {
  const auto before = catalog.snapshot();
  std::unordered_map<std::string_view, bool> there;
  size_t at = 0;
  for (auto& [end, outcome] : batch.entries) {
    outcome.made = outcome.removed = 0;
    for (; at < end; ++at) {
      const AdsChange& change = batch.changes[at];
      if (change.kind == AdsChange::Kind::source) continue;
      const std::string_view ad_id = change.ad.ad_id;
      auto place = there.find(ad_id);
      if (place == there.end()) place = there.emplace(ad_id, before->find(ad_id) != nullptr).first;
      const bool stays = change.kind == AdsChange::Kind::upsert;
      if (stays && !place->second) ++outcome.made;
      if (!stays && place->second) ++outcome.removed;
      place->second = stays;
    }
  }
  for (size_t from = 0; from < batch.changes.size(); from += kWrittenAtOnce) {
    const size_t upto = std::min(batch.changes.size(), from + kWrittenAtOnce);
    TRY(catalog.apply({batch.changes.begin() + static_cast<std::ptrdiff_t>(from),
                       batch.changes.begin() + static_cast<std::ptrdiff_t>(upto)}));
  }
  return {};
}

void AdsGroup::wrote(const std::shared_ptr<Batch>& batch, const Status& done) {
  owner_.check();
  writing_ = false;
  if (!done) {
    again_.failed(clock_.system().monotonic_ns());
    if (!may_pass(done.error())) return fail(Error(done.error().code(), done.error().text()));
    // The same batch is written again.
    std::string text = "the ads can't be written: " + done.error().text();
    if (text != trouble_) log_warn("catalog", text + "; trying again");
    trouble_ = std::move(text);
    return;
  }
  again_.succeeded();
  trouble_.clear();
  if (failure_) return;
  batch_.reset();
  applied_ = batch->upto;
  answer_waiting(batch.get());
  apply_committed();
}

/// `batch`: what has just been applied.
void AdsGroup::answer_waiting(const Batch* batch) {
  for (Waiting& waiting : waiting_) {
    for (const auto& [end, outcome] : batch->entries) {
      if (outcome.last < waiting.first || outcome.last > waiting.outcome.last) continue;
      waiting.outcome.made += outcome.made;
      waiting.outcome.removed += outcome.removed;
    }
  }
  while (!waiting_.empty() && waiting_.front().outcome.last <= applied_) {
    const Waiting waiting = std::move(waiting_.front());
    waiting_.pop_front();
    waiting.applied(waiting.outcome);
  }
  while (!followed_.empty() && followed_.begin()->first <= applied_)
    followed_.extract(followed_.begin()).mapped()({});
}

void AdsGroup::fail(Error error) {
  if (failure_) return;
  failure_ = std::move(error).with_context("the ads stay as they are on this node");
  log_error("catalog", failure_->text());
  for (const Waiting& waiting : std::exchange(waiting_, {}))
    waiting.applied(Error(Errc::closed, failure_->message()));
  for (const auto& [offset, applied] : std::exchange(followed_, {}))
    applied(Error(Errc::closed, failure_->message()));
}

void AdsGroup::release_soon(JournalPos position, uint64_t max_bytes) {
  owner_.check();
  if (!log_failed_) log_->copy_forward(position, max_bytes);
}

}  // namespace clickmill::cluster
