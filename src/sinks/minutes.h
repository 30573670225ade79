#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/backoff.h"
#include "base/clock.h"
#include "sinks/figures.h"
#include "sinks/minute_feed.h"
#include "sinks/outlet.h"
#include "sinks/progress.h"
#include "sinks/table.h"

namespace clickmill::sinks {

/// Brings the minute rows of all partitions that this node leads to one table: each once its
/// minute has passed, and again, whole, whenever something is counted in it afterwards. Rows of
/// all partitions share an insert; one is under way at a time, and given again until the table
/// has taken it.
/// A row may be sent again unchanged: after a kill, another leader's. Of the rows with one key
/// the one with the highest version holds (minute_feed.cpp).
/// Thread: start, stop on one thread; others any.
class Minutes final : public Outlet {
 public:
  struct Options {
    std::string name;
    std::string node_id;
    size_t partitions = 0;
    /// Asks the same sink of another node for its told(), and hands it on, or nothing. Null: the
    /// node is alone.
    std::function<void(const std::string& node, std::function<void(std::string)>)> ask = nullptr;
    size_t keys_most = 128 << 10;   ///< rows that wait for their minute to pass, of all partitions
    size_t insert_bytes = 1 << 20;  ///< passed by what one partition has at once
  };
  /// Where the rows go, and how far they have.
  struct Target {
    std::unique_ptr<Table> table;
    Progress progress;
  };
  Minutes(Options options, MinuteFeed::Source source, Target target, Clock& clock,
          Metrics& metrics);
  ~Minutes() override { stop(); }
  Minutes(const Minutes&) = delete;
  Minutes& operator=(const Minutes&) = delete;

  void start() override;
  void stop() override;
  const std::string& name() const override { return options_.name; }
  std::string warning() const override;
  std::string told() const override;

 private:
  struct Place {
    std::unique_ptr<MinuteFeed> feed;
    std::string leader;
    bool leads = false;
    Offset committed;
    int64_t rests_until_ns = 0;  ///< after a failure of its own
    Behind behind;
  };
  struct Insert {
    std::shared_ptr<std::string> text = std::make_shared<std::string>();
    std::vector<std::pair<size_t, MinuteFeed::Rows>> parts;  ///< partition, rows without text
    size_t rows = 0;
  };
  /// Shared with those who answer, which may be after its end.
  struct Outside {
    std::mutex mutex;  // guards the rest
    std::condition_variable changed;
    std::vector<std::pair<std::string, std::string>> heard;  ///< node, and its told()
    bool stopping = false;
    bool ended = false;  ///< its thread
  };

  void run();
  void turn();
  void survey();
  void look_at(Place& place, const cluster::Partition::State& state);
  void ask_leaders();
  void take_heard();
  bool read();
  bool gather();
  bool gather(size_t index);
  bool insert();
  void failed(const std::string& what);
  void failed_here(Place& place, const Error& error);
  void save();
  void measure();
  void wait();
  bool stopping() const;

  const Options options_;
  const MinuteFeed::Source source_;
  const std::unique_ptr<Table> table_;
  Clock& clock_;
  const Figures figures_;
  const std::shared_ptr<Outside> outside_ = std::make_shared<Outside>();

  // Of the sink's thread.
  Progress progress_;
  std::vector<Place> places_;
  size_t led_ = 1;   ///< partitions
  size_t turn_ = 0;  ///< whose it is to give rows next
  Insert insert_;    ///< is gathered, or waits to be taken
  Backoff again_{1'000, 30'000};
  int64_t next_survey_ns_ = 0;
  int64_t next_save_ns_ = 0;

  mutable std::mutex trouble_mutex_;  // guards the next two, between the thread and who asks
  std::string told_;
  std::string trouble_;  ///< the last failure since all had arrived
  std::thread thread_;
};

}  // namespace clickmill::sinks
