#include "stream/frozen_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "dedup/table_image.h"
#include "stream/parts.h"

namespace clickmill::stream {
namespace {

// A checkpoint that is committed between snapshot and opening unlinks files now and then.
constexpr int kTries = 5;

std::vector<state::Space> sorted(std::vector<state::Space> spaces) {
  std::sort(spaces.begin(), spaces.end());
  return spaces;
}

}  // namespace

Result<std::shared_ptr<FrozenState>> FrozenState::freeze(PartitionId partition, state::Store& store,
                                                         FileSystem& files,
                                                         const std::string& directory) {
  for (int tries = 0; tries < kTries; ++tries) {
    auto view = store.freeze();
    const auto standing = TRY(state::read_standing(partition, *view));
    if (!standing.lost.empty()) return Error(Errc::corrupt, standing.lost);
    if (standing.building)
      return Error(Errc::corrupt,
                   fmt::format("partition {} is being rebuilt here", partition.value()));
    const auto record = TRY(read_checkpoint(standing.live, *view));
    if (!record)
      return Error(Errc::busy,
                   fmt::format("partition {} has no checkpoint yet", partition.value()));
    auto frozen = std::shared_ptr<FrozenState>(new FrozenState(standing.live, std::move(view)));
    frozen->head_.record = *record;
    auto opened = frozen->open_parts(files, directory);
    if (!opened && opened.error().code() == Errc::not_found) continue;
    if (!opened) return std::move(opened).error();
    frozen->name_parts();
    frozen->head_.key_bytes = frozen->key_bytes();
    return frozen;
  }
  return Error(Errc::busy, fmt::format("the parts of partition {} change", partition.value()));
}

Status FrozenState::open_parts(FileSystem& files, const std::string& directory) {
  std::map<std::string, std::shared_ptr<File>> open;
  for (const store::PartMeta& part : head_.record.parts) {
    auto& file = open[part.name];
    if (!file) file = TRY(files.open(directory + "/" + part.name, FileSystem::Open::read));
    parts_.push_back({file, part.position});
  }
  return {};
}

/// One that stands in a file with others is there as it would stand alone, and so it goes to
/// another node: as a file of its own, under a number that this slot will not give.
void FrozenState::name_parts() {
  for (store::PartMeta& part : head_.record.parts) {
    if (part.position == 0) continue;
    part.name = part_name_of(slot_, head_.record.next_part++, part.table);
    part.position = 0;
  }
}

/// The record goes ahead, in the head; an image of a table is a file that stays here.
bool FrozenState::goes_along(const state::Space& space, std::string_view key) const {
  if (space != state::kMetaSpace) return true;
  return key != checkpoint_key(slot_) && key.substr(4) != dedup::kImageRecordKey;
}

uint64_t FrozenState::key_bytes() const {
  const state::Slot end = state::Slot::of_number(slot_.value() + 1);
  uint64_t bytes = 0;
  for (const state::Space& space : view_->spaces()) {
    if (state::is_of_slots(space))
      bytes += view_->bytes_about(space, state::key_of(slot_), state::key_of(end));
  }
  return bytes;
}

Result<std::string> FrozenState::read(const StateCursor& from, size_t bytes_most) const {
  StateCursor at = from;
  StatePieceWriter piece;
  while (at.stage == StateCursor::Stage::keys && piece.size() < bytes_most) {
    if (!TRY(add_keys(at, bytes_most, piece))) break;
  }
  while (at.stage == StateCursor::Stage::parts && piece.size() < bytes_most)
    TRY(add_part_bytes(at, bytes_most, piece));
  return piece.finish(at.stage == StateCursor::Stage::end ? nullptr : &at);
}

/// The rest of one space, as much as fits; true when all of it did.
Result<bool> FrozenState::add_keys(StateCursor& at, size_t bytes_most,
                                   StatePieceWriter& piece) const {
  auto spaces = sorted(view_->spaces());
  std::erase_if(spaces, [&](const auto& space) {
    return !state::is_of_slots(space) || space.name < at.space;
  });
  if (spaces.empty()) {
    at = {};
    at.stage = head_.record.parts.empty() ? StateCursor::Stage::end : StateCursor::Stage::parts;
    return true;
  }
  const state::Space& space = spaces.front();
  if (space.name != at.space) at.key.clear();
  at.space = space.name;
  piece.begin_keys(space.name);
  bool all = true;
  TRY(view_->scan(space, state::key_of(slot_) + at.key,
                  state::key_of(state::Slot::of_number(slot_.value() + 1)),
                  [&](std::string_view key, std::string_view value) {
                    if (!goes_along(space, key)) return true;
                    if (piece.size() >= bytes_most) {
                      at.key = key.substr(4);
                      return all = false;
                    }
                    piece.add(key.substr(4), value);
                    return true;
                  }));
  if (!all) return false;
  // The least name behind it.
  at.space = space.name + '\0';
  at.key.clear();
  return true;
}

Status FrozenState::add_part_bytes(StateCursor& at, size_t bytes_most,
                                   StatePieceWriter& piece) const {
  const auto& parts = head_.record.parts;
  if (at.part >= parts.size() || at.position > parts[at.part].bytes)
    return Error(Errc::invalid, "a state has no such place");
  std::string bytes;
  {
    const std::lock_guard lock(mutex_);
    const uint64_t left = parts[at.part].bytes - at.position;
    const Place& place = parts_[at.part];
    TRY(place.file->read_at(place.begin + at.position,
                            std::min<uint64_t>(left, bytes_most - piece.size()), bytes));
  }
  const bool cut = bytes.empty() && at.position < parts[at.part].bytes;
  if (cut)
    return Error(Errc::corrupt, "the file is cut off", parts_[at.part].file->path(),
                 parts_[at.part].begin + at.position);
  piece.add({at.part, at.position, bytes});
  at.position += bytes.size();
  if (at.position < parts[at.part].bytes) return {};
  at.position = 0;
  if (++at.part == parts.size()) at.stage = StateCursor::Stage::end;
  return {};
}

}  // namespace clickmill::stream
