#include "dedup/partition_images.h"

#include <algorithm>
#include <utility>

#include "base/logging.h"

namespace clickmill::dedup {

Status PartitionImages::load(state::Store& store) {
  if (images_ == nullptr) return {};
  named_ = TRY(read_image_record(slot_, store));
  if (named_) next_number_ = named_->number + 1;
  images_->keep_only(slot_, named_ ? std::optional(named_->number) : std::nullopt);
  return {};
}

std::optional<ImageCover> PartitionImages::read(int64_t hours_per_band, int64_t forgotten_before,
                                                std::optional<IdTable>& table) {
  new_ids_ = 0;
  // Bands of other lengths are other bands.
  if (!named_ || named_->cover.hours_per_band != hours_per_band) return {};
  auto image = images_->read(slot_, *named_, forgotten_before);
  if (!image) {
    log_warn("dedup", "partition " + std::to_string(slot_.partition().value()) +
                          ": reading its ids one by one: " + image.error().text());
    return {};
  }
  table.emplace(*std::move(image));
  return named_->cover;
}

void PartitionImages::maintain(const IdTable& table, int64_t newest_band) {
  if (images_ == nullptr) return;
  if (!writer_) return begin(table);
  if (writer_->busy()) return;
  // An id of a later band, already copied, would stand behind those that a
  // start adds again, and bands must not decrease.
  const ImageCover& covered = writer_->cover();
  if (newest_band != band_of(covered.hour, covered.hours_per_band)) return give_up();
  if (const auto failure = writer_->failure()) {
    log_warn("dedup", "partition " + std::to_string(slot_.partition().value()) +
                          ": no table image: " + *failure);
    // Not again before as much has come as for a new one.
    new_ids_ = 0;
    return give_up();
  }
  if ((durable_ = writer_->take())) {
    writer_.reset();
    new_ids_ -= std::min(new_ids_, new_ids_at_begin_);
    return;
  }
  writer_->step(table);
}

void PartitionImages::begin(const IdTable& table) {
  if (!cover_ || durable_ || in_flight_) return;
  if (!images_->due(new_ids_, table.used())) return;
  writer_ = images_->begin(slot_, next_number_, *cover_);
  new_ids_at_begin_ = new_ids_;
  if (writer_) ++next_number_;
}

void PartitionImages::give_up() {
  writer_.reset();
  cover_.reset();
  in_flight_cover_.reset();
}

void PartitionImages::checkpoint(state::Batch& batch, const ImageCover& cover) {
  if (images_ == nullptr) return;
  in_flight_cover_ = cover;
  in_flight_ = std::exchange(durable_, std::nullopt);
  if (in_flight_) put_image_record(slot_, *in_flight_, batch);
}

void PartitionImages::checkpoint_committed() {
  if (images_ == nullptr) return;
  cover_ = in_flight_cover_;
  if (!in_flight_) return;
  if (named_) images_->remove(slot_, named_->number);
  named_ = std::exchange(in_flight_, std::nullopt);
  ++written_;
}

void PartitionImages::checkpoint_failed() {
  in_flight_cover_.reset();
  if (in_flight_) durable_ = std::exchange(in_flight_, std::nullopt);
}

}  // namespace clickmill::dedup
