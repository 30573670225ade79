#include "stream/rebuilder.h"

#include <fmt/format.h>

#include <utility>

#include "base/damage.h"
#include "base/logging.h"

namespace clickmill::stream {

Rebuilder::Rebuilder(PartitionId partition, state::Store& store, FileSystem& files,
                     Pipeline::Options options)
    : partition_(partition), store_(store), files_(files), options_(std::move(options)) {}

std::unique_ptr<Pipeline> Rebuilder::stand_in() const {
  return Pipeline::stand_in(partition_, store_, files_, options_);
}

Result<std::unique_ptr<Pipeline>> Rebuilder::open_slot(state::Slot slot, bool damaged_parts) const {
  Pipeline::Options options = options_;
  options.damaged_parts = damaged_parts;
  return Pipeline::open(slot, store_, files_, std::move(options));
}

Result<std::unique_ptr<Pipeline>> Rebuilder::open(Offset log_first, Offset sealed) {
  auto opened = open_whole(log_first, sealed);
  if (opened || !is_damage(opened.error())) return opened;
  return rebuild(opened.error(), log_first);
}

Result<std::unique_ptr<Pipeline>> Rebuilder::open_whole(Offset log_first, Offset sealed) {
  lost_.reset();
  auto known = TRY(state::read_standing(partition_, store_));
  const auto standing = TRY(settle_arrival(std::move(known), sealed));
  rebuilding_ = standing.building.has_value();
  if (!standing.lost.empty()) {
    lost_ = Error(Errc::corrupt, standing.lost);
    return stand_in();
  }
  auto opened = TRY(open_slot(standing.current(), log_first > Offset(1)));
  if (opened->applied() + 1 >= log_first) return opened;
  const auto at = opened->applied();
  opened.reset();
  return give_up(
      fmt::format("partition {}: the state ends at offset {}, but the log begins at {}; "
                  "restore the data directory from a backup",
                  partition_.value(), at.value(), log_first.value()));
}

Result<std::unique_ptr<Pipeline>> Rebuilder::rebuild(const Error& why, Offset log_first) {
  if (log_first > Offset(1)) {
    const auto text = fmt::format(
        "partition {}: the stream's state is damaged ({}) and can't be rebuilt: its log begins at "
        "offset {}, what is older is gone; restore the data directory from a backup",
        partition_.value(), why.text(), log_first.value());
    if (auto noted = state::give_up_slot(partition_, text, store_); !noted)
      log_warn("stream", noted.error().text());
    return give_up(text);
  }
  const auto standing = TRY(state::begin_slot(partition_, store_));
  rebuilding_ = true;
  log_error("stream", fmt::format("partition {}: the stream's state is damaged: {}; it is rebuilt "
                                  "from the log",
                                  partition_.value(), why.text()));
  return open_slot(standing.current(), false);
}

std::unique_ptr<Pipeline> Rebuilder::give_up(std::string why) {
  lost_ = Error(Errc::corrupt, std::move(why));
  rebuilding_ = false;
  return stand_in();
}

/// A state of another node that was arriving when the process ended. Its log goes on behind it
/// from the step on that comes before it counts; what came earlier was in vain.
Result<state::Standing> Rebuilder::settle_arrival(state::Standing standing, Offset sealed) const {
  if (!standing.arrival || !standing.building) return standing;
  if (standing.arrival->whole && sealed >= standing.arrival->upto) {
    TRY(take_over());
  } else {
    stream::remove_parts_of(*standing.building, files_, options_.store_directory);
    TRY(state::abandon_slot(partition_, store_));
  }
  return state::read_standing(partition_, store_);
}

Status Rebuilder::take_over() const {
  const auto old = TRY(state::read_standing(partition_, store_));
  TRY(state::take_slot(partition_, store_));
  if (old.building) clean_up(old.live);
  return {};
}

Result<std::unique_ptr<ArrivingState>> Rebuilder::begin_arrival(StateHead head) const {
  return ArrivingState::begin(partition_, store_, files_, options_.store_directory,
                              std::move(head));
}

Result<std::unique_ptr<Pipeline>> Rebuilder::take_arrived(Offset log_first) const {
  TRY(take_over());
  const auto standing = TRY(state::read_standing(partition_, store_));
  auto opened = TRY(open_slot(standing.live, false));
  if (opened->applied() + 1 < log_first)
    return Error(Errc::corrupt, "the log begins behind the state that has arrived");
  return opened;
}

Result<std::unique_ptr<Pipeline>> Rebuilder::give_away(const std::string& why) const {
  // An empty slot takes the old one's place, and is said to be lost. What a kill leaves between
  // the two is what an empty log beside it makes lost too.
  TRY(state::begin_slot(partition_, store_));
  TRY(take_over());
  TRY(state::give_up_slot(partition_, why, store_));
  return stand_in();
}

Status Rebuilder::finish() {
  TRY(take_over());
  rebuilding_ = false;
  log_info("stream", fmt::format("partition {}: rebuilt from the log", partition_.value()));
  return {};
}

/// Of a slot that no record names any more. What can't be removed now costs its space until the
/// next start.
void Rebuilder::clean_up(state::Slot slot) const {
  stream::remove_parts_of(slot, files_, options_.store_directory);
  if (options_.shelf != nullptr) options_.shelf->release_all(slot);
  if (options_.images != nullptr) options_.images->keep_only(slot, std::nullopt);
}

}  // namespace clickmill::stream
