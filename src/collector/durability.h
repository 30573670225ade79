#pragma once

#include <cstdint>

namespace clickmill::collector {

/// What an answer waits for: nothing, write(2), or the group's fdatasync.
enum class Durability : uint8_t { memory, written, synced };

}  // namespace clickmill::collector
