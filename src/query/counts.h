#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/params.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "cluster/version_reader.h"
#include "query/answer.h"
#include "query/request.h"
#include "query/scatter.h"
#include "store/retention.h"

namespace clickmill::query {

/// Why a question about counts has no answer.
struct Refusal {
  std::optional<Error> error;  ///< of a partition; else a parameter is to blame:
  ParamError wrong;
  bool not_found = false;  ///< what it names doesn't exist, or not for who asks
};

/// What the counts are read from.
struct Sources {
  const catalog::Catalog& catalog;
  const cluster::VersionReader& reader;
  uint32_t partitions = 64;
  const store::Retention* retention = nullptr;  ///< null: nothing has been deleted
  cluster::Position at_least{};                 ///< what an answer must have read
  bool has_peers = false;                       ///< answers say whether they may be stale
  /// Partitions of other nodes; null: there are none.
  Scattered* elsewhere = nullptr;
};

/// An advertiser reads the rows that it paid for, whoever has the ad now; nothing: everything.
using Viewer = std::optional<std::string_view>;

/// Both fit the request to what is kept, and to what the viewer may see.
/// Thread: query (blocks until the workers have answered).
std::variant<ClicksAnswer, Refusal> count_clicks(const Sources& sources, const Viewer& viewer,
                                                 ClicksRequest& request);
std::variant<TopAnswer, Refusal> count_top(const Sources& sources, const Viewer& viewer,
                                           TopRequest& request);

}  // namespace clickmill::query
