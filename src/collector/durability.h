#pragma once

#include <cstdint>

namespace clickmill::collector {

/// What an answer waits for: nothing, write(2), the group's fdatasync, or a quorum of nodes.
enum class Durability : uint8_t { memory, written, synced, replicated };

}  // namespace clickmill::collector
