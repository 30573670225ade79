// How a partition whose log can't be caught up takes the state of another node.
//
// In this order: the state comes whole into a fresh slot, and is durable; what the log holds from
// its end on, and doesn't lead up to it, is cut off, durably; segments go on behind the state (from
// here on a start goes on with it); the slot is in force. What a kill leaves before the third step
// is removed by the next start, and begun anew: until then the log has what it has acknowledged.
#include <fmt/format.h>

#include <utility>

#include "base/damage.h"
#include "base/logging.h"
#include "cluster/partition.h"

namespace clickmill::cluster {

/// Asked for again by whoever finds the need, as long as there is one.
void Partition::want_state() {
  const auto& group = options_.group;
  if (taking_ || !group || !group->ask_for_state || !options_.rebuilder || log_failed_) return;
  const raft::Member* leader = replica_->leader();
  if (leader == nullptr || *leader == replica_->self() || rebuilding()) return;
  StateTaking::Options options;
  options.id = id_;
  options.from = leader->node;
  options.ask = group->ask_for_state;
  options.turn = group->state_turn;
  options.in_background = options_.in_background;
  options.on_worker = options_.on_worker;
  options.rebuilder = options_.rebuilder;
  options.counts = group->state_counts;
  taking_ = std::make_shared<StateTaking>(std::move(options));
}

void Partition::step_state() {
  if (needs_state() && here()) want_state();
  if (!taking_ && up_to_date()) state_trouble_.clear();
  if (!taking_) return;
  if (replica_->leads() && !switching_) taking_->abandon();
  taking_->step(clock_.system().monotonic_ns());
  if (taking_->whole()) switch_state();
  if (!taking_ || !taking_->over()) return;
  if (!taking_->trouble().empty() && taking_->trouble() != state_trouble_)
    log_warn("stream", taking_->trouble());
  state_trouble_ = taking_->trouble();
  taking_.reset();
}

/// Once nothing of what there is, is being written any more.
void Partition::switch_state() {
  const int64_t now = clock_.system().monotonic_ns();
  if (switch_in_flight_ || switch_again_.waits(now)) return;
  if (!switching_) {
    const StateOffer& offer = taking_->offer();
    // What was agreed to here stays, and nothing is counted back but what damage costs.
    const bool newer = offer.upto() > replica_->core().committed();
    const bool needed = newer || (needs_state() && offer.upto() + 1 >= log_->first());
    if (!needed) return taking_->abandon();
    if (commit_ || merging_ || repairing_) return;
    log_switches_ = newer;
    if (log_switches_ && !replica_->make_way_for(offer.upto(), offer.term)) return;
    if (!sealing_.hold()) return;
    switching_ = true;
  }
  if (log_switches_) {
    // Before the log goes on behind it, as a start must know them then.
    auto kept = replica_->keep_members_of_state(taking_->offer().upto(), taking_->offer().members);
    if (!kept) return end_switch(std::move(kept).error());
  }
  switch_again_.failed(now);
  switch_in_flight_ = options_.in_background([this, taking = taking_] {
    const auto switched =
        std::make_shared<Switched>(switch_over(taking->offer(), taking->leaves()));
    options_.on_worker([this, switched] { end_switch(std::move(*switched)); });
  });
}

/// Thread: background. May be called again after an error.
Partition::Switched Partition::switch_over(const StateOffer& offer, bool leaves) {
  for (size_t table = 0; options_.retention != nullptr && table < store::kTables; ++table)
    TRY(options_.retention->mark(static_cast<store::Table>(table), offer.deleted_before[table]));
  if (log_switches_ && segments_->last() < offer.upto()) {
    TRY(segments_->reset_to(offer.upto(), offer.term,
                            LogMs(offer.head.record.horizon.log_time().value())));
  }
  if (leaves) return options_.rebuilder->give_away(not_here());
  return options_.rebuilder->take_arrived(segments_->first());
}

void Partition::end_switch(Switched switched) {
  switch_in_flight_ = false;
  if (!switched) {
    // The disk refuses something for now.
    state_trouble_ = std::move(switched)
                         .error()
                         .with_context(fmt::format("partition {}: its new state", id_.value()))
                         .text();
    log_warn("stream", state_trouble_ + "; trying again");
    return;
  }
  const StateOffer& offer = taking_->offer();
  const bool leaves = taking_->leaves();
  log_info("stream",
           leaves ? fmt::format("partition {}: it is with other nodes; what was here of it is gone",
                                id_.value())
                  : fmt::format("partition {}: goes on from the state at offset {}", id_.value(),
                                offer.upto().value()));
  switching_ = false;
  switch_again_.succeeded();
  state_trouble_.clear();
  sealing_.release();
  if (log_switches_) replica_->took_state(offer.upto(), offer.term, offer.members);
  heals_ = true;
  damaged_parts_.clear();
  part_is_damaged_ = false;
  if (leaves) {
    options_.rebuilder->gave_away(not_here());
  } else {
    options_.rebuilder->arrived();
  }
  begin_again(*std::move(switched));
  replay_until_ = log_->committed();
  taking_->taken();
  taking_.reset();
  moved();
}

/// What the log lacks at its beginning, once all else is in order.
void Partition::step_older() {
  const auto& group = options_.group;
  if (!group || !group->ask_for_older || group->log_kept_ms == 0) return;
  if (taking_ || sealing_.fetching() || !is_voter() || !up_to_date()) return;
  if (!older_) {
    OlderLog::Options options;
    options.id = id_;
    options.ask = group->ask_for_older;
    options.turn = group->older_turn;
    options.in_background = options_.in_background;
    options.on_worker = options_.on_worker;
    options.kept_ms = group->log_kept_ms;
    options.bytes = group->older_bytes;
    older_ = std::make_shared<OlderLog>(*segments_, clock_.system(), std::move(options));
  }
  std::vector<std::string> nodes;
  for (const raft::Member& member : replica_->core().membership().all()) {
    if (member.storage != replica_->self().storage) nodes.push_back(member.node);
  }
  older_->step(nodes, log_->last_append_ms());
}

std::string Partition::not_here() const {
  return fmt::format("partition {} is not on this node", id_.value());
}

bool Partition::hollow() const { return options_.group && lost() && !is_voter(); }

bool Partition::lingers() const {
  return options_.group && options_.group->placed_here && !options_.group->placed_here() &&
         !log_closed() && !lost() && !taking_ && log_->last() != Offset(0) && !replica_->leads();
}

Result<StateOffer> Partition::parting_from(raft::StorageId storage) const {
  owner_.check();
  const raft::Core& core = replica_->core();
  StateOffer place;
  place.head.record.applied = pipeline_->applied();
  place.head.record.horizon = pipeline_->horizon();
  place.members = core.membership();
  const auto term = core.term_of(place.upto());
  const bool is_sure = core.leads_surely() && !core.is_changing() &&
                       !place.members.contains(storage) && core.members_since() <= place.upto();
  if (!is_sure || !term || failure_ || !caught_up_)
    return Error(Errc::busy, "whether it is a member is not agreed here");
  place.term = *term;
  return place;
}

/// As if a state came from the leader, but for the state: the log goes on behind it, so that what
/// was promised here holds, and the partition is lost until one comes.
void Partition::part(StateOffer place) {
  owner_.check();
  const raft::Core& core = replica_->core();
  if (!lingers() || log_failed_ || place.members.contains(replica_->self().storage)) return;
  // What the leader knew then it may know better by now: an entry behind that place, of that term
  // or a later one, can have made this disk a member again. One of an earlier term is nobody's.
  const Offset since = core.members_since();
  if (since > place.upto() && core.term_of(since).value_or(place.term) >= place.term) return;
  if (place.upto() <= core.committed()) return;
  StateTaking::Options options;
  options.id = id_;
  options.in_background = options_.in_background;
  options.on_worker = options_.on_worker;
  options.rebuilder = options_.rebuilder;
  taking_ = StateTaking::leave(std::move(options), std::move(place));
}

Partition::State::Gear Partition::gear() const {
  State::Gear gear;
  gear.blocks = sealing_.fetching();
  if (!taking_ || taking_->leaves()) return gear;
  gear.from = taking_->from();
  gear.upto = taking_->offer().upto();
  gear.bytes = taking_->bytes();
  gear.bytes_total = taking_->offer().head.bytes();
  return gear;
}

}  // namespace clickmill::cluster
