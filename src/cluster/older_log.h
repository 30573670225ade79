#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "cluster/blocks.h"

namespace clickmill::cluster {

/// Gets what a partition's log lacks at its beginning from the other members. A node that took a
/// state has a log that begins there: counts need no more, but the raw clicks of before would
/// have a copy less for each node that is replaced, and none in the end.
///
/// Segment by segment, the newest first, each from whoever has it, until nobody has anything
/// older that retention would keep. One partition of a node at a time, and a piece of some MiB
/// at a time when the partition asks for it: nothing waits for it, and nothing is lost when it
/// is interrupted. An error is tried again later.
/// Thread: worker, except that it outlives a call in the background.
class OlderLog : public std::enable_shared_from_this<OlderLog> {
 public:
  using Told = std::function<void(Result<std::string>)>;  ///< on the worker
  struct Options {
    PartitionId id{0};
    /// Asks a node what its log has right before `before` (`from` 0: an OlderHead), or for blocks
    /// from there on.
    std::function<void(const std::string& node, Offset before, Offset from, Told told)> ask;
    /// Null: other partitions have theirs.
    std::function<std::shared_ptr<void>()> turn;
    std::function<bool(std::function<void()>)> in_background;
    std::function<void(std::function<void()>)> on_worker;
    int64_t kept_ms = 0;       ///< log time for which the log is kept
    Counter* bytes = nullptr;  ///< borrowed: of what has come
  };
  /// `segments` and `clock` are borrowed.
  OlderLog(log::Segments& segments, const Clock& clock, Options options)
      : segments_(segments), clock_(clock), options_(std::move(options)) {}

  /// Goes on. `nodes`: that may have more. Call several times a second while the log is in order.
  void step(const std::vector<std::string>& nodes, LogMs log_time);
  /// Of the node that a segment comes from; empty: none does.
  const std::string& from() const { return from_; }
  /// Its owner goes: nothing begins any more.
  void forget() { stage_ = Stage::over; }

 private:
  enum class Stage : uint8_t { idle, busy, pulling, over };
  using Written = Result<std::shared_ptr<log::OlderSegment>>;
  static constexpr int64_t kAgainNs = 600'000'000'000;
  static constexpr int64_t kAfterErrorNs = 10'000'000'000;
  void ask_next(const std::vector<std::string>& nodes);
  void headed(const std::string& node, Result<std::string> answer);
  void begin(const OlderHead& head);
  void pull();
  void came(Result<std::string> answer);
  void write(std::vector<log::Entry> entries);
  void put_in_front();
  void wait(int64_t for_ns);
  void give_up(const std::string& why);
  template <typename Work, typename Then>
  void in_background(Work work, Then then);

  log::Segments& segments_;
  const Clock& clock_;
  const Options options_;
  Stage stage_ = Stage::idle;
  std::shared_ptr<void> turn_;
  int64_t again_ns_ = 0;  ///< monotonic; not before it
  size_t asked_ = 0;      ///< of the nodes, since one had something
  LogMs kept_from_;       ///< older segments would be dropped at once
  Offset before_;         ///< where the log begins, and the segment is to end
  OlderHead head_;
  std::string from_;
  std::shared_ptr<log::OlderSegment> segment_;
  std::string trouble_;  ///< told last
};

}  // namespace clickmill::cluster
