#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "cluster/one_partition.h"
#include "cluster/version_reader.h"
#include "simulation/quiet_log.h"
#include "sinks/sink.h"

namespace clickmill::sinks {

inline const PartitionId kPartition{0};

/// A partition, and a sink of it that can be started over and over.
class SinkOfOne {
 public:
  using Open = std::function<Result<std::unique_ptr<Broker>>()>;
  explicit SinkOfOne(Open open, uint64_t seed = 1, uint64_t segment_bytes = 1 << 20)
      : node(seed, segment_bytes), open_(std::move(open)), files_(seed) {
    cluster::OnePartition::require(files_.create_directories("/sinks"));
  }
  ~SinkOfOne() { node.reader().end_following(); }
  SinkOfOne(const SinkOfOne&) = delete;
  SinkOfOne& operator=(const SinkOfOne&) = delete;

  Positions positions(const std::string& name = "it") {
    return cluster::OnePartition::value(Positions::open(files_, "/sinks/" + name, 1));
  }
  /// What a restart would go on behind.
  Offset kept() { return positions().of(kPartition); }
  void start() {
    Sink::Options options;
    options.name = "it";
    options.node_id = "n1";
    options.partitions = 1;
    options.open = open_;
    metrics = std::make_unique<Metrics>();
    sink = std::make_unique<Sink>(std::move(options), Sink::Log{node.reader(), states_},
                                  positions(), node.clock(), *metrics);
    sink->start();
  }
  void stop() { sink->stop(); }
  /// The value of a metric of the sink.
  double metric(const std::string& name) const {
    const std::string text = metrics->render();
    const std::string line = "\n" + name + "{sink=\"it\"} ";
    const size_t at = text.find(line);
    REQUIRE(at != std::string::npos);
    return std::stod(text.substr(at + line.size()));
  }
  /// Waits for something that the sink does; its clock goes on meanwhile, a second at a time.
  template <typename Condition>
  void until(Condition condition) {
    node.advance_until(condition);
  }
  Offset committed() const { return node.state().committed; }

  cluster::OnePartition node;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<Sink> sink;

 private:
  const simulation::QuietLog quiet_;
  const Open open_;
  simulation::SimFileSystem files_;
  cluster::VersionReader states_{node.owned()};
};

}  // namespace clickmill::sinks
