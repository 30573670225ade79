// Payloads of the journal records of a partition's log:
//   entry, copied_entry: varint first | varint count | u8 kind | varint term |
//                        varint append_ms | payload
//   hard_state:          varint term | bytes vote
//   truncate:            varint first offset that goes
// A copied entry keeps offset and term, and on replay fills only its own place:
// whatever stands there already is the same entry or a newer one.
#include "log/partition_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/bytes.h"

namespace clickmill::log {

void encode_entry(const Entry& entry, std::string& out) {
  ByteWriter writer(out);
  writer.varint(entry.first.value());
  writer.varint(entry.count);
  writer.u8(entry.kind);
  writer.varint(entry.term.value());
  writer.varint(static_cast<uint64_t>(entry.append_ms.value()));
  writer.raw(entry.payload);
}

namespace {

/// At most: three varints of 64 bits, one of 32, a byte.
constexpr size_t kEntryHeadBytes = 36;

/// All but the payload, which is the rest.
Result<Entry> decode_entry_head(ByteCursor& cursor) {
  Entry entry;
  entry.first = Offset(cursor.varint());
  const uint64_t count = cursor.varint();
  entry.kind = cursor.u8();
  entry.term = Term(cursor.varint());
  entry.append_ms = LogMs(static_cast<int64_t>(cursor.varint()));
  if (!cursor.ok() || count == 0 || count > UINT32_MAX || entry.first == Offset(0)) {
    return Error(Errc::corrupt, "log entry is malformed");
  }
  entry.count = static_cast<uint32_t>(count);
  return entry;
}

}  // namespace

Result<Entry> decode_entry(std::string_view bytes) {
  ByteCursor cursor(bytes);
  Entry entry = TRY(decode_entry_head(cursor));
  entry.payload = cursor.rest();
  return entry;
}

Status RecoveredLog::replay(JournalPos position, const RecordView& record) {
  if (record.kind == RecordKind::hard_state) {
    ByteCursor cursor(record.payload);
    hard_state_.term = Term(cursor.varint());
    hard_state_.vote = cursor.bytes();
    hard_state_position_ = position;
    if (!cursor.done()) return Error(Errc::corrupt, "hard state is malformed");
    return {};
  }
  if (record.kind == RecordKind::truncate) {
    ByteCursor cursor(record.payload);
    const Offset from{cursor.varint()};
    if (!cursor.done()) return Error(Errc::corrupt, "truncation is malformed");
    entries_.erase(entries_.lower_bound(from), entries_.end());
    return {};
  }
  ByteCursor cursor(record.payload);
  Entry entry = TRY(decode_entry_head(cursor));
  if (entry.last() <= sealed_) return {};
  entry.payload = cursor.rest();
  const Offset first = entry.first;
  if (record.kind == RecordKind::copied_entry) {
    const auto at = entries_.find(first);
    if (at == entries_.end()) {
      entries_.emplace(first, Found{std::move(entry), position});
    } else if (at->second.entry.term == entry.term) {
      at->second.position = position;
    }
    return {};
  }
  entries_.insert_or_assign(first, Found{std::move(entry), position});
  return {};
}

std::vector<Entry> RecoveredLog::entries_after(Offset sealed) const {
  std::vector<Entry> out;
  for (auto at = entries_.upper_bound(sealed); at != entries_.end(); ++at) {
    out.push_back(at->second.entry);
  }
  return out;
}

/// Tells the worker (through the owner's callback) that an entry is durable,
/// and leaves its position where the worker finds it.
class PartitionLog::EntryWaiter final : public JournalWaiter {
 public:
  EntryWaiter(const PartitionLog& log, RecordKind kind, const Entry& entry)
      : placed_(log.placed_),
        callbacks_(log.callbacks_),
        kind_(kind),
        first_(entry.first),
        last_(entry.last()),
        term_(entry.term),
        life_(log.life_) {}

  void durable(JournalPos position, std::string&&) override {
    {
      std::lock_guard lock(placed_->mutex);
      placed_->list.push_back({kind_, first_, term_, position});
    }
    if (kind_ == RecordKind::entry && callbacks_->on_durable) callbacks_->on_durable(last_, life_);
  }
  void failed(const Error& error, std::string&&) override {
    if (callbacks_->on_failed) callbacks_->on_failed(error);
  }

 private:
  std::shared_ptr<PlacedList> placed_;
  std::shared_ptr<const Callbacks> callbacks_;
  RecordKind kind_;
  Offset first_;
  Offset last_;
  Term term_;
  uint64_t life_;
};

class PartitionLog::HardStateWaiter final : public JournalWaiter {
 public:
  HardStateWaiter(const PartitionLog& log, HardState state)
      : placed_(log.placed_), callbacks_(log.callbacks_), state_(std::move(state)) {}

  void durable(JournalPos position, std::string&&) override {
    {
      std::lock_guard lock(placed_->mutex);
      placed_->list.push_back({RecordKind::hard_state, Offset(0), state_.term, position});
    }
    if (callbacks_->on_hard_state) callbacks_->on_hard_state(state_);
  }
  void failed(const Error& error, std::string&&) override {
    if (callbacks_->on_failed) callbacks_->on_failed(error);
  }

 private:
  std::shared_ptr<PlacedList> placed_;
  std::shared_ptr<const Callbacks> callbacks_;
  HardState state_;
};

/// What stands before the cut is durable with it.
class PartitionLog::CutWaiter final : public JournalWaiter {
 public:
  CutWaiter(std::shared_ptr<const Callbacks> callbacks, Offset last, uint64_t life)
      : callbacks_(std::move(callbacks)), last_(last), life_(life) {}
  void durable(JournalPos, std::string&&) override {
    if (callbacks_->on_durable) callbacks_->on_durable(last_, life_);
  }
  void failed(const Error& error, std::string&&) override {
    if (callbacks_->on_failed) callbacks_->on_failed(error);
  }

 private:
  std::shared_ptr<const Callbacks> callbacks_;
  Offset last_;
  uint64_t life_;
};

PartitionLog::PartitionLog(PartitionId id, Segments& segments, Journal& journal,
                           Callbacks callbacks)
    : id_(id),
      segments_(segments),
      journal_(journal),
      callbacks_(std::make_shared<const Callbacks>(std::move(callbacks))) {}

Result<std::unique_ptr<PartitionLog>> PartitionLog::open(PartitionId id, Segments& segments,
                                                         Journal& journal, RecoveredLog&& recovered,
                                                         Callbacks callbacks) {
  auto log =
      std::unique_ptr<PartitionLog>(new PartitionLog(id, segments, journal, std::move(callbacks)));
  TRY(log->take_over(std::move(recovered)));
  return log;
}

std::optional<Offset> RecoveredLog::first_after(Offset sealed) const {
  for (const auto& [first, held] : entries_) {
    if (held.entry.last() > sealed) return first;
  }
  return std::nullopt;
}

Status PartitionLog::take_over(RecoveredLog&& recovered) {
  last_ = segments_.last();
  last_term_ = segments_.last_term();
  last_append_ms_ = segments_.last_append_ms();
  for (auto& [first, held] : recovered.entries_) {
    if (held.entry.last() <= segments_.last()) continue;  // sealed before its file was freed
    if (first != last_ + 1) {
      return Error(
          Errc::corrupt,
          fmt::format("partition {}: offsets {} to {} are in no journal file and no segment",
                      id_.value(), last_.value() + 1, first.value() - 1));
    }
    push(std::move(held.entry), held.position);
    held_.back().moved = true;  // a copy may have been found
  }
  // What was sealed was committed. What else is recovered is durable; how far
  // it is committed is the replica's to find out.
  committed_ = segments_.last();
  durable_ = last_;
  hard_state_ = std::move(recovered.hard_state_);
  hard_state_position_ = recovered.hard_state_position_;
  return {};
}

void PartitionLog::push(Entry&& entry, JournalPos position) {
  last_ = entry.last();
  last_term_ = entry.term;
  last_append_ms_ = entry.append_ms;
  memory_bytes_ += entry.payload.size() + sizeof(Entry);
  const Offset first = entry.first;
  held_.push_back({std::make_shared<const Entry>(std::move(entry)), first, last_, position});
}

Offset PartitionLog::first() const {
  if (segments_.first() <= segments_.last()) return segments_.first();
  return held_.empty() ? last_ + 1 : held_.front().entry->first;
}

/// Index in held_ of the entry that holds `offset`; held_.size() when past the end. Each entry
/// takes an offset at least, so that the ends say about where it is: exactly, where all take one.
/// It is asked for several times an entry, of thousands that lie anywhere in memory.
size_t PartitionLog::index_of(Offset offset) const {
  if (held_.empty() || offset <= held_.front().first) return 0;
  if (offset > last_) return held_.size();
  const uint64_t from_back = std::min(last_ - offset, held_.size() - 1);
  const uint64_t from_front = std::min(offset - held_.front().first, held_.size() - 1);
  const auto begin = held_.end() - static_cast<ptrdiff_t>(from_back + 1);
  const auto end = held_.begin() + static_cast<ptrdiff_t>(from_front + 1);
  const auto at =
      std::partition_point(begin, end, [&](const Unsealed& held) { return held.last < offset; });
  return static_cast<size_t>(at - held_.begin());
}

std::optional<Term> PartitionLog::term_at(Offset offset) const {
  if (offset == segments_.last()) return segments_.last_term();
  const size_t index = index_of(offset);
  if (index == held_.size() || held_[index].first > offset) return std::nullopt;
  return held_[index].entry->term;
}

PartitionLog::EntryPtr PartitionLog::beginning_at(Offset first) const {
  const size_t index = index_of(first);
  return index < held_.size() && held_[index].first == first ? held_[index].entry : nullptr;
}

std::vector<PartitionLog::EntryPtr> PartitionLog::unsealed() const {
  std::vector<EntryPtr> out;
  out.reserve(held_.size());
  for (const Unsealed& held : held_) out.push_back(held.entry);
  return out;
}

Status PartitionLog::write(const Entry& entry, RecordKind kind) {
  Append record;
  record.kind = kind;
  record.partition = id_;
  record.payload.reserve(entry.payload.size() + kEntryHeadBytes);
  encode_entry(entry, record.payload);
  record.waiter = std::make_shared<EntryWaiter>(*this, kind, entry);
  return journal_.append(std::move(record));
}

Status PartitionLog::append(Entry&& entry) {
  owner_.check();
  CM_ASSERT(entry.first == last_ + 1 && entry.count > 0);
  if (entry.append_ms < last_append_ms_)
    return Error(Errc::corrupt, fmt::format("partition {}: log time goes back at offset {}",
                                            id_.value(), entry.first.value()));
  TRY(write(entry, RecordKind::entry));
  push(std::move(entry), JournalPos(0));
  return {};
}

Status PartitionLog::truncate_suffix(Offset from, uint64_t life) {
  owner_.check();
  CM_ASSERT(life > life_);
  if (from > last_) {
    life_ = heard_life_ = life;
    return {};
  }
  CM_ASSERT(from > committed_);
  const size_t index = index_of(from);
  const Offset first_gone = held_[index].first;
  Append record;
  record.kind = RecordKind::truncate;
  record.partition = id_;
  ByteWriter(record.payload).varint(first_gone.value());
  record.waiter = std::make_shared<CutWaiter>(callbacks_, first_gone - 1, life);
  TRY(journal_.append(std::move(record)));
  life_ = life;
  while (held_.size() > index) {
    memory_bytes_ -= held_.back().entry->payload.size() + sizeof(Entry);
    held_.pop_back();
  }
  last_ = first_gone - 1;
  last_term_ = held_.empty() ? segments_.last_term() : held_.back().entry->term;
  last_append_ms_ = held_.empty() ? segments_.last_append_ms() : held_.back().entry->append_ms;
  durable_ = std::min(durable_, last_);
  return {};
}

void PartitionLog::durable_upto(Offset last, uint64_t life) {
  owner_.check();
  heard_life_ = std::max(heard_life_, life);
  if (life == life_) durable_ = std::max(durable_, std::min(last, last_));
}

void PartitionLog::moved_on(uint64_t life) {
  owner_.check();
  sealed_upto(segments_.last());
  life_ = heard_life_ = life;
  if (held_.empty()) {
    last_ = segments_.last();
    last_term_ = segments_.last_term();
    last_append_ms_ = segments_.last_append_ms();
  }
  durable_ = std::max(durable_, segments_.last());
  commit(segments_.last());
}

void PartitionLog::commit(Offset upto) {
  owner_.check();
  CM_ASSERT(upto <= last_);
  committed_ = std::max(committed_, upto);
}

Result<std::vector<PartitionLog::EntryPtr>> PartitionLog::read(Offset from,
                                                               size_t max_bytes) const {
  std::vector<EntryPtr> out;
  if (from > last_) return out;
  if (from <= segments_.last()) {
    for (Entry& entry : TRY(segments_.read_block(from))) {
      if (entry.last() >= from) out.push_back(std::make_shared<const Entry>(std::move(entry)));
    }
    return out;
  }
  size_t bytes = 0;
  for (size_t i = index_of(from); i < held_.size() && (out.empty() || bytes < max_bytes); ++i) {
    bytes += held_[i].entry->payload.size();
    out.push_back(held_[i].entry);
  }
  return out;
}

Status PartitionLog::set_hard_state(HardState state) {
  owner_.check();
  Append record;
  record.lane = Lane::votes;
  record.kind = RecordKind::hard_state;
  record.partition = id_;
  ByteWriter writer(record.payload);
  writer.varint(state.term.value());
  writer.bytes(state.vote);
  record.waiter = std::make_shared<HardStateWaiter>(*this, state);
  TRY(journal_.append(std::move(record)));
  hard_state_ = std::move(state);
  return {};
}

std::vector<PartitionLog::EntryPtr> PartitionLog::sealable(Offset upto) const {
  upto = std::min(upto, committed_);
  const size_t behind = index_of(upto + 1);
  // Asked often, and in vain while the first block grows: then the ends of the range tell.
  if (behind == 0 || same_block(*held_.front().entry, *held_[behind - 1].entry)) return {};
  size_t end = behind - 1;  // entries before it form whole blocks
  while (same_block(*held_[end - 1].entry, *held_[end].entry)) --end;
  std::vector<EntryPtr> out;
  for (size_t i = 0; i < end; ++i) out.push_back(held_[i].entry);
  return out;
}

void PartitionLog::sealed_upto(Offset last) {
  owner_.check();
  while (!held_.empty() && held_.front().last <= last) {
    memory_bytes_ -= held_.front().entry->payload.size() + sizeof(Entry);
    held_.pop_front();
  }
}

void PartitionLog::take_in_positions() {
  std::vector<Placed> list;
  {
    std::lock_guard lock(placed_->mutex);
    list.swap(placed_->list);
  }
  for (const Placed& placed : list) {
    if (placed.kind == RecordKind::hard_state) {
      // Even if a newer one is on its way: until that is durable, this one counts.
      hard_state_position_ = placed.position;
      continue;
    }
    const size_t index = index_of(placed.first);
    if (index == held_.size()) continue;
    Unsealed& held = held_[index];
    if (held.first != placed.first || held.entry->term != placed.term) continue;
    held.position = placed.position;
    held.moved = placed.kind != RecordKind::entry;
    held.copying = false;
  }
}

/// What was appended later stands later in the journal, and so does what isn't durable yet; a
/// copy stands behind all that was there when it was made.
bool PartitionLog::rest_stands_behind(const Unsealed& held, JournalPos position) const {
  return !held.moved && held.position != JournalPos(0) && held.position >= position;
}

JournalPos PartitionLog::oldest_needed() {
  owner_.check();
  take_in_positions();
  JournalPos oldest(UINT64_MAX);
  if (hard_state_position_ != JournalPos(0)) oldest = hard_state_position_;
  for (const Unsealed& held : held_) {
    // Position 0 is still on its way: it will be newer than all that is durable.
    if (held.position != JournalPos(0)) oldest = std::min(oldest, held.position);
    if (rest_stands_behind(held, oldest)) break;
  }
  return oldest;
}

void PartitionLog::refresh_hard_state(JournalPos position) {
  owner_.check();
  if (hard_state_position_ == JournalPos(0) || hard_state_position_ >= position) return;
  // Once: until it is durable its position is unknown, and the old one counts.
  if (refreshed_for_ == position) return;
  if (set_hard_state(hard_state_)) refreshed_for_ = position;
}

bool PartitionLog::copy_forward(JournalPos position, uint64_t max_bytes) {
  owner_.check();
  take_in_positions();
  if (hard_state_position_ != JournalPos(0) && hard_state_position_ < position) {
    if (!set_hard_state(hard_state_)) return false;
  }
  uint64_t copied = 0;
  for (Unsealed& held : held_) {
    if (rest_stands_behind(held, position)) break;
    if (held.position == JournalPos(0) || held.position >= position || held.copying) continue;
    const uint64_t bytes = held.entry->payload.size();
    // At least one: an entry longer than that would keep its file for ever.
    if (copied != 0 && copied + bytes > max_bytes) return false;
    copied += bytes;
    if (!write(*held.entry, RecordKind::copied_entry)) return false;
    held.copying = true;
  }
  return copied == 0;
}

}  // namespace clickmill::log
