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
/// The same as an answer gives it: `f35acc7f6f095a09/3:8120,17:44`. Another cluster's offsets
/// are of other clicks, also where it began with this one's data (a backup).
std::string position_in(uint64_t cluster_id, const std::string& position);
/// Takes the cluster's id off the front of what position_in() gave; 0: it names none.
uint64_t take_cluster_id(std::string_view& text);
/// Nothing: it is no position of `partitions` partitions.
std::optional<Position> parse_position(std::string_view text, uint32_t partitions);

}  // namespace clickmill::cluster
