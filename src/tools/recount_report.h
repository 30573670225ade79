#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "stream/recount.h"
#include "tools/print.h"

namespace clickmill::tools {

struct RecountArguments {
  std::string data_dir;  ///< of a stopped node; or
  std::string node;      ///< URL of a running one's api
  std::string cluster;   ///< config of a node of a running cluster: each of them
  std::string key_file;  ///< holds the admin key for it; empty: none is needed
  bool repair = false;   ///< of a running node
  int64_t from_ms = 0;   ///< whole minutes
  int64_t to_ms = 0;
  std::string ad_id;  ///< empty: every ad
};
/// Answers the exit code, or why it could not be found out.
Result<int> recount_offline(const RecountArguments& request, const Print& print, const Print& tell);
/// The same by a running node's own hand (POST /v1/recounts), as of now. `judged` gets the
/// partitions that it holds. Errc::not_leader: the ad is in none of them.
Result<int> recount_node(const RecountArguments& request, const Print& print, const Print& tell,
                         std::set<uint32_t>* judged = nullptr);
/// The same of every copy of each partition, a node of a cluster after the other. Errc::busy names
/// partitions of which none was judged.
Result<int> recount_cluster(const RecountArguments& request, const Print& print, const Print& tell);

/// Says which minutes of the range were not compared.
std::string cant_be_judged(const RecountArguments& request, int64_t judged_from_ms);

/// Sums up what was compared, partition by partition, and says it.
class RecountReport {
 public:
  RecountReport(const RecountArguments& request, const Print& print, const Print& tell)
      : request_(request), print_(print), tell_(tell) {}
  /// `compared`: rows looked at. Differences that can't be judged are left out.
  void add(const stream::Recounted& recounted, size_t compared,
           const std::vector<stream::Difference>& differences);
  /// The exit code.
  int finish() const;

 private:
  const RecountArguments& request_;
  const Print& print_;
  const Print& tell_;
  int64_t unjudged_until_ms_ = INT64_MIN;
  uint64_t clicks_ = 0;
  uint64_t compared_ = 0;
  uint64_t differ_ = 0;
};

}  // namespace clickmill::tools
