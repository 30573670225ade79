#include "state/overlay.h"

#include <utility>

namespace clickmill::state {
namespace {

// A node of the map and the allocator's share of three blocks.
constexpr uint64_t kWriteBytes = 160;

}  // namespace

uint64_t Overlay::bytes_of(const Writes::value_type& item) {
  return kWriteBytes + item.first.size() + (item.second.value ? item.second.value->size() : 0);
}

void Overlay::write(std::string&& key, Write&& write) {
  auto [at, is_new] = writes_.try_emplace(std::move(key));
  if (!is_new) bytes_ -= bytes_of(*at);
  at->second = std::move(write);
  bytes_ += bytes_of(*at);
}

void Overlay::put(std::string key, std::string value) {
  write(std::move(key), Write{std::move(value)});
}

void Overlay::remove(std::string key) { write(std::move(key), Write{std::nullopt}); }

Result<std::optional<std::string>> Overlay::get(std::string_view key) const {
  if (const auto at = writes_.find(key); at != writes_.end()) return at->second.value;
  return store_.get(space_, key);
}

Result<std::vector<std::optional<std::string>>> Overlay::get_all(
    const std::vector<std::string>& keys) const {
  std::vector<std::optional<std::string>> values(keys.size());
  std::vector<std::string> asked;
  std::vector<size_t> places;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (const auto at = writes_.find(keys[i]); at != writes_.end()) {
      values[i] = at->second.value;
    } else {
      asked.push_back(keys[i]);
      places.push_back(i);
    }
  }
  auto found = TRY(store_.multi_get(space_, asked));
  for (size_t i = 0; i < places.size(); ++i) values[places[i]] = std::move(found[i]);
  return values;
}

Status Overlay::scan(std::string_view from, std::string_view to, const Store::Visit& visit) const {
  auto next = writes_.lower_bound(from);
  bool more = true;
  // Shows the writes before `key`; at `key` itself they replace what is stored.
  const auto show_before = [&](std::string_view key) {
    for (; more && next != writes_.end() && next->first < key; ++next) {
      if (next->second.value) more = visit(next->first, *next->second.value);
    }
    return more;
  };
  TRY(store_.scan(space_, from, to, [&](std::string_view key, std::string_view value) {
    if (!show_before(key)) return false;
    if (next == writes_.end() || next->first != key) return more = visit(key, value);
    if (next->second.value) more = visit(key, *next->second.value);
    ++next;
    return more;
  }));
  show_before(to);
  return {};
}

void Overlay::forget(std::string from, std::string to, Batch& batch) {
  const auto end = writes_.lower_bound(to);
  for (auto at = writes_.lower_bound(from); at != end; at = writes_.erase(at)) {
    bytes_ -= bytes_of(*at);
  }
  batch.remove_range(space_, std::move(from), std::move(to));
}

void Overlay::checkpoint(Batch& batch) {
  for (auto& [key, write] : writes_) {
    write.in_flight = true;
    if (write.value) {
      batch.put(space_, key, *write.value);
    } else {
      batch.remove(space_, key);
    }
  }
}

void Overlay::checkpoint_committed() {
  std::erase_if(writes_, [this](const auto& item) {
    if (item.second.in_flight) bytes_ -= bytes_of(item);
    return item.second.in_flight;
  });
}

}  // namespace clickmill::state
