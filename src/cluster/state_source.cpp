#include "cluster/state_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/logging.h"

namespace clickmill::cluster {
namespace {

/// Of an entry that is sealed, or was the last to be dropped.
Result<Term> sealed_term(const log::Segments& segments, Offset offset) {
  if (segments.first() == offset + 1) {
    const Term term = segments.dropped_term();
    // Unless more was dropped meanwhile.
    if (segments.first() == offset + 1) return term;
  }
  for (const log::Entry& entry : TRY(segments.read_block(offset))) {
    if (entry.first <= offset && offset <= entry.last()) return entry.term;
  }
  return Error(Errc::busy, "the log has moved on behind a state");
}

}  // namespace

StateSource::StateSource(Options options, Owned& owned, const Clock& clock)
    : options_(std::move(options)), owned_(owned), clock_(clock), next_transfer_(options_.life) {}

void StateSource::serve(const std::string& from, std::string_view question, Calls::Answer answer) {
  const auto asked = decode_state_question(question);
  if (!asked) return answer(Error(asked.error().code(), asked.error().message()));
  switch (asked->kind) {
    case StateQuestion::Kind::offer: {
      if (asked->partition.value() >= owned_.partitions.size())
        return answer(Error(Errc::invalid, "a state is asked for of a partition that is none"));
      return freeze(from, asked->partition, answer);
    }
    case StateQuestion::Kind::piece: return give(from, *asked, answer);
    case StateQuestion::Kind::end: {
      const std::lock_guard lock(mutex_);
      const auto at = transfers_.find(asked->transfer);
      if (at != transfers_.end() && at->second.to == from) transfers_.erase(at);
      return answer(std::string());
    }
  }
}

void StateSource::freeze(const std::string& to, PartitionId partition,
                         const Calls::Answer& answer) {
  if (!options_.well()) return answer(Error(Errc::busy, "the disk has no room to hold a state"));
  {
    const std::lock_guard lock(mutex_);
    // It has begun anew.
    std::erase_if(transfers_, [&](const auto& each) {
      return each.second.to == to && each.second.partition == partition;
    });
    if (transfers_.size() + freezing_ >= options_.frozen_most)
      return answer(Error(Errc::busy, "other states are given just now"));
    ++freezing_;
  }
  const bool taken = options_.in_background([this, to, partition, answer] {
    auto frozen = options_.freeze(partition);
    if (!frozen) return not_frozen(std::move(frozen).error(), answer);
    look_up(to, partition, *frozen, answer);
  });
  if (!taken) not_frozen(Error(Errc::busy, "too much waits"), answer);
}

void StateSource::not_frozen(Error error, const Calls::Answer& answer) {
  {
    const std::lock_guard lock(mutex_);
    --freezing_;
  }
  answer(std::move(error));
}

/// What only the worker knows; and what is sealed, only the disk.
void StateSource::look_up(const std::string& to, PartitionId partition, const Frozen& state,
                          const Calls::Answer& answer) {
  owned_.worker_of(partition).post([this, to, partition, state, answer] {
    const raft::Core& core = owned_.partitions[partition.value()]->replica().core();
    StateOffer found;
    found.members = core.committed_membership();
    const auto term = core.term_of(state->head().record.applied);
    if (term) {
      found.term = *term;
      return offer(to, partition, state, std::move(found), answer);
    }
    const bool taken = options_.in_background([this, to, partition, state, answer, found] {
      const auto sealed = sealed_term(owned_.partitions[partition.value()]->segments(),
                                      state->head().record.applied);
      if (!sealed)
        return not_frozen(Error(sealed.error().code(), sealed.error().message()), answer);
      StateOffer whole = found;
      whole.term = *sealed;
      offer(to, partition, state, std::move(whole), answer);
    });
    if (!taken) not_frozen(Error(Errc::busy, "too much waits"), answer);
  });
}

void StateSource::offer(const std::string& to, PartitionId partition, const Frozen& state,
                        StateOffer&& offer, const Calls::Answer& answer) {
  offer.head = state->head();
  offer.deleted_before = options_.deleted_before();
  const int64_t now = clock_.monotonic_ns();
  {
    const std::lock_guard lock(mutex_);
    --freezing_;
    offer.transfer = next_transfer_++;
    transfers_.emplace(offer.transfer, Transfer{to, partition, state, now});
    const Offset behind = offer.upto() + 1;
    const auto [hold, is_new] = holds_.try_emplace(partition, Hold{behind, 0});
    hold->second.from = std::min(hold->second.from, behind);
    hold->second.until_ns = now + options_.hold_log_ms * 1'000'000;
  }
  log_info("peer", fmt::format("partition {}: node {} takes the state at offset {}, {} bytes",
                               partition.value(), to, offer.upto().value(), offer.head.bytes()));
  answer(encode(offer));
}

StateSource::Frozen StateSource::find(const std::string& from, uint64_t transfer) {
  const std::lock_guard lock(mutex_);
  const auto at = transfers_.find(transfer);
  if (at == transfers_.end() || at->second.to != from) return nullptr;
  at->second.asked_ns = clock_.monotonic_ns();
  const auto hold = holds_.find(at->second.partition);
  if (hold != holds_.end())
    hold->second.until_ns = at->second.asked_ns + options_.hold_log_ms * 1'000'000;
  return at->second.state;
}

void StateSource::give(const std::string& from, const StateQuestion& question,
                       const Calls::Answer& answer) {
  auto cursor = stream::decode_state_cursor(question.cursor);
  if (!cursor) return answer(std::move(cursor).error());
  const Frozen state = find(from, question.transfer);
  if (!state) return answer(Error(Errc::not_found, "that state is no longer held here"));
  const bool taken =
      options_.in_background([this, state, at = *std::move(cursor), answer]() mutable {
        auto piece = state->read(at, options_.piece_bytes);
        if (piece) bytes_given_.add(piece->size());
        answer(std::move(piece));
      });
  if (!taken) answer(Error(Errc::busy, "too much waits"));
}

void StateSource::expire() {
  // Their destruction may cost time: outside of the lock.
  std::vector<Frozen> gone;
  const int64_t now = clock_.monotonic_ns();
  const bool well = options_.well();
  const std::lock_guard lock(mutex_);
  for (auto at = transfers_.begin(); at != transfers_.end();) {
    if (well && now - at->second.asked_ns < options_.patience_ms * 1'000'000) {
      ++at;
      continue;
    }
    gone.push_back(std::move(at->second.state));
    at = transfers_.erase(at);
  }
  std::erase_if(holds_, [now](const auto& hold) { return hold.second.until_ns <= now; });
}

void StateSource::clear() {
  const std::lock_guard lock(mutex_);
  transfers_.clear();
}

std::optional<Offset> StateSource::held_from(PartitionId partition) const {
  const std::lock_guard lock(mutex_);
  const auto hold = holds_.find(partition);
  if (hold == holds_.end()) return std::nullopt;
  return hold->second.from;
}

size_t StateSource::frozen() const {
  const std::lock_guard lock(mutex_);
  return transfers_.size();
}

}  // namespace clickmill::cluster
