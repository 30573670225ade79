#include "state/memory_store.h"

#include <utility>

namespace clickmill::state {
namespace {

void apply(const Batch& batch, MemoryStore::Image& image) {
  using Kind = Batch::Operation::Kind;
  for (const auto& operation : batch.operations()) {
    auto& keys = image[operation.space];
    switch (operation.kind) {
      case Kind::put: keys[operation.key] = operation.value; break;
      case Kind::remove: keys.erase(operation.key); break;
      case Kind::remove_range:
        if (operation.key < operation.value) {
          keys.erase(keys.lower_bound(operation.key), keys.lower_bound(operation.value));
        }
        break;
    }
  }
}

class FrozenMemory final : public Frozen {
 public:
  explicit FrozenMemory(MemoryStore::Image image) : image_(std::move(image)) {}

  Result<std::optional<std::string>> get(const Space& space, std::string_view key) override {
    const auto keys = image_.find(space);
    if (keys == image_.end()) return std::optional<std::string>();
    const auto found = keys->second.find(key);
    if (found == keys->second.end()) return std::optional<std::string>();
    return std::optional<std::string>(found->second);
  }
  Status scan(const Space& space, std::string_view from, std::string_view to,
              const Visit& visit) override {
    const auto keys = image_.find(space);
    if (keys == image_.end() || from >= to) return {};
    const auto end = keys->second.lower_bound(to);
    for (auto at = keys->second.lower_bound(from); at != end; ++at) {
      if (!visit(at->first, at->second)) break;
    }
    return {};
  }
  std::vector<Space> spaces() const override {
    std::vector<Space> spaces;
    for (const auto& [space, keys] : image_) spaces.push_back(space);
    return spaces;
  }
  uint64_t bytes_about(const Space& space, std::string_view from, std::string_view to) override {
    uint64_t bytes = 0;
    ignore(scan(space, from, to,
                [&](std::string_view key, std::string_view value) {
                  bytes += key.size() + value.size();
                  return true;
                }),
           "it is in memory");
    return bytes;
  }

 private:
  const MemoryStore::Image image_;
};

}  // namespace

std::shared_ptr<Frozen> MemoryStore::freeze() {
  const std::lock_guard lock(mutex_);
  return std::make_shared<FrozenMemory>(visible_);
}

Status MemoryStore::check(Call call) const {
  if (fail_) {
    if (auto error = fail_(call)) return std::move(*error);
  }
  return {};
}

Status MemoryStore::commit(const Batch& batch, bool sync) {
  const std::lock_guard lock(mutex_);
  TRY(check(Call::commit));
  apply(batch, visible_);
  unsynced_.push_back(batch);
  if (sync) {
    for (const auto& each : unsynced_) apply(each, durable_);
    unsynced_.clear();
  }
  return check(Call::answer);
}

Result<std::optional<std::string>> MemoryStore::get(const Space& space, std::string_view key) {
  const std::lock_guard lock(mutex_);
  TRY(check(Call::read));
  const auto keys = visible_.find(space);
  if (keys == visible_.end()) return std::optional<std::string>();
  const auto found = keys->second.find(key);
  if (found == keys->second.end()) return std::optional<std::string>();
  return std::optional<std::string>(found->second);
}

Result<std::vector<std::optional<std::string>>> MemoryStore::multi_get(
    const Space& space, const std::vector<std::string>& keys) {
  std::vector<std::optional<std::string>> values;
  values.reserve(keys.size());
  for (const auto& key : keys) {
    auto value = TRY(get(space, key));
    values.push_back(std::move(value));
  }
  return values;
}

Status MemoryStore::scan(const Space& space, std::string_view from, std::string_view to,
                         const Visit& visit) {
  std::vector<std::pair<std::string, std::string>> range;
  {
    const std::lock_guard lock(mutex_);
    TRY(check(Call::read));
    const auto keys = visible_.find(space);
    if (keys == visible_.end() || from >= to) return {};
    range.assign(keys->second.lower_bound(from), keys->second.lower_bound(to));
  }
  for (const auto& [key, value] : range) {
    if (!visit(key, value)) break;
  }
  return {};
}

std::vector<Space> MemoryStore::spaces() const {
  const std::lock_guard lock(mutex_);
  std::vector<Space> spaces;
  for (const auto& [space, keys] : visible_) spaces.push_back(space);
  return spaces;
}

Status MemoryStore::drop_space(const Space& space) {
  const std::lock_guard lock(mutex_);
  TRY(check(Call::drop));
  // A dropped space is gone for good at once, and with it what was not yet synced.
  visible_.erase(space);
  durable_.erase(space);
  for (auto& batch : unsynced_) {
    Batch kept;
    for (const auto& operation : batch.operations()) {
      using Kind = Batch::Operation::Kind;
      if (operation.space == space) continue;
      if (operation.kind == Kind::put) kept.put(operation.space, operation.key, operation.value);
      if (operation.kind == Kind::remove) kept.remove(operation.space, operation.key);
      if (operation.kind == Kind::remove_range) {
        kept.remove_range(operation.space, operation.key, operation.value);
      }
    }
    batch = std::move(kept);
  }
  return {};
}

uint64_t MemoryStore::memory_bytes() const {
  const std::lock_guard lock(mutex_);
  uint64_t bytes = 0;
  for (const auto& [space, keys] : visible_) {
    for (const auto& [key, value] : keys) bytes += key.size() + value.size();
  }
  return bytes;
}

MemoryStore::Image MemoryStore::snapshot() const {
  const std::lock_guard lock(mutex_);
  return visible_;
}

void MemoryStore::restore(Image image) {
  const std::lock_guard lock(mutex_);
  visible_ = std::move(image);
  durable_ = visible_;
  unsynced_.clear();
}

void MemoryStore::crash() {
  const std::lock_guard lock(mutex_);
  visible_ = durable_;
  unsynced_.clear();
}

void MemoryStore::set_fail(Fail fail) {
  const std::lock_guard lock(mutex_);
  fail_ = std::move(fail);
}

}  // namespace clickmill::state
