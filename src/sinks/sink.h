#pragma once

#include <atomic>
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
#include "cluster/version_reader.h"
#include "sinks/broker.h"
#include "sinks/feed.h"
#include "sinks/figures.h"
#include "sinks/outlet.h"
#include "sinks/positions.h"

namespace clickmill::sinks {

/// Brings the committed clicks of all partitions that this node leads to one broker, each
/// partition's in order, and remembers durably how far it has come. Nobody waits for it: it reads
/// the log, and passes over what retention has dropped before it was read.
/// A message may be sent again: after a kill, another leader's, or after a failure. (partition,
/// offset) tells it from others.
/// Thread: start, stop on one thread; others any.
class Sink final : public Outlet {
 public:
  struct Options {
    std::string name;
    std::string node_id;
    size_t partitions = 0;
    std::function<Result<std::unique_ptr<Broker>>()> open;
    /// Asks the same sink of another node for its told(), and hands it on, or nothing. Null: the
    /// node is alone.
    std::function<void(const std::string& node, std::function<void(std::string)>)> ask = nullptr;
    size_t messages_most = 20'000;    ///< under way together
    size_t bytes_most = 32ULL << 20;  ///< the same; both are passed by one block at most
  };
  /// All borrowed.
  struct Log {
    const cluster::LogReader& reader;
    const cluster::VersionReader& states;
  };
  Sink(Options options, Log log, Positions positions, Clock& clock, Metrics& metrics);
  ~Sink() override { stop(); }
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  void start() override;
  void stop() override;
  const std::string& name() const override { return options_.name; }
  std::string warning() const override;
  std::string told() const override;

 private:
  struct Place {
    std::unique_ptr<Feed> feed;
    std::string leader;
    bool leads = false;
    bool is_due = false;   ///< something is committed that was not read
    bool follows = false;  ///< is told when there is
    Behind behind;
    Offset committed;
  };
  /// Shared with those who wake it, which may be called after its end.
  struct Wakeups {
    std::mutex mutex;  // guards the rest
    std::condition_variable changed;
    std::vector<std::pair<size_t, bool>> woken;  ///< partition, and whether more is committed
    std::vector<std::pair<std::string, std::string>> heard;  ///< node, and its told()
    bool stopping = false;
  };

  void run();
  void turn();
  bool open_broker();
  void survey();
  void ask_leaders();
  void take_heard();
  void look_at(Place& place, const cluster::Partition::State& state);
  bool send_due();
  bool send(Place& place);
  void follow(Place& place);
  void take_wakeups();
  Status serve(int wait_ms);
  void settle();
  void begin_again(const std::string& why);
  void failed(std::string why);
  void save();
  void measure();
  void wait();
  void finish();
  bool stopping() const;

  const Options options_;
  const Log log_;
  Clock& clock_;
  const Figures figures_;
  Counter& skipped_;
  const std::shared_ptr<Wakeups> wakeups_ = std::make_shared<Wakeups>();

  // Of the sink's thread.
  Positions positions_;
  Feed::Load load_;
  std::vector<Place> places_;
  size_t turn_ = 0;                 ///< whose it is to send next
  std::unique_ptr<Broker> broker_;  ///< null: is to be opened (again)
  size_t broker_errors_ = 0;        ///< of it that were counted
  Backoff open_again_{1'000, 30'000};
  int64_t next_survey_ns_ = 0;
  int64_t next_save_ns_ = 0;

  mutable std::mutex trouble_mutex_;  // guards the next two, between the thread and who asks
  std::string told_;
  std::string trouble_;  ///< the last failure since all had arrived
  std::thread thread_;
};

}  // namespace clickmill::sinks
