#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "log/segments.h"

namespace clickmill::cluster {

/// Sealed entries from `from` on, about 2 MiB of them, in whole blocks. Empty: the log begins
/// behind it here. Errc::not_found: nothing is sealed there yet.
Result<std::string> encode_blocks(const log::Segments& segments, Offset from);
Result<std::vector<log::Entry>> decode_blocks(std::string_view bytes);

/// What a log holds right before an offset, as far as it matters to one that begins there.
struct OlderHead {
  Offset first;     ///< of the segment; the blocks from there on lead up to the offset
  Term before;      ///< of the entry before it; 0: there is none, or it isn't known
  LogMs newest_ms;  ///< log time of the segment's last entry, or later
};
/// Errc::not_found: nothing is older here. Reads a block. Thread: any but workers.
Result<OlderHead> older_head(const log::Segments& segments, Offset before);
std::string encode(const OlderHead& head);
Result<OlderHead> decode_older_head(std::string_view bytes);

}  // namespace clickmill::cluster
