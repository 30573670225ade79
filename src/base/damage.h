#pragma once

#include "base/result.h"

namespace clickmill {

/// Whether an error says that stored bytes are damaged or gone (and not that the disk
/// fails, or is full).
inline bool is_damage(const Error& error) {
  return error.code() == Errc::corrupt || error.code() == Errc::not_found;
}

}  // namespace clickmill
