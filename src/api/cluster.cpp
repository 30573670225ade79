#include <fmt/format.h>

#include <algorithm>

#include "api/context.h"
#include "base/text.h"
#include "base/time_text.h"
#include "query/zone_files.h"

namespace clickmill::api {
namespace {

/// null before the first entry: nothing has a time then.
std::string time_or_null(int64_t ms) { return ms == 0 ? "null" : '"' + format_time_ms(ms) + '"'; }

std::string names_json(const std::vector<raft::Member>& members) {
  std::string out = "[";
  for (const auto& member : members) {
    if (out.size() > 1) out += ',';
    out += json_quoted(member.node);
  }
  return out + ']';
}

/// null: it has what its leader has, or nearly.
std::string catching_up_json(const cluster::Partition::State::Gear& gear) {
  if (gear.from.empty()) return gear.blocks ? "{\"by\":\"blocks\"}" : "null";
  const bool begun = gear.upto != Offset(0);
  return fmt::format(
      "{{\"by\":\"state\",\"from\":{},\"offset\":{},\"bytes\":{},\"bytes_total\":{}}}",
      json_quoted(gear.from), begun ? fmt::format("{}", gear.upto.value()) : "null", gear.bytes,
      gear.bytes_total);
}

/// How far the others are, as they told last, and whose counts are known to differ.
std::string others_json(const Context& context, const cluster::Partition::State& state) {
  const PartitionId id = state.id;
  if (context.peers == nullptr) return {};
  const cluster::Agreement& agreement = context.peers->agreement();
  const cluster::Placement& placement = context.peers->placement();
  std::string out = ",\"here\":";
  out += state.here ? "true" : "false";
  out += ",\"placed\":[";
  for (const std::string& node : placement.replicas(id)) {
    if (out.back() != '[') out += ',';
    out += json_quoted(node);
  }
  out += "],\"replicas\":[";
  const auto members = state.members.all();
  for (const auto& [node, applied] : agreement.applied(id)) {
    const bool holds =
        std::any_of(members.begin(), members.end(),
                    [&of = node](const raft::Member& member) { return member.node == of; });
    if (placement.partial() && !holds) continue;
    if (out.back() != '[') out += ',';
    out +=
        fmt::format("{{\"node_id\":{},\"applied_offset\":{}}}", json_quoted(node), applied.value());
  }
  out += "],\"differing\":[";
  for (const std::string& node : agreement.verdict(id).wrong) {
    if (out.back() != '[') out += ',';
    out += json_quoted(node);
  }
  return out + ']';
}

std::string partition_json(const Context& context, const cluster::Partition::State& state) {
  // The digest in hex: most JSON readers keep 53 bits of a number.
  return fmt::format(
      "{{\"partition\":{},\"leader\":{},\"voters\":{},\"learners\":{},\"term\":{},"
      "\"committed_offset\":{},\"applied_offset\":{},"
      "\"log_time\":{},\"low_water\":{},\"digest\":{{\"offset\":{},\"value\":\"{:016x}\"}},"
      "\"catching_up\":{}{}}}",
      state.id.value(), state.leader.empty() ? "null" : json_quoted(state.leader),
      names_json(state.members.voters), names_json(state.members.learners), state.term.value(),
      state.committed.value(), state.applied.value(), time_or_null(state.log_time.value()),
      time_or_null(state.low_water.value()), state.digest.offset.value(), state.digest.value,
      catching_up_json(state.gear), others_json(context, state));
}

std::vector<uint64_t> offsets_of(const cluster::Epoch& epoch) {
  std::vector<uint64_t> offsets;
  for (const Offset offset : epoch.committed) offsets.push_back(offset.value());
  return offsets;
}

std::string number_or_null(const std::optional<int64_t>& number) {
  return number ? fmt::format("{}", *number) : "null";
}

/// Of a node: what it said that it runs; null before it was linked.
std::string levels_json(const cluster::LevelWatch::View& view, const std::string& node) {
  const auto of = view.nodes.find(node);
  if (of == view.nodes.end() || !of->second.levels) return "null";
  return fmt::format(
      "{{\"lowest\":{},\"highest\":{},\"held_at\":{}}}", of->second.levels->lowest,
      of->second.levels->highest,
      of->second.most < of->second.levels->highest ? fmt::format("{}", of->second.most) : "null");
}

/// What the cluster is at, and who keeps it from rising.
std::string level_json(const cluster::LevelWatch::View& view) {
  std::string out = fmt::format(",\"feature_level\":{{\"level\":{},\"next\":{},\"waits_for\":[",
                                view.level, view.next ? fmt::format("{}", *view.next) : "null");
  for (const auto& [node, of] : view.nodes) {
    if (of.waits.empty()) continue;
    if (out.back() != '[') out += ',';
    out += fmt::format("{{\"node_id\":{},\"why\":{}}}", json_quoted(node), json_quoted(of.waits));
  }
  return out + "]}";
}

std::string peer_json(const Context& context, const cluster::LevelWatch::View& levels,
                      const cluster::Sights::PeerView& peer) {
  const int64_t now = context.clock.wall_ms();
  std::optional<int64_t> offset;
  if (peer.clock) offset = peer.clock->offset_ms;
  return fmt::format(
      ",{{\"node_id\":{},\"state\":\"{}\",\"last_seen\":{},\"version\":{},\"feature_levels\":{},"
      "\"linked\":{},\"rtt_us\":{},\"clock_offset_ms\":{}}}",
      json_quoted(peer.node), peer.heard ? "up" : "down",
      peer.age_ms ? '"' + format_time_ms(now - *peer.age_ms) + '"' : "null",
      json_quoted(peer.version), levels_json(levels, peer.node), peer.up,
      number_or_null(peer.rtt_us), number_or_null(offset));
}

/// What a node that was left behind needs to come back.
std::string lineage_json(const Context& context) {
  const auto lineage = context.lineage ? context.lineage() : std::nullopt;
  if (!lineage) return {};
  const cluster::Founded& founded = lineage->founded;
  std::string out = fmt::format(
      ",\"cluster\":{{\"id\":\"{:016x}\",\"epoch\":{},\"random\":\"{:016x}\",\"founders\":[",
      founded.cluster_id, founded.epoch, founded.epoch_random);
  for (const raft::Member& member : founded.founders) {
    if (out.back() != '[') out += ',';
    out += fmt::format("{{\"node_id\":{},\"storage_id\":\"{:016x}\"}}", json_quoted(member.node),
                       member.storage.value());
  }
  out += "],\"forced\":[";
  for (const cluster::Epoch& epoch : lineage->epochs) {
    if (out.back() != '[') out += ',';
    out += fmt::format("{{\"epoch\":{},\"random\":\"{:016x}\",\"committed_offsets\":[{}]}}",
                       epoch.number, epoch.random, fmt::join(offsets_of(epoch), ","));
  }
  return out + "]}";
}

/// This node first: it is there, since it answers.
http::Response describe(Context& context) {
  const auto states = context.reader.states();
  if (!states) return problem_of(states.error());
  const std::string node = json_quoted(context.node_id);
  cluster::LevelWatch::View levels;
  if (context.peers != nullptr) levels = context.peers->levels().view(context.peers->now_ns());
  std::string body = fmt::format(
      "{{\"node_id\":{},\"nodes\":[{{\"node_id\":{},\"state\":\"up\",\"last_seen\":\"{}\","
      "\"version\":\"{}\",\"feature_levels\":{},\"tzdata\":\"{}\"}}",
      node, node, format_time_ms(context.clock.wall_ms()), CLICKMILL_VERSION,
      levels_json(levels, context.node_id), query::ZoneFiles::system().version());
  if (context.peers != nullptr) {
    for (const auto& peer : context.peers->sights().view(context.peers->now_ns()))
      body += peer_json(context, levels, peer);
  }
  body += ']' + lineage_json(context);
  if (context.peers != nullptr) body += level_json(levels);
  if (context.peers != nullptr)
    body += fmt::format(",\"replication\":{}", context.peers->placement().copies());
  body += ",\"partitions\":[";
  for (const auto& state : *states) {
    if (state.id != states->front().id) body += ',';
    body += partition_json(context, state);
  }
  return http::json_response(body + "]}");
}

}  // namespace

void add_cluster_route(http::Router& router, Context& context) {
  router.add(http::Method::get, "/v1/cluster",
             [&context](http::RequestPtr request, http::Router::Params, http::Responder respond) {
               if (!admit(context, *request, {http::Role::admin}, "admin", respond)) return;
               if (auto refused = refuse_parameters(*request)) return respond(*std::move(refused));
               run_task(context.pools.queries, std::move(respond),
                        [&context] { return describe(context); });
             });
}

}  // namespace clickmill::api
