#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "log/segments.h"
#include "tools/set_back.h"

namespace clickmill::tools {

struct SegmentsSetBack {
  struct Options {
    std::string directory;
    std::string kept;  ///< folder for the segments that are replaced
    LogMs to;
    log::Segments::Options segments;
    std::function<void(Offset)> at = {};  ///< hears how far it is
  };
};

/// Seals anew what a partition's segments hold from the first one on that knows a time above
/// `to`, all offsets as they were, and opens what there is then. The old ones move to `kept`.
/// Killed at any point, it can be run again. Errc::corrupt: segments are damaged.
Result<std::unique_ptr<log::Segments>> set_segments_back_in(FileSystem& files,
                                                            SegmentsSetBack::Options options,
                                                            const SetBack& set_back);

}  // namespace clickmill::tools
