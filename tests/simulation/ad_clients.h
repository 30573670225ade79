#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "catalog/snapshot.h"
#include "simulation/sim_node.h"

namespace clickmill::simulation {

/// The people who keep the ads: they survive everything, and remember what they changed, when,
/// and what they were told.
class AdClients {
 public:
  /// `clock` is borrowed.
  AdClients(uint64_t seed, const Clock& clock) : random_(seed), clock_(clock) {}
  /// Puts or removes one of a few ads at that node.
  void change(SimNode& node);
  /// What is wrong with these ads in the end: of each, one of those changes must be the last that
  /// no acknowledged one was begun after it was over.
  std::optional<std::string> check(const catalog::Snapshot& ads) const;
  /// A node that answered, and then didn't have it.
  const std::optional<std::string>& problem() const { return problem_; }
  uint64_t acknowledged() const { return acknowledged_; }

 private:
  static constexpr int64_t kNever = INT64_MAX;
  struct Change {
    std::string url;  ///< empty: removed
    int64_t begin_ms;
    int64_t end_ms = kNever;
  };
  using Changes = std::deque<Change>;
  void told(const std::string& ad_id, Change& change, const catalog::Snapshot& here);
  static std::string url_of(const catalog::Snapshot& ads, const std::string& ad_id);

  Random random_;
  const Clock& clock_;
  std::map<std::string, Changes> changes_;  ///< by ad
  uint64_t next_ = 0;
  uint64_t acknowledged_ = 0;
  std::optional<std::string> problem_;
};

}  // namespace clickmill::simulation
