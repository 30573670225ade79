#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "state/store.h"

namespace clickmill::state {

/// One space of the state store with the writes since the last checkpoint on top:
/// reads see them at once, the store gets them with the checkpoint's batch. What
/// is written between checkpoint() and checkpoint_committed() belongs to the next one;
/// without checkpoint_committed(), all of it does.
///
/// `store` is borrowed. Errors: those of the store. Thread: worker.
class Overlay {
 public:
  Overlay(Store& store, Space space) : store_(store), space_(std::move(space)) {}

  void put(std::string key, std::string value);
  void remove(std::string key);
  Result<std::optional<std::string>> get(std::string_view key) const;
  /// Values in the order of `keys`.
  Result<std::vector<std::optional<std::string>>> get_all(
      const std::vector<std::string>& keys) const;
  /// As Store::scan.
  Status scan(std::string_view from, std::string_view to, const Store::Visit& visit) const;

  /// Forgets the keys of [from, to), in the store by way of `batch`: until that
  /// is committed reads may still meet what is stored there, or what it replaced.
  void forget(std::string from, std::string to, Batch& batch);
  /// Adds what changed since the last call.
  void checkpoint(Batch& batch);
  void checkpoint_committed();
  /// Writes held in memory until their checkpoint is committed.
  size_t pending() const { return writes_.size(); }
  /// What they take in memory, about.
  uint64_t pending_bytes() const { return bytes_; }

 private:
  struct Write {
    std::optional<std::string> value;  ///< empty: removed
    bool in_flight = false;            ///< stands in the batch of the last checkpoint()
  };
  using Writes = std::map<std::string, Write, std::less<>>;
  void write(std::string&& key, Write&& write);
  static uint64_t bytes_of(const Writes::value_type& item);

  Store& store_;
  const Space space_;
  Writes writes_;
  uint64_t bytes_ = 0;
};

}  // namespace clickmill::state
