#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/version.h"

namespace clickmill::cluster {

/// How far an answer had read, by partition: handed to a client, who may bring it to another
/// node so as not to fall behind what it has seen. As text: `3:8120,17:44`.
using Position = std::map<PartitionId, Offset>;

/// Of versions read of these partitions, in their order.
std::string position_text(const std::vector<PartitionId>& ids,
                          const std::vector<store::Version>& versions);
/// Nothing: it is no position of `partitions` partitions.
std::optional<Position> parse_position(std::string_view text, uint32_t partitions);

}  // namespace clickmill::cluster
