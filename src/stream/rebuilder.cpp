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

Result<std::unique_ptr<Pipeline>> Rebuilder::open(Offset log_first) {
  auto opened = open_whole(log_first);
  if (opened || !is_damage(opened.error())) return opened;
  return rebuild(opened.error(), log_first);
}

Result<std::unique_ptr<Pipeline>> Rebuilder::open_whole(Offset log_first) {
  lost_.reset();
  const auto standing = TRY(state::read_standing(partition_, store_));
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

Status Rebuilder::finish() {
  const auto old = TRY(state::read_standing(partition_, store_)).live;
  TRY(state::take_slot(partition_, store_));
  rebuilding_ = false;
  log_info("stream", fmt::format("partition {}: rebuilt from the log", partition_.value()));
  remove_parts_of(old);
  return {};
}

void Rebuilder::remove_parts_of(state::Slot slot) const {
  const auto names = files_.list(options_.store_directory);
  if (!names) return;
  for (const auto& name : *names) {
    if (slot_of_part(name) != slot) continue;
    ignore(files_.remove(options_.store_directory + "/" + name), "the next start removes it");
  }
}

}  // namespace clickmill::stream
