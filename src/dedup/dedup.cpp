#include "dedup/dedup.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/fail_point.h"
#include "base/logging.h"
#include "base/owned_by_thread.h"
#include "dedup/id_table.h"
#include "dedup/partition_images.h"
#include "dedup/recent_ids.h"
#include "dedup/sharpener.h"
#include "dedup/stored_ids.h"

namespace clickmill::dedup {
namespace {

// How many ids ahead the table's lines are fetched: about memory latency over the
// work done per id.
constexpr size_t kPrefetchAhead = 12;

// Of the exact set: 16 and 8 bytes, in arrays that double.
constexpr uint64_t kRecentIdBytes = 36;
// In a batch, with its share of a key.
constexpr uint64_t kBatchIdBytes = 28;

/// An id stands in up to three places. The table (IdTable) knows all ids of the
/// newest bands, approximately; the exact answer comes from the ids filed since
/// the last committed checkpoint (RecentIds), and else from the state store
/// (StoredIds). Only the newest hour of an id matters to the verdict, and an id
/// among the recent ones has its newest there.
class PartitionDedup final : public Dedup {
 public:
  PartitionDedup(state::Slot slot, state::Store& store, Options options, LogHour first_hour)
      : store_(store),
        stored_(slot, store),
        images_(slot, options.images),
        sharpener_(stored_),
        dedup_hours_(options.dedup_hours),
        hours_per_band_(band_hours(options.dedup_hours)),
        first_hour_(first_hour),
        in_flight_first_hour_(first_hour) {}

  Status load() override {
    owner_.check();
    if (loaded_) return {};
    TRY(stored_.open());
    TRY(images_.load(store_));
    // Else an id that the image lacks could look like one that it covers.
    stored_.skip_sequences_before(images_.sequence_end());
    if (!stored_.hours().empty()) {
      newest_hour_ = stored_.hours().rbegin()->first;
      TRY(build_table());
    }
    durable_first_hour_ = stored_.hours().empty()
                              ? in_flight_first_hour_
                              : std::min(in_flight_first_hour_, stored_.hours().begin()->first);
    loaded_ = true;
    return {};
  }

  Status classify(LogMs append_ms, std::span<const Identity> identities,
                  std::span<uint8_t> duplicate) override {
    owner_.check();
    CM_ASSERT(identities.size() == duplicate.size());
    const LogHour hour = hour_of(append_ms);
    TRY(load());
    if (newest_hour_ && hour < *newest_hour_) {
      return Error(Errc::invalid, "dedup: log time went back from hour " +
                                      std::to_string(newest_hour_->value()) + " to " +
                                      std::to_string(hour.value()));
    }
    newest_hour_ = hour;
    if (!table_) TRY(build_table());
    const size_t filed_before = recent_.size();
    auto done = classify_each(hour, identities, duplicate);
    // The table may keep them: a false match only costs a look-up.
    if (!done) recent_.shrink(filed_before);
    return done;
  }

  Status classify_each(LogHour hour, std::span<const Identity> identities,
                       std::span<uint8_t> duplicate) {
    for (size_t i = 0; i < std::min(kPrefetchAhead, identities.size()); ++i) {
      table_->prefetch(identities[i].id);
    }
    for (size_t i = 0; i < identities.size(); ++i) {
      if (i + kPrefetchAhead < identities.size())
        table_->prefetch(identities[i + kPrefetchAhead].id);
      const auto& [id, received] = identities[i];
      const LogHour from = std::max(first_hour_, hour_of(received) - dedup_hours_);
      bool stands = false;
      const auto match = table_->find(id);
      if (!rules_out(match, from)) stands = TRY(look_up(id, from, match));
      duplicate[i] = stands ? 1 : 0;
      if (!stands) file(id, hour);
    }
    return {};
  }

  void forget_before(LogHour first_hour) override {
    owner_.check();
    first_hour_ = std::max(first_hour_, first_hour);
    if (table_) table_->forget_before(band_of(first_hour_));
  }

  void set_dedup_hours(int64_t hours) override {
    owner_.check();
    dedup_hours_ = hours;
    if (band_hours(hours) == hours_per_band_) return;
    hours_per_band_ = band_hours(hours);
    images_.give_up();
    sharpener_.give_up();
    table_.reset();  // The next classify builds it, and can return an Error.
  }

  Status checkpoint(state::Batch& batch) override {
    owner_.check();
    CM_ASSERT(in_flight_.empty());
    TRY(load());
    std::swap(in_flight_, recent_);
    for (const auto& run : in_flight_.runs()) {
      if (run.hour >= first_hour_) stored_.write(batch, run.hour, run.ids);
    }
    if (!stored_.hours().empty() && stored_.hours().begin()->first < first_hour_) {
      fail_point("expiry.hours_removed");
    }
    stored_.remove_before(batch, first_hour_);
    in_flight_first_hour_ = first_hour_;
    if (newest_hour_) {
      images_.checkpoint(batch, {hours_per_band_, *newest_hour_, stored_.next_sequence()});
    }
    return {};
  }

  void checkpoint_committed() override {
    owner_.check();
    in_flight_.clear();
    durable_first_hour_ = in_flight_first_hour_;
    images_.checkpoint_committed();
  }

  void checkpoint_failed() override {
    owner_.check();
    recent_.put_in_front(std::move(in_flight_));
    in_flight_ = {};
    stored_.removal_failed();
    images_.checkpoint_failed();
  }

  uint64_t unsaved_bytes() const override { return recent_.size() * kRecentIdBytes; }
  uint64_t in_flight_bytes() const override {
    return in_flight_.size() * (kRecentIdBytes + kBatchIdBytes);
  }

  void maintain() override {
    owner_.check();
    if (!table_) return;
    images_.maintain(*table_, band_of(*newest_hour_));
    // While a checkpoint is being committed, ids stand in neither place.
    if (!sharpens_ || !in_flight_.empty()) return;
    if (auto done = sharpener_.step(*table_, recent_, first_hour_, hours_per_band_); !done) {
      // The table is as good as it was; a look-up that meets the same will say so.
      log_warn("dedup", done.error().text());
      sharpens_ = false;
    }
  }

  LogHour oldest_durable_hour() const override { return durable_first_hour_; }

  Usage usage() const override {
    Usage usage;
    usage.memory_bytes =
        recent_.memory_bytes() + in_flight_.memory_bytes() + sharpener_.memory_bytes();
    usage.store_lookups = store_lookups_;
    usage.read_ids = read_ids_;
    usage.images = images_.written();
    usage.sharpened = sharpener_.sharpened();
    if (!table_) return usage;
    usage.ids = table_->used();
    usage.memory_bytes += table_->memory_bytes();
    usage.table_slots = table_->slots();
    usage.table_used = table_->used();
    return usage;
  }

 private:
  /// The table keeps a fixed number of bands. They must cover the hours that a
  /// click on time asks for: dedup_hours, the one that has begun, and the one
  /// before, where the click's arrival may be.
  static int64_t band_hours(int64_t dedup_hours) {
    const int64_t hours = std::max<int64_t>(dedup_hours, 0) + 2;
    return (hours + IdTable::kBandsKept - 1) / IdTable::kBandsKept;
  }
  int64_t band_of(LogHour hour) const { return dedup::band_of(hour, hours_per_band_); }

  /// Fills the table from its image and the ids since, or else from the ids of
  /// the newest bands, oldest first as the table wants it.
  Status build_table() {
    auto done = fill_table();
    // One that lacks ids would call their copies new.
    if (!done) table_.reset();
    return done;
  }

  Status fill_table() {
    sharpener_.give_up();
    table_.reset();
    const int64_t first_band =
        std::max(band_of(first_hour_), band_of(*newest_hour_) - IdTable::kBandsKept + 1);
    std::optional<ImageCover> cover;
    if (!stored_.hours().empty()) {
      cover = images_.read(hours_per_band_, band_of(first_hour_), table_);
    }
    if (!table_) table_.emplace(first_band);
    for (const auto& [hour, unused] : stored_.hours()) {
      if (hour < first_hour_ || band_of(hour) < first_band) continue;
      // The newest hour is read in any case: StoredIds wants to know its sequences.
      if (cover && hour < std::min(cover->hour, *newest_hour_)) continue;
      TRY(read_ids(hour, cover));
    }
    for (const auto* ids : {&in_flight_, &recent_}) {
      for (const auto& run : ids->runs()) {
        const int64_t band = band_of(run.hour);
        if (run.hour < first_hour_ || band < first_band) continue;
        for (const auto& id : run.ids) table_->insert(id, band);
      }
    }
    return {};
  }

  /// Adds the stored ids of an hour that an image doesn't cover.
  Status read_ids(LogHour hour, const std::optional<ImageCover>& cover) {
    const int64_t band = band_of(hour);
    const auto add = [&](uint32_t sequence, std::span<const Hash128> ids) {
      if (cover && (hour < cover->hour || (hour == cover->hour && sequence < cover->sequence))) {
        return;
      }
      for (const auto& id : ids) table_->prefetch(id);
      for (const auto& id : ids) table_->insert(id, band);
      images_.filed(ids.size());
      read_ids_ += ids.size();
    };
    return stored_.for_each(hour, add);
  }

  /// Whether the table proves that the id stands in no hour from `from` on.
  bool rules_out(const IdTable::Match& match, LogHour from) const {
    const int64_t skip = band_of(from) - match.first_band;
    return skip >= 0 && (skip > 31 || match.bands >> skip == 0);
  }

  /// The exact answer. Newest hours first: copies mostly come soon.
  Result<bool> look_up(const Hash128& id, LogHour from, const IdTable::Match& match) {
    auto newest = recent_.newest_hour(id);
    if (!newest) newest = in_flight_.newest_hour(id);
    if (newest) return *newest >= from;
    ++store_lookups_;
    const auto& hours = stored_.hours();
    for (auto hour = hours.rbegin(); hour != hours.rend() && hour->first >= from; ++hour) {
      const int64_t band = band_of(hour->first) - match.first_band;
      if (band > 31 || (band >= 0 && (match.bands >> band & 1) == 0)) continue;
      const bool found = TRY(stored_.contains(hour->first, id));
      if (found) return true;
    }
    return false;
  }

  void file(const Hash128& id, LogHour hour) {
    // No look-up will ever see a forgotten hour.
    if (hour < first_hour_) return;
    recent_.insert(id, hour);
    table_->insert(id, band_of(hour));
    sharpener_.filed(id, band_of(hour));
    images_.filed(1);
  }

  OwnedByThread owner_;
  state::Store& store_;
  StoredIds stored_;
  PartitionImages images_;
  RecentIds recent_;     // since the last checkpoint()
  RecentIds in_flight_;  // in the batch of the last checkpoint(), until it is committed
  std::optional<IdTable> table_;
  Sharpener sharpener_;
  bool sharpens_ = true;
  int64_t dedup_hours_;
  int64_t hours_per_band_;
  LogHour first_hour_;
  LogHour in_flight_first_hour_;  // of the last checkpoint()
  // Until load() knows better, nothing may be dropped.
  LogHour durable_first_hour_{std::numeric_limits<int64_t>::min()};
  bool loaded_ = false;
  std::optional<LogHour> newest_hour_;
  uint64_t store_lookups_ = 0;
  uint64_t read_ids_ = 0;
};

}  // namespace

std::unique_ptr<Dedup> Dedup::open(state::Slot slot, state::Store& store, Options options,
                                   LogHour first_hour) {
  return std::make_unique<PartitionDedup>(slot, store, options, first_hour);
}

}  // namespace clickmill::dedup
