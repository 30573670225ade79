#include "store/shelf.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/fail_point.h"
#include "base/logging.h"

namespace clickmill::store {

Shelf::Shelf(FileSystem& files, std::string directory)
    : disk_(files), directory_(std::move(directory)) {
  // A folder that can't be read shows elsewhere; a name that is taken is replaced only where
  // nobody needs it, since all that is needed is held before the first file is made.
  const auto names = disk_.list(directory_);
  if (!names) return;
  for (const std::string& text : *names) {
    if (const auto name = ShelfName::parse(text))
      next_number_ = std::max(next_number_, name->number + 1);
  }
}

Result<std::shared_ptr<const Part>> Shelf::open(const PartMeta& meta) {
  std::shared_ptr<File> file;
  {
    const std::lock_guard lock(mutex_);
    const auto at = shared_.find(meta.name);
    if (at != shared_.end()) file = at->second.open.lock();
  }
  if (!file) {
    file = TRY(disk_.open(directory_ + "/" + meta.name, FileSystem::Open::read));
    const std::lock_guard lock(mutex_);
    shared_[meta.name].open = file;
  }
  return Part::open(std::move(file), meta);
}

uint64_t Shelf::next_number() {
  const std::lock_guard lock(mutex_);
  return next_number_++;
}

void Shelf::hold(state::Slot slot, const std::vector<PartMeta>& metas) {
  const std::lock_guard lock(mutex_);
  for (const PartMeta& meta : metas) {
    const auto name = ShelfName::parse(meta.name);
    if (!name) continue;
    next_number_ = std::max(next_number_, name->number + 1);
    shared_[meta.name].places.insert_or_assign(meta.position, Place{meta.bytes, slot});
  }
}

Status Shelf::release(state::Slot slot, const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    const auto at = shared_.find(name);
    if (at == shared_.end()) return {};
    std::erase_if(at->second.places, [&](const auto& place) { return place.second.slot == slot; });
    if (!at->second.places.empty()) return {};
    shared_.erase(at);
    if (may_be_needed(name)) return {};
  }
  return remove(name);
}

/// Readers of an older snapshot keep their open file.
Status Shelf::remove(const std::string& name) {
  fail_point("shelf.unlink_begin");
  return disk_.remove(directory_ + "/" + name);
}

void Shelf::release_all(state::Slot slot) {
  std::vector<std::string> names;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, shared] : shared_) {
      const bool needs = std::any_of(shared.places.begin(), shared.places.end(),
                                     [&](const auto& place) { return place.second.slot == slot; });
      if (needs) names.push_back(name);
    }
  }
  for (const std::string& name : names) {
    if (auto gone = release(slot, name); !gone) log_warn("store", gone.error().text());
  }
}

void Shelf::keep_all() {
  const std::lock_guard lock(mutex_);
  keeps_all_ = true;
  if (first_of_run_ == 0) first_of_run_ = next_number_;
}

/// It was there at the start, and a checkpoint that can't be read may name it.
bool Shelf::may_be_needed(std::string_view name) const {
  const auto parsed = ShelfName::parse(name);
  return keeps_all_ && (!parsed || parsed->number < first_of_run_);
}

std::vector<std::string> Shelf::unneeded(const std::vector<std::string>& names) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  std::copy_if(names.begin(), names.end(), std::back_inserter(out), [&](const std::string& name) {
    const auto at = shared_.find(name);
    return ShelfName::parse(name) && !may_be_needed(name) &&
           (at == shared_.end() || at->second.places.empty());
  });
  return out;
}

std::optional<state::Slot> Shelf::owner_of(std::string_view name, uint64_t position) const {
  const std::lock_guard lock(mutex_);
  const auto shared = shared_.find(name);
  if (shared == shared_.end()) return std::nullopt;
  const auto& places = shared->second.places;
  auto at = places.upper_bound(position);
  if (at == places.begin()) return std::nullopt;
  --at;
  if (position - at->first >= at->second.bytes) return std::nullopt;
  return at->second.slot;
}

size_t Shelf::files() const {
  const std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::count_if(shared_.begin(), shared_.end(), [](const auto& shared) {
    return is_shelved(shared.first) && !shared.second.places.empty();
  }));
}

}  // namespace clickmill::store
