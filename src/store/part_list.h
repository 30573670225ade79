#pragma once

#include <string>
#include <vector>

#include "store/part.h"

namespace clickmill::store {

/// The parts of a partition (or of one of its tables) as a checkpoint names them.
/// Format: top of part_list.cpp. The record it stands in has the checksum.
void encode_part_list(const std::vector<PartMeta>& parts, std::string& out);
/// Errc::corrupt for anything that encode_part_list can't have written.
Result<std::vector<PartMeta>> decode_part_list(ByteCursor& cursor);

}  // namespace clickmill::store
