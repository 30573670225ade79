#include "tools/id_refill.h"

#include <algorithm>
#include <limits>

#include "base/bytes.h"
#include "dedup/dedup.h"
#include "dedup/table_image.h"
#include "stream/click_batch.h"
#include "stream/double_clicks.h"

namespace clickmill::tools {
namespace {

// Between two commits.
constexpr uint64_t kUnsavedBytesMost = 64 << 20;

std::string key_of(uint32_t slot) {
  std::string key;
  append_key_u32(key, slot);
  return key;
}

}  // namespace

IdRefill::IdRefill(state::Slot slot, state::Store& store, const log::Segments& segments,
                   const std::vector<log::Entry>& unsealed, Options options)
    : slot_(slot),
      store_(store),
      segments_(segments),
      unsealed_(unsealed),
      options_(std::move(options)) {}

Status IdRefill::run() {
  auto checkpoint = TRY(stream::read_checkpoint(slot_, store_));
  if (!checkpoint) return {};
  const stream::Settings& settings = checkpoint->settings;
  checkpoint->horizon.set_back(options_.to, settings.dedup_hours, settings.stale_after_hours);
  first_hour_ = checkpoint->horizon.first_kept_hour();
  return refill(*checkpoint);
}

/// Range deletes of their own commit: what comes in later batches must not fall to them.
Status IdRefill::clear(LogHour from) {
  state::Batch batch;
  for (const state::Space& space : store_.spaces()) {
    const auto hour = state::hour_of_ids_space(space);
    if (hour && *hour >= from)
      batch.remove_range(space, key_of(slot_.value()), key_of(slot_.value() + 1));
  }
  dedup::remove_image_record(slot_, batch);
  return store_.commit(batch, true);
}

Status IdRefill::refill(stream::Checkpoint& checkpoint) {
  Offset from(1);
  LogHour cleared_from(std::numeric_limits<int64_t>::min());
  const LogMs kept_from(first_hour_.value() * kHourMs);
  if (segments_.last() >= segments_.first()) {
    from = TRY(segments_.find_time(kept_from)).value_or(segments_.last() + 1);
    // Ids from before the log's begin are nowhere else.
    if (segments_.first() > Offset(1) && from == segments_.first())
      cleared_from = hour_of(TRY(segments_.read_block(from)).front().append_ms) + 1;
  } else if (segments_.first() > Offset(1)) {
    from = segments_.first();
    cleared_from = unsealed_.empty() ? cleared_from : hour_of(unsealed_.front().append_ms) + 1;
  }
  TRY(clear(cleared_from));
  const auto ids =
      dedup::Dedup::open(slot_, store_, {checkpoint.settings.dedup_hours, nullptr}, first_hour_);
  stream::ClickBatch batch;
  std::vector<uint8_t> duplicate;
  const auto file = [&](const log::Entry& entry) -> Status {
    if (options_.at) options_.at(entry.first);
    if (entry.kind != static_cast<uint8_t>(click::EntryKind::clicks)) return {};
    TRY(batch.decode(entry, options_.seed));
    duplicate.resize(batch.identities().size());
    TRY(ids->classify(entry.append_ms, batch.identities(), duplicate));
    if (ids->unsaved_bytes() < kUnsavedBytesMost) return {};
    state::Batch some;
    TRY(ids->checkpoint(some));
    TRY(store_.commit(some, true));
    ids->checkpoint_committed();
    return {};
  };
  TRY(visit(from, checkpoint.applied, file));
  state::Batch rest;
  TRY(ids->checkpoint(rest));
  stream::DoubleClicks::forget(slot_, rest);
  stream::put_checkpoint(slot_, checkpoint, rest);
  return store_.commit(rest, true);
}

template <typename Visit>
Status IdRefill::visit(Offset from, Offset last, const Visit& visit) {
  Offset next = from;
  while (next <= std::min(last, segments_.last())) {
    const auto block = TRY(segments_.read_block(next));
    for (const log::Entry& entry : block) {
      if (entry.last() < next || entry.last() > last) continue;
      TRY(visit(entry));
    }
    next = block.back().last() + 1;
  }
  for (const log::Entry& entry : unsealed_) {
    if (entry.first >= next && entry.last() <= last) TRY(visit(entry));
  }
  return {};
}

}  // namespace clickmill::tools
