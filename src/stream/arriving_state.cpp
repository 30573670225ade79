#include "stream/arriving_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/checksum.h"
#include "store/part.h"
#include "stream/parts.h"

namespace clickmill::stream {
namespace {

constexpr size_t kSpaceNameMost = 40;

/// A space is made as soon as a key comes for it.
bool is_name_of_space(std::string_view name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
  return plain && !name.empty() && name.size() <= kSpaceNameMost && name != "default" &&
         state::is_of_slots({std::string(name)});
}

uint64_t sum_of(std::string_view space, std::string_view key, std::string_view value) {
  const uint64_t parts[3] = {xxh64_of(space), xxh64_of(key), xxh64_of(value)};
  return xxh64_of({reinterpret_cast<const char*>(parts), sizeof(parts)});
}

Status check_room(FileSystem& files, const std::string& directory, uint64_t bytes) {
  const auto space = files.space(directory);
  // The store rewrites what it takes in, in part.
  const uint64_t wanted = bytes + bytes / 4;
  if (!space || space->free_bytes >= wanted) return {};
  return Error(Errc::no_space,
               fmt::format("a state of {} bytes doesn't fit into the {} bytes that are free", bytes,
                           space->free_bytes),
               directory);
}

Status check_head(const StateHead& head, PartitionId partition) {
  for (const store::PartMeta& part : head.record.parts) {
    const auto slot = slot_of_part(part.name);
    if (!slot || slot->partition() != partition)
      return Error(Errc::corrupt, "a state names a part that is none: " + part.name);
  }
  return {};
}

}  // namespace

void remove_parts_of(state::Slot slot, FileSystem& files, const std::string& directory) {
  constexpr auto kLater = "the next start removes it";
  const auto names = files.list(directory);
  if (!names) return;
  bool any = false;
  for (const auto& name : *names) {
    if (slot_of_part(name) != slot) continue;
    any = true;
    ignore(files.remove(directory + "/" + name), kLater);
  }
  // Or a power loss would bring them back when nothing speaks of them any more.
  if (any) ignore(files.sync_directory(directory), kLater);
}

Result<std::unique_ptr<ArrivingState>> ArrivingState::begin(PartitionId partition,
                                                            state::Store& store, FileSystem& files,
                                                            std::string directory, StateHead head) {
  TRY(check_head(head, partition));
  TRY(check_room(files, directory, head.bytes()));
  const auto standing = TRY(state::read_standing(partition, store));
  if (standing.building && !standing.arrival)
    return Error(Errc::busy,
                 fmt::format("partition {} is being rebuilt from its log", partition.value()));
  auto arriving = std::unique_ptr<ArrivingState>(
      new ArrivingState(partition, store, files, std::move(directory), std::move(head)));
  // Of one before, which was given up.
  if (standing.building) remove_parts_of(*standing.building, files, arriving->directory_);
  arriving->standing_ = TRY(state::begin_arrival(partition, store));
  arriving->next_ = encode_state_cursor({});
  for (store::PartMeta& part : arriving->head_.record.parts)
    part.name = part_name_in(arriving->standing_.current(), part.name);
  return arriving;
}

Status ArrivingState::take(std::string_view bytes) {
  const StatePiece piece = TRY(decode_state_piece(bytes));
  for (const auto& section : piece.sections) {
    if (const auto* keys = std::get_if<StatePiece::Keys>(&section)) TRY(take_keys(*keys));
    if (const auto* part = std::get_if<StatePiece::PartBytes>(&section)) TRY(take_bytes(*part));
  }
  if (piece.next == next_) return Error(Errc::corrupt, "the pieces of a state don't go on");
  next_ = piece.next;
  complete_ = next_.empty();
  return {};
}

Status ArrivingState::take_keys(const StatePiece::Keys& keys) {
  if (!is_name_of_space(keys.space))
    return Error(Errc::corrupt, "a state names a space that is none");
  const state::Space space{std::string(keys.space)};
  const std::string slot = state::key_of(standing_.current());
  state::Batch batch;
  for (const auto& [key, value] : keys.values) {
    key_sum_ += sum_of(space.name, key, value);
    batch.put(space, slot + std::string(key), std::string(value));
  }
  // Durable with the last one, which is synced.
  return store_.commit(batch, false);
}

Status ArrivingState::take_bytes(const StatePiece::PartBytes& bytes) {
  const auto& parts = head_.record.parts;
  const bool fits = part_ < parts.size() && bytes.part == part_ && bytes.position == written_ &&
                    bytes.bytes.size() <= parts[part_].bytes - written_;
  if (!fits) return Error(Errc::corrupt, "the parts of a state don't go on");
  if (!file_) file_ = TRY(files_.open(path_of(parts[part_].name), FileSystem::Open::truncate));
  TRY(file_->write_at(written_, bytes.bytes));
  written_ += bytes.bytes.size();
  return written_ == parts[part_].bytes ? end_part() : Status();
}

/// What was rotten there must not come to be here.
Status ArrivingState::end_part() {
  TRY(file_->sync());
  file_.reset();
  const auto part = TRY(store::Part::open(files_, directory_, head_.record.parts[part_]));
  TRY(part->verify());
  ++part_;
  written_ = 0;
  return {};
}

/// A store that was opened anew meanwhile, after its disk had failed, may lack what it took.
Result<bool> ArrivingState::check_some(size_t bytes_most) {
  const std::string slot = state::key_of(standing_.current());
  const std::string end = state::key_of(state::Slot::of_number(standing_.current().value() + 1));
  auto spaces = store_.spaces();
  std::sort(spaces.begin(), spaces.end());
  size_t bytes = 0;
  for (const state::Space& space : spaces) {
    if (!state::is_of_slots(space) || space.name < checked_space_) continue;
    if (space.name != checked_space_) checked_key_.clear();
    checked_space_ = space.name;
    bool all = true;
    TRY(store_.scan(space, slot + checked_key_, end,
                    [&](std::string_view key, std::string_view value) {
                      if (bytes >= bytes_most) {
                        checked_key_ = key.substr(4);
                        return all = false;
                      }
                      bytes += key.size() + value.size();
                      checked_sum_ += sum_of(space.name, key.substr(4), value);
                      return true;
                    }));
    if (!all) return false;
    // The least name behind it.
    checked_space_ += '\0';
  }
  if (checked_sum_ != key_sum_)
    return Error(Errc::io, "a state is not stored as it came; the disk has failed meanwhile");
  checked_ = true;
  return true;
}

Status ArrivingState::finish() {
  if (part_ != head_.record.parts.size() || !complete_)
    return Error(Errc::corrupt, "a state ends before all of it has come");
  CM_ASSERT(checked_);
  TRY(files_.sync_directory(directory_));
  state::Batch batch;
  put_checkpoint(standing_.current(), head_.record, batch);
  state::put_arrived(partition_, standing_, upto(), batch);
  TRY(store_.commit(batch, true));
  return {};
}

Status ArrivingState::abandon() {
  file_.reset();
  remove_parts_of(standing_.current(), files_, directory_);
  return state::abandon_slot(partition_, store_);
}

}  // namespace clickmill::stream
