// `clickmill cluster rejoin`: which epoch to follow is asked of the other nodes.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/hex_number.h"
#include "tools/node_api.h"
#include "tools/rejoin.h"

namespace clickmill::tools {
namespace {

using nlohmann::json;

constexpr int kDone = 0;
constexpr int kUnchanged = 2;

Result<cluster::Lineage> lineage_of(const std::string& body) {
  try {
    const json told = json::parse(body).at("cluster");
    cluster::Lineage lineage;
    lineage.founded.cluster_id = from_hex(told.at("id"));
    lineage.founded.epoch = told.at("epoch").get<uint64_t>();
    lineage.founded.epoch_random = from_hex(told.at("random"));
    for (const json& member : told.at("founders")) {
      lineage.founded.founders.push_back({member.at("node_id").get<std::string>(),
                                          raft::StorageId(from_hex(member.at("storage_id")))});
    }
    for (const json& one : told.at("forced")) {
      cluster::Epoch& epoch = lineage.epochs.emplace_back();
      epoch.number = one.at("epoch").get<uint64_t>();
      epoch.random = from_hex(one.at("random"));
      for (const json& offset : one.at("committed_offsets"))
        epoch.committed.push_back(Offset(offset.get<uint64_t>()));
    }
    return lineage;
  } catch (const std::exception& failure) {
    return Error(Errc::invalid, fmt::format("no node of a cluster answers so: {}", failure.what()));
  }
}

/// Follows the first node that is of a later epoch. Why none is: said by each.
Result<std::string> find_epoch(Rejoin& rejoin, const std::vector<std::string>& urls,
                               const std::string& key_file) {
  std::string why;
  for (const std::string& url : urls) {
    const auto api = TRY(NodeApi::open(url, key_file));
    auto body = api->body_of("/v1/cluster");
    auto lineage = body ? lineage_of(*body) : Result<cluster::Lineage>(std::move(body).error());
    auto followed = lineage ? rejoin.follow(*std::move(lineage)) : std::move(lineage).error();
    if (followed) return url;
    if (!why.empty()) why += "; ";
    why += url + ": " + followed.error().text();
  }
  return Error(Errc::not_found, "no node of a later epoch was found: " + why);
}

}  // namespace

Result<int> rejoin_command(const engine::Config& config, const std::string& node,
                           const std::string& key_file, bool yes, const Print& print,
                           const Print& tell) {
  if (!config.cluster) return Error(Errc::invalid, "the config has no cluster");
  PosixFileSystem files;
  SystemClock clock;
  const auto rejoin = TRY(Rejoin::open(config, files, clock));
  if (rejoin->under_way()) {
    const std::string aside = TRY(rejoin->finish());
    print(fmt::format("done: what was interrupted has been finished. What there was is kept in {}.",
                      aside));
    return kDone;
  }
  std::vector<std::string> urls{node};
  if (node.empty()) {
    urls.clear();
    for (const auto& peer : config.cluster->peers) {
      if (peer.node_id != config.node_id) urls.push_back(api_url(config, peer));
    }
  }
  const std::string url = TRY(find_epoch(*rejoin, urls, key_file));
  const uint64_t epoch = rejoin->founded().epoch;
  const auto old_before = ArrivalMs(clock.wall_ms() - int64_t{config.stream.dedup_hours} * kHourMs);
  const LeftClicks left = TRY(rejoin->survey(old_before));
  print(
      fmt::format("{} joins the cluster of {} with a new disk: it gets log and counts from there, "
                  "and votes when it has them.",
                  config.node_id, url));
  print(
      fmt::format("{} clicks that it has answered or recorded since, and that may be missing "
                  "there, are sent again; those that are counted are recognised.",
                  left.clicks));
  if (left.old > 0)
    print(
        fmt::format("{} of them are older than {} hours: those that the cluster has given up "
                    "waiting for go to review as stale.",
                    left.old, config.stream.dedup_hours));
  print(
      fmt::format("What there is in {} is kept in left-behind-epoch-{} in it; its changes of ads "
                  "since are not brought over.",
                  config.data_dir, epoch));
  if (!yes) {
    print("Nothing was changed; --yes does it.");
    return kUnchanged;
  }
  tell("writing the clicks");
  TRY(rejoin->prepare());
  const std::string aside = TRY(rejoin->finish());
  print(fmt::format("done: start {} again. Delete {} when all is well.", config.node_id, aside));
  return kDone;
}

}  // namespace clickmill::tools
