// A recount of a cluster: of every copy that a node holds, a node after the other. Each copy is
// compared with the log beside it, and with --repair put right by one record for all of them.
#include <fmt/format.h>

#include <algorithm>

#include "click/click.h"
#include "engine/config.h"
#include "tools/node_api.h"
#include "tools/recount_report.h"

namespace clickmill::tools {

Result<int> recount_cluster(const RecountArguments& request, const Print& print,
                            const Print& tell) {
  const engine::Config config = engine::load_config(request.cluster);
  if (!config.cluster) return Error(Errc::invalid, "--cluster: the config has no cluster");
  std::set<uint32_t> judged;
  int code = 0;
  std::string troubles;
  for (const auto& peer : config.cluster->peers) {
    RecountArguments of_node = request;
    of_node.node = api_url(config, peer);
    const auto done = recount_node(of_node, print, tell, &judged);
    if (done) {
      code = std::max(code, *done);
    } else if (done.error().code() != Errc::not_leader) {
      troubles += fmt::format("; {}: {}", peer.node_id, done.error().text());
      tell(fmt::format("{}: {}", peer.node_id, done.error().text()));
    }
  }
  std::vector<uint32_t> missing;
  for (uint32_t id = 0; id < config.log.partitions; ++id) {
    const bool asked = request.ad_id.empty() ||
                       click::partition_of(request.ad_id, config.log.partitions).value() == id;
    if (asked && judged.count(id) == 0) missing.push_back(id);
  }
  if (missing.empty()) return code;
  return Error(Errc::busy,
               fmt::format("no node has judged partition{} {}{}", missing.size() == 1 ? "" : "s",
                           fmt::join(missing, ", "), troubles));
}

}  // namespace clickmill::tools
