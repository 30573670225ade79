#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "state/store.h"

namespace clickmill::state {

/// A Store in memory that a test can crash and make fail.
///
/// Fault model: crash() loses every commit after the last one with `sync` (a
/// later sync makes earlier commits durable too, as in a write-ahead log).
/// Any call that can fail asks `fail` first, if one is set, and returns its Error.
/// Thread: any (one mutex; `visit` runs outside of it, on a copy of the range).
class MemoryStore final : public Store {
 public:
  enum class Call : uint8_t {
    commit,
    answer,  ///< of a commit that was made
    read,
    drop
  };
  using Fail = std::function<std::optional<Error>(Call)>;
  using Image = std::map<Space, std::map<std::string, std::string, std::less<>>>;

  Status commit(const Batch& batch, bool sync) override;
  Result<std::optional<std::string>> get(const Space& space, std::string_view key) override;
  Result<std::vector<std::optional<std::string>>> multi_get(
      const Space& space, const std::vector<std::string>& keys) override;
  Status scan(const Space& space, std::string_view from, std::string_view to,
              const Visit& visit) override;
  std::vector<Space> spaces() const override;
  std::shared_ptr<Frozen> freeze() override;
  Status drop_space(const Space& space) override;
  Status settle_space(const Space&) override { return {}; }
  uint64_t memory_bytes() const override;

  /// Everything that is visible now, synced or not.
  Image snapshot() const;
  /// Goes to `image`, which counts as durable.
  void restore(Image image);
  /// Goes back to what is durable.
  void crash();
  /// Empty: nothing fails (any more).
  void set_fail(Fail fail);

 private:
  Status check(Call call) const;

  mutable std::mutex mutex_;  // guards all below; a test's store is not worth a mailbox
  Image visible_;
  Image durable_;
  std::vector<Batch> unsynced_;
  Fail fail_;
};

}  // namespace clickmill::state
