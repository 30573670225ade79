#pragma once

#include <cstdint>

namespace clickmill::collector {

/// What an answer waits for: nothing, write(2), the group's fdatasync, or the commit in the
/// log of the click's partition (of a node alone: its own log's fdatasync).
enum class Durability : uint8_t { memory, written, synced, replicated };

}  // namespace clickmill::collector
