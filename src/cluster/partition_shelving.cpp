// A partition's part in what is done with the parts of all of them.
#include <fmt/format.h>

#include <set>

#include "base/damage.h"
#include "base/logging.h"
#include "cluster/partition.h"

namespace clickmill::cluster {

std::optional<stream::ShelfView> Partition::shelf_view() const {
  owner_.check();
  if (failure_ || !caught_up_ || stands_in() || rebuilding() || stands_still()) return std::nullopt;
  // Of one that is on other nodes there is nothing here, and no time by which others could go.
  if (pipeline_->horizon().log_time() == LogMs(0)) return std::nullopt;
  return stream::ShelfView{id_, pipeline_->slot(), pipeline_->horizon().log_time(),
                           pipeline_->free_parts()};
}

bool Partition::begin_shelving(const stream::ShelfPlan::Share& share) {
  owner_.check();
  if (failure_ || stands_still() || pipeline_->slot() != share.slot) return false;
  return pipeline_->begin_shelving(share.parts);
}

void Partition::end_shelving(const stream::ShelfWork::Share& share, store::Shelf& shelf) {
  owner_.check();
  const bool same = !failure_ && pipeline_->slot() == share.slot;
  if (share.damage) {
    const Error& why = *share.damage;
    log_error("store", fmt::format("partition {}: a part can't be moved to the shelf: {}",
                                   id_.value(), why.text()));
    if (same) pipeline_->shelving_failed(*share.parts, why);
    return met_damage(why);
  }
  if (same && pipeline_->take_shelved(*share.parts, share.written)) return;
  // A repair, or another state, has taken their place meanwhile.
  std::set<std::string> names;
  for (const auto& part : share.written) names.insert(part->meta().name);
  for (const std::string& name : names) {
    if (auto gone = shelf.release(share.slot, name); !gone) log_warn("store", gone.error().text());
  }
}

}  // namespace clickmill::cluster
