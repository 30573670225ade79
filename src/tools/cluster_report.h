#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace clickmill::tools {

/// What `clickmill cluster status` says of a cluster.
struct ClusterReport {
  std::vector<std::string> lines;
  /// What is not as it should be, a line each; empty: all is well.
  std::vector<std::string> problems;
  std::string json;  ///< the same for programs, with what the node answered
};

/// `cluster` and `readiness`: what a node answered to GET /v1/cluster and /readyz. `now_ms`: of
/// the wall clock. Errc::invalid: no node answers so.
Result<ClusterReport> report_cluster(std::string_view cluster, std::string_view readiness,
                                     int64_t now_ms);

}  // namespace clickmill::tools
