#pragma once

// sinks/ are ways out for who outgrows this node, to other systems. Sinks (here) owns those that
// the config names; each is an Outlet (outlet.h), a thread of its own, of one of two kinds:
// - Sink (sink.h): the clicks of the committed log, as they are. It reads the log's tail (feed.h,
//   one partition), hands it to a broker (broker.h, kafka_broker.h) and keeps durably how far it
//   came (positions.h). Promise: each click that a partition's log commits arrives at least once,
//   in the order of its partition, and once after dropping what repeats (partition, offset);
//   unless retention dropped it first, which is counted and told.
// - Minutes (minutes.h): the rows of passed minutes. The log tells which may have changed
//   (touched.h), the partition's state what they hold (minute_feed.h); they go to a table
//   (table.h, clickhouse_table.h), and how far that came is kept too (progress.h). Promise: the
//   newest version of each row is what a query here would answer, or becomes it.
// A sink that is away holds up nothing.

#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "cluster/log_reader.h"
#include "cluster/peers.h"
#include "cluster/review_desk.h"
#include "cluster/version_reader.h"
#include "sinks/outlet.h"
#include "sinks/settings.h"
#include "store/retention.h"

namespace clickmill::sinks {

/// Tries the settings without a connection, and loads what they need. Errc::invalid names the key.
Status check_settings(const std::vector<Settings>& settings);

/// Thread: start, stop on one thread; others any.
class Sinks {
 public:
  /// What a node lends its sinks.
  struct Node {
    FileSystem& files;
    std::string data_dir;
    std::string node_id;
    size_t partitions;  ///< they come later
    const cluster::LogReader& log;
    const cluster::VersionReader& states;
    const cluster::ReviewDesk& review;
    const store::Retention* retention;  ///< null: rows are kept for ever
    Clock& clock;
    Metrics& metrics;
    cluster::Peers* peers;  ///< null: it is alone
  };
  /// Null when there are none: then nothing of all this happens. Before the first frame of a peer.
  static Result<std::unique_ptr<Sinks>> open(const std::vector<Settings>& settings, Node node);

  /// Once the partitions can be asked.
  void start();
  void stop();
  /// Those that are behind by minutes, for people.
  std::vector<std::string> warnings() const;

 private:
  void serve(cluster::Calls& calls);

  std::vector<std::unique_ptr<Outlet>> sinks_;
};

}  // namespace clickmill::sinks
