// What a scrape shows of a node's peers.
#include <fmt/format.h>

#include <algorithm>

#include "engine/peering.h"

namespace clickmill::engine {
namespace {

using cluster::Sights;
using Share = cluster::PartitionStatus::Share;

constexpr std::array kLanes{"beat", "group", "call", "bulk"};

void add_lane(Metrics& metrics, const peer::Counts& counts, size_t lane) {
  const std::string labels = fmt::format("lane=\"{}\"", kLanes[lane]);
  const peer::Counts::OfLane& of = counts.lanes[lane];
  const auto add = [&](const char* name, const char* help, const Counter& counter) {
    metrics.counter_from(
        name, help, [&counter] { return static_cast<double>(counter.value()); }, labels);
  };
  add("clickmill_peer_sent_bytes_total", "Payload written to other nodes.", of.bytes_out);
  add("clickmill_peer_received_bytes_total", "Payload that came from other nodes.", of.bytes_in);
  add("clickmill_peer_sent_frames_total", "Frames written to other nodes.", of.frames_out);
  add("clickmill_peer_dropped_frames_total",
      "Frames that never left: too much waited, the link broke, or a newer beat came.", of.dropped);
}

}  // namespace

void Peering::add_metrics(Metrics& metrics) const {
  const peer::Counts& counts = links_->counts();
  for (size_t lane = 0; lane < kLanes.size(); ++lane) add_lane(metrics, counts, lane);
  metrics.counter_from("clickmill_peer_links_lost_total", "Links to other nodes that broke.",
                       [&counts] { return static_cast<double>(counts.links_lost.value()); });
  metrics.counter_from("clickmill_peer_refusals_total",
                       "Handshakes with other nodes that ended with a refusal, by either side.",
                       [&counts] { return static_cast<double>(counts.refusals.value()); });
  const cluster::Peers& peers = *machine_->peers();
  metrics.gauge_from("clickmill_feature_level",
                     "That the cluster is at, as far as this node knows.",
                     [&peers] { return static_cast<double>(peers.levels().level()); });
  for (const std::string& node : nodes_) {
    if (node == config_.node_id) continue;
    using Read = std::function<double(const Sights::PeerView&)>;
    const auto add = [&](const char* name, const char* help, Read read) {
      metrics.gauge_from(
          name, help,
          [&peers, node, read = std::move(read)] {
            const auto views = peers.sights().view(peers.now_ns());
            const auto view = std::find_if(views.begin(), views.end(),
                                           [&](const auto& each) { return each.node == node; });
            return view == views.end() ? 0.0 : read(*view);
          },
          fmt::format("node=\"{}\"", node));
    };
    add("clickmill_peer_up", "Whether another node's beats are heard.",
        [](const Sights::PeerView& view) { return view.heard ? 1.0 : 0.0; });
    add("clickmill_peer_rtt_seconds", "Newest round trip of a beat to another node.",
        [](const Sights::PeerView& view) {
          return static_cast<double>(view.rtt_us.value_or(0)) / 1e6;
        });
    add("clickmill_peer_clock_offset_seconds", "How far another node's clock is ahead of ours.",
        [](const Sights::PeerView& view) {
          return view.clock ? static_cast<double>(view.clock->offset_ms) / 1e3 : 0.0;
        });
  }
  const auto add_states = [&](const char* name, const char* help, const Counter& counter) {
    metrics.counter_from(name, help, [&counter] { return static_cast<double>(counter.value()); });
  };
  const cluster::StateCounts& taken = peers.states_taken();
  add_states("clickmill_peer_state_sent_bytes_total",
             "Bytes of partitions' states that went to other nodes.", peers.states().bytes_given());
  add_states("clickmill_peer_state_received_bytes_total",
             "Bytes of partitions' states that came from other nodes.", taken.bytes);
  add_states("clickmill_peer_states_taken_total",
             "States of partitions taken from other nodes, since the log could not be caught up.",
             taken.taken);
  add_states("clickmill_peer_states_failed_total",
             "States of partitions that were asked for and did not come whole.", taken.failed);
  add_states("clickmill_peer_older_log_bytes_total",
             "Bytes of other nodes' logs that came for what was missing at the beginning of this "
             "node's.",
             peers.older_bytes());
  metrics.gauge_from("clickmill_peer_states_held",
                     "States that this node holds for others to take.",
                     [&peers] { return static_cast<double>(peers.states().frozen()); });
  metrics.gauge_from(
      "clickmill_partitions_differing",
      "Partitions of which two nodes have counted differently, as far as this one knows.",
      [&peers, partitions = config_.log.partitions] {
        double differing = 0;
        for (uint32_t i = 0; i < partitions; ++i)
          differing += peers.agreement().verdict(PartitionId(i)).wrong.empty() ? 0 : 1;
        return differing;
      });
  const cluster::PartitionStatus& status = machine_->status();
  const auto add_gear = [&](const char* labels, bool (*uses)(const Share&)) {
    metrics.gauge_from(
        "clickmill_partitions_catching_up",
        "Partitions whose copy here is caught up by more than what their leader has in memory.",
        [&status, uses] {
          return status.sum([uses](const Share& share) { return uses(share) ? 1.0 : 0.0; });
        },
        labels);
  };
  add_gear("by=\"blocks\"",
           [](const Share& share) { return share.gear.blocks && share.gear.from.empty(); });
  add_gear("by=\"state\"", [](const Share& share) { return !share.gear.from.empty(); });
  metrics.gauge_from("clickmill_partitions_led", "Partitions that this node leads.", [&status] {
    return status.sum([](const Share& share) { return share.leads ? 1.0 : 0.0; });
  });
  metrics.gauge_from(
      "clickmill_partitions_leaderless", "Partitions for which this node knows no leader.",
      [&status] {
        return status.sum([](const Share& share) { return share.leaderless ? 1.0 : 0.0; });
      });
  metrics.counter_from(
      "clickmill_leads_taken_total", "Elections that this node won since its start.", [&status] {
        return status.sum(
            [](const Share& share) { return static_cast<double>(share.leads_taken); });
      });
}

}  // namespace clickmill::engine
