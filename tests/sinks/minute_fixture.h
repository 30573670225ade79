#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/one_partition.h"
#include "cluster/review_desk.h"
#include "cluster/version_reader.h"
#include "simulation/quiet_log.h"
#include "sinks/fake_table.h"
#include "sinks/minutes.h"

namespace clickmill::sinks {

/// A partition, and a sink of its minute rows that can be started over and over.
class MinutesOfOne {
 public:
  explicit MinutesOfOne(uint64_t seed = 1, uint64_t segment_bytes = 1 << 20)
      : node(seed, segment_bytes), random_(seed), files_(seed) {
    cluster::OnePartition::require(files_.create_directories("/sinks"));
  }
  ~MinutesOfOne() {
    if (sink) sink->stop();
  }
  MinutesOfOne(const MinutesOfOne&) = delete;
  MinutesOfOne& operator=(const MinutesOfOne&) = delete;

  Progress progress(const std::string& name = "it") {
    return cluster::OnePartition::value(Progress::open(files_, "/sinks/" + name, 1));
  }
  Progress::Place kept(const std::string& name = "it") { return progress(name).of(kFirst); }
  Minutes::Options options(const std::string& node_id = "n1") const {
    Minutes::Options options;
    options.name = "it";
    options.node_id = node_id;
    options.partitions = 1;
    options.keys_most = keys_most;
    options.insert_bytes = insert_bytes;
    return options;
  }
  MinuteFeed::Source source() { return {node.reader(), versions_, review_, retention.get()}; }
  void start() {
    metrics = std::make_unique<Metrics>();
    sink = std::make_unique<Minutes>(options(), source(), Minutes::Target{table.open(), progress()},
                                     node.clock(), *metrics);
    sink->start();
  }
  void stop() { sink->stop(); }
  double metric(const std::string& name) const {
    const std::string text = metrics->render();
    const std::string line = "\n" + name + "{sink=\"it\"} ";
    const size_t at = text.find(line);
    REQUIRE(at != std::string::npos);
    return std::stod(text.substr(at + line.size()));
  }
  template <typename Condition>
  void until(Condition condition) {
    node.advance_until(condition);
  }
  /// Minutes that begin until now have passed, in log time, and nothing waits for the table.
  void wait_for_all() {
    const int64_t begun_ms = node.now_ms();
    until([&] { return node.state().log_time.value() > begun_ms + 2 * kMinuteMs; });
    const Offset committed = node.state().committed;
    until([&] { return sink_stopped() || (kept().walk == 0 && kept().arrived >= committed); });
  }
  bool sink_stopped() const { return sink == nullptr; }

  /// An imported click: it counts in its minute, whenever that was.
  struct Import {
    std::string ad_id = "ad_1";
    int64_t minute_ms = 0;
    std::string click_id = {};  ///< empty: one of its own
  };
  void bring(const std::vector<Import>& imports) {
    std::vector<std::string> records(imports.size());
    for (size_t i = 0; i < imports.size(); ++i) {
      const Import& one = imports[i];
      const std::string id = one.click_id.empty() ? "own-" + std::to_string(++ids_) : one.click_id;
      const std::string visitor = "user-" + std::to_string(random_.below(500));
      click::ClickView click;
      click.click_id = id;
      click.ad_id = one.ad_id;
      click.advertiser_id = kAdvertiser;
      click.ad_format = "banner";
      click.received_ms = ArrivalMs(node.now_ms());
      click.timestamp_ms = EventMs(one.minute_ms + static_cast<int64_t>(random_.below(kMinuteMs)));
      click.device = static_cast<click::Device>(random_.below(click::kDevices));
      click.country = random_.one_in(2) ? click::country_of('D', 'E') : click::country_of('U', 'S');
      click.user_id = visitor;
      click.flags = click::kBackfill;
      click::encode_record(click, records[i]);
      if (seen_.insert({one.ad_id, id}).second) ++counted_[{kAdvertiser, one.ad_id, one.minute_ms}];
    }
    node.send(std::move(records));
  }
  /// What was imported, copies left out: row -> clicks.
  const std::map<FakeTable::Key, uint64_t>& counted() const { return counted_; }
  /// The same of the table.
  std::map<FakeTable::Key, uint64_t> arrived() const {
    std::map<FakeTable::Key, uint64_t> clicks;
    for (const auto& [key, row] : table.rows()) clicks[key] = row.clicks;
    return clicks;
  }
  /// The running minute.
  int64_t minute_ms() const { return floor_to(node.now_ms(), kMinuteMs); }

  static constexpr const char* kAdvertiser = "adv_1";
  static constexpr PartitionId kFirst{0};
  cluster::OnePartition node;
  FakeTable table;
  std::unique_ptr<store::Retention> retention;
  size_t keys_most = 128 << 10;
  size_t insert_bytes = 1 << 20;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<Minutes> sink;

 private:
  const simulation::QuietLog quiet_;
  Random random_;
  simulation::SimFileSystem files_;
  cluster::VersionReader versions_{node.owned()};
  cluster::ReviewDesk review_{node.owned()};
  std::set<std::pair<std::string, std::string>> seen_;
  std::map<FakeTable::Key, uint64_t> counted_;
  uint64_t ids_ = 0;
};

}  // namespace clickmill::sinks
