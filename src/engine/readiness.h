#pragma once

#include <string>
#include <vector>

#include "engine/machine.h"

namespace clickmill::engine {

/// What of a machine holds clicks up, or its time, a line for each reason; its partitions tell
/// their own. After open_journal(). Thread: any.
std::vector<std::string> waits_of(Machine& machine);

}  // namespace clickmill::engine
