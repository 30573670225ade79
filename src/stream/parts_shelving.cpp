// What is done with a partition's parts together with those of others.
#include <algorithm>
#include <set>
#include <string>

#include "base/damage.h"
#include "base/fail_point.h"
#include "stream/parts.h"

namespace clickmill::stream {

bool Parts::is_busy(const std::shared_ptr<const store::Part>& part) const {
  const auto among = [&part](const store::PartList& parts) {
    return std::find(parts.begin(), parts.end(), part) != parts.end();
  };
  const auto merge = merging_.lock();
  const auto shelved = shelving_.lock();
  return (merge && among(merge->chosen_)) || (shelved && among(*shelved));
}

/// Of parts that are in the lists no more: files in which none of those that are left stand.
void Parts::drop_files(const Lists& left, const store::PartList& removed) {
  std::set<std::string> named;
  for (const auto& list : left) {
    for (const auto& part : list) named.insert(part->meta().name);
  }
  for (const auto& part : removed) {
    if (named.insert(part->meta().name).second)
      replaced_.push_back(directory_ + "/" + part->meta().name);
  }
}

Parts::Lists Parts::free() const {
  Lists out;
  for (size_t table = 0; table < store::kTables; ++table) {
    for (const auto& part : (*current_)[table]) {
      if (!is_damaged(part->meta()) && !is_busy(part)) out[table].push_back(part);
    }
  }
  return out;
}

bool Parts::begin_shelving(const std::shared_ptr<const store::PartList>& shelved) {
  for (const auto& part : *shelved) {
    if (!holds(*current_, part) || is_damaged(part->meta()) || is_busy(part)) return false;
  }
  shelving_ = shelved;
  return true;
}

bool Parts::take_shelved(const store::PartList& shelved, const store::PartList& written) {
  const bool whole = std::all_of(shelved.begin(), shelved.end(),
                                 [&](const auto& part) { return holds(*current_, part); });
  if (!whole) return false;
  auto lists = std::make_shared<Lists>(*current_);
  for (const auto& part : shelved) {
    std::erase((*lists)[static_cast<size_t>(part->meta().table)], part);
  }
  for (const auto& part : written) {
    (*lists)[static_cast<size_t>(part->meta().table)].push_back(part);
  }
  drop_files(*lists, shelved);
  current_ = std::move(lists);
  changed_ = true;
  fail_point("shelf.taken");
  return true;
}

void Parts::shelving_failed(const store::PartList& shelved, const Error& error) {
  note_damage(shelved, error);
}

void Parts::note_damage(const store::PartList& parts, const Error& error) {
  if (!is_damage(error)) return;
  for (const auto& part : parts) {
    const store::PartMeta& meta = part->meta();
    if (store::tells_of(error, meta)) damaged_.emplace(meta.name, meta.position);
  }
}

}  // namespace clickmill::stream
