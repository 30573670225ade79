#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/metrics.h"
#include "cluster/state_offer.h"
#include "stream/rebuilder.h"

namespace clickmill::cluster {

/// A turn to take a state: one partition of a node after the other. Thread: any.
class StateTurns {
 public:
  explicit StateTurns(size_t most) : left_(std::make_shared<std::atomic<int64_t>>(most)) {}
  /// Held as long as what it gives; null: others have theirs.
  std::shared_ptr<void> take();

 private:
  std::shared_ptr<std::atomic<int64_t>> left_;
};

struct StateCounts {
  Counter bytes;
  Counter taken;
  Counter failed;
};

/// One state on its way from another node into a fresh slot of a partition, whose log can't be
/// caught up by what other logs still have. The partition goes on beside it, and puts it in
/// force once it is whole.
///
/// One piece is asked for at a time, and the next when it is written: who takes slowly is sent
/// no more. A link that breaks is waited for; a source that has let go of the state ends it.
/// Thread: worker, except that it outlives a call in the background.
class StateTaking : public std::enable_shared_from_this<StateTaking> {
 public:
  /// Comes back on the worker.
  using Told = std::function<void(Result<std::string>)>;
  struct Options {
    PartitionId id{0};
    std::string from;  ///< node
    std::function<void(const std::string& node, std::string question, Told told)> ask;
    std::function<std::shared_ptr<void>()> turn;
    /// Runs a task on the background thread; false when it can't now.
    std::function<bool(std::function<void()>)> in_background;
    std::function<void(std::function<void()>)> on_worker;
    std::shared_ptr<stream::Rebuilder> rebuilder;
    StateCounts* counts = nullptr;  ///< borrowed
  };
  explicit StateTaking(Options options) : options_(std::move(options)) {}
  /// Of no state: what there is goes, and the log goes on behind that place. Whole at once.
  static std::shared_ptr<StateTaking> leave(Options options, StateOffer place);
  bool leaves() const { return leaves_; }

  /// Goes on with what waits. Call several times a second.
  void step(int64_t now_ns);
  /// It is not wanted any more: nothing of it stays.
  void abandon();
  /// All of it is here, and durable.
  bool whole() const { return stage_ == Stage::whole; }
  /// The partition has it now.
  void taken();
  bool over() const { return stage_ == Stage::over; }
  /// Its owner goes.
  void forget() { task_ = nullptr; }
  /// Why it came to nothing, for people.
  const std::string& trouble() const { return trouble_; }
  /// Once it is whole.
  const StateOffer& offer() const { return offer_; }
  const std::string& from() const { return options_.from; }
  uint64_t bytes() const { return bytes_; }

 private:
  enum class Stage : uint8_t { waiting, asking, arriving, whole, ending, over };
  using Task = std::function<void()>;
  void run(Task task);
  void begin();
  void offered(Result<std::string> answer);
  void begun(Result<std::unique_ptr<stream::ArrivingState>> arriving);
  void pull();
  void came(Result<std::string> answer);
  void took(const Status& taken);
  void check();
  void checked(const Result<bool>& all);
  void finish();
  void give_up(const std::string& why);
  void end();

  const Options options_;
  Stage stage_ = Stage::waiting;
  std::shared_ptr<void> turn_;
  uint32_t rounds_ = 0;
  int64_t now_ns_ = 0;
  int64_t again_ns_ = 0;  ///< monotonic; 0: a piece is on its way, or being written
  uint32_t unanswered_ = 0;
  bool unwanted_ = false;
  bool leaves_ = false;
  Task task_;  ///< that the background did not take yet
  StateOffer offer_;
  std::unique_ptr<stream::ArrivingState> arriving_;
  uint64_t bytes_ = 0;
  std::string trouble_;
};

}  // namespace clickmill::cluster
