#pragma once

// engine/ makes a node out of the layers: config (config.h: every key, checked), data
// directory and its lock (data_dir.h), partitions opened or rebuilt (partitions.h,
// state_recovery.h), threads, pools, listeners, metrics. Whatever runs in a node is started
// and stopped here.
// start() builds bottom up and stop() takes down top down; both run on the caller's
// thread. In between the engine only wires: work happens on io threads, the journal thread,
// the workers, the query and background pools.
// Promise: redirects are served once start() returns, and a clean stop loses nothing that
// was answered. Begin with Engine::start, then config.h.

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "engine/config.h"

namespace clickmill::api {
struct Context;
}

namespace clickmill::engine {

class RunningNode;

/// One node: built bottom up by start(), taken down top down by stop().
/// Thread: start, stop on one thread.
class Engine {
 public:
  /// `files` and `clock` are borrowed and outlive it.
  Engine(Config config, FileSystem& files, Clock& clock);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Listens, opens what a redirect needs, and serves: counts follow when state and
  /// journal have been read and the log has been replayed (readiness). An error leaves the
  /// disk as it was.
  Status start();
  /// Waits until the partitions can be asked. An error says that the node can't go on: its
  /// journal is damaged, or doesn't belong to its state. Errc::closed: stopped meanwhile.
  /// Thread: any one beside start and stop.
  Status wait_until_counting();
  /// Turns readiness red and ends connections with their next answer, while clicks are taken
  /// as ever: so that balancers turn to other nodes before stop().
  void announce_stop();
  /// Drains requests, forwards what is spooled, checkpoints, closes.
  void stop();
  /// Addresses bound, after start().
  const std::string& collector_address() const;
  const std::string& api_address() const;
  /// What /readyz lacks; empty: it is green. Thread: any, between start and stop.
  std::vector<std::string> not_ready();
  /// What answers requests: for who asks without HTTP. After start(), until stop(); only after
  /// wait_until_counting() may partitions be asked.
  api::Context& context();
  /// Puts in force what can change while a node runs: keys, log level and format, the
  /// catalog file (which is read again in any case). The rest waits for the next start,
  /// and a line in the log says so. Throws ConfigError, and changes nothing, when
  /// check_config would refuse the outcome.
  void reload(const Config& next);
  /// The config could not be read again: readiness warns of it until the next reload(),
  /// and the catalog file is read all the same.
  void keep_config(const std::string& why);

 private:
  std::unique_ptr<RunningNode> node_;
};

}  // namespace clickmill::engine
